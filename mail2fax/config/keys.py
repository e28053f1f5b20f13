"""Every key of the settings as data: what it takes, its default, its variable, whether it is a secret or a file.

Read from the types in `settings`, so that `config`, its errors and docs/configuration.md cannot disagree.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from mail2fax.config.section import Section
from mail2fax.config.settings import FaxLine, Settings
from mail2fax.config.types import FileMark

PREFIX = "MAIL2FAX_"


@dataclass(frozen=True, slots=True)
class Key:
    """One key of one section."""

    section: str
    name: str
    field: FieldInfo

    @property
    def variable(self) -> str:
        """Its name in the environment. The keys of a [[line]] have none: MAIL2FAX_LINE takes all lines."""
        return "" if self.section == "line" else f"{PREFIX}{self.section}__{self.name}".upper()

    @property
    def type(self) -> Any:
        """str, int, float, bool, SecretStr, list[…], dict[…] or Literal[…]."""
        return self.field.annotation

    @property
    def secret(self) -> bool:
        """Whether the value is never shown."""
        return self.type is SecretStr

    @property
    def speakable(self) -> bool:
        """Whether an error may repeat the value: a URL may hold a password."""
        return not self.secret and self.name not in {"url", "relay"}

    @property
    def file(self) -> bool:
        """Whether the value names a file or folder."""
        return any(isinstance(mark, FileMark) for mark in self.field.metadata)

    @property
    def folder(self) -> bool:
        """Whether the value names a folder."""
        return FileMark(folder=True) in self.field.metadata

    @property
    def pair(self) -> str:
        """A secret's `_file`, or the secret of a `_file`; "" when the key stands alone."""
        kind = dict(sections())[self.section].model_fields
        secret = self.name.removesuffix("_file")
        if f"{secret}_file" not in kind or secret not in kind:
            return ""
        return secret if self.name != secret else f"{secret}_file"

    @property
    def wanted(self) -> str:
        """What the key takes, in words: "a number greater than 0"."""
        return _wanted(self.type) + _bounds(self.field.metadata)

    @property
    def default(self) -> str:
        """As it would be written in the file."""
        if self.field.is_required():
            return ""
        value = self.field.default
        return '""' if self.secret else json.dumps(value, ensure_ascii=False)


def sections() -> Iterator[tuple[str, type[Section]]]:
    """Name and class of each section, in the order of the file; `line` stands for each [[line]]."""
    for name, field in Settings.model_fields.items():
        yield name, FaxLine if name == "line" else cast("type[Section]", field.annotation)


def _wanted(kind: Any) -> str:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _wanted(arguments[0])
    if origin is Literal:
        words = [json.dumps(word) for word in arguments]
        return " or ".join([", ".join(words[:-1]), words[-1]]) if words[1:] else words[0]
    if origin is list:
        return f"a list of {_wanted(arguments[0])}"
    if origin is dict:
        return f"a table of pattern = {_wanted(arguments[1])}"
    return {bool: "true or false", int: "a whole number", float: "a number"}.get(kind, "text")


def _bounds(marks: list[Any]) -> str:
    most = next((f", {mark.le:g} at the most" for mark in marks if getattr(mark, "le", None) is not None), "")
    return _least(marks) + most


def _least(marks: list[Any]) -> str:
    for mark in marks:
        if (least := getattr(mark, "ge", None)) is not None:
            return f" of at least {least}"
        if (floor := getattr(mark, "gt", None)) is not None:
            return f" greater than {floor}"
        if getattr(mark, "min_length", 0):
            return ", not empty"
    return ""


KEYS = tuple(Key(section, name, field) for section, kind in sections() for name, field in kind.model_fields.items())
BY_NAME = {(key.section, key.name): key for key in KEYS}
BY_VARIABLE = {key.variable: key for key in KEYS if key.variable}
