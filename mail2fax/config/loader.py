"""The settings, read once: one TOML file, overlaid by the environment, strict.

Promise: what is wrong is told all at once, by place, and no secret stands in any error or printed setting.
"""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, get_origin
from urllib.parse import quote, unquote

from pydantic import SecretStr, ValidationError

from mail2fax import log
from mail2fax.config import problems as complaints
from mail2fax.config.keys import BY_VARIABLE, KEYS, PREFIX, Key
from mail2fax.config.settings import Settings, Spool
from mail2fax.config.types import SQLITE

LINES = "MAIL2FAX_LINE"
# scheme://user:password@host, and what PostgreSQL's driver takes behind a question mark.
_PASSWORD = re.compile(r"(?P<before>://[^:@/]*:)(?P<user>.*)(?=@)|(?P<and>[?&]password=)(?P<query>[^&]*)")
_LONGEST_SECRET = 65_536  # characters of a file that is read: not a device without an end


class ConfigError(Exception):
    """The settings cannot be used; `problems` has one line for each reason."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Read this file (None: defaults only), then the environment, which goes before it.

    Relative file names, and that of an SQLite spool, count from the file's folder, so that every command finds
    the same files wherever it is called from. Raises ConfigError with every problem found.
    """
    draft = _Draft(path)
    draft.overlay(environ)
    draft.read_secrets()
    draft.resolve_files()
    try:
        settings = Settings.model_validate(draft.values)
    except ValidationError as error:
        # `from None`: pydantic's own text repeats the values, secrets among them.
        raise ConfigError(draft.problems + complaints.of(error, draft.where)) from None
    if draft.problems:
        raise ConfigError(draft.problems)
    for secret in _secrets(settings):
        log.hide(secret)
        log.hide(quote(secret, safe=""))
    return draft.signed(settings)


def effective(settings: Settings) -> dict[str, Any]:
    """The settings in force, for people to look at: secrets and passwords in URLs are blanked."""
    shown: dict[str, Any] = json.loads(settings.model_dump_json())  # a SecretStr dumps as asterisks
    shown["spool"]["url"] = without_password(settings.spool.url)
    shown["reply"]["relay"] = without_password(settings.reply.relay)
    return shown


def without_password(url: str) -> str:
    """The URL with its password blanked, for logs and pages."""
    return _PASSWORD.sub(r"\g<before>\g<and>***", url)


class _Draft:
    """What was read so far, where each value came from, and what is wrong with it."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.problems: list[str] = []
        self.values: dict[str, Any] = _read(path) if path else {}
        self.variables: dict[tuple[str, str], str] = {}

    def where(self, section: str, key: str = "", entry: int = -1) -> str:
        """The place of a value: its variable, or file, section and key."""
        if section == "line":
            table = f"[[line]] {self._line_name(entry)}".rstrip()
            origin = self.variables.get(("line", ""), self.path)
            return f"{origin}: {table} {key}".rstrip()
        if variable := self.variables.get((section, key)):
            return variable
        bracketed = key or section in complaints.SECTIONS or isinstance(self.values.get(section), dict)
        place = f"[{section}] {key}".rstrip() if bracketed else section
        return ": ".join(filter(None, [str(self.path or "environment"), place]))

    def _line_name(self, entry: int) -> str:
        lines = self.values.get("line")
        if entry < 0 or not isinstance(lines, list):
            return ""
        name = lines[entry].get("name") if isinstance(lines[entry], dict) else None
        return json.dumps(name) if isinstance(name, str) else str(entry + 1)

    def signed(self, settings: Settings) -> Settings:
        """The settings, whose sections know where each of their keys was written."""
        file = str(self.path or "")
        known: dict[str, Any] = {}
        for name, section in settings:
            named = {key: variable for (owner, key), variable in self.variables.items() if owner == name}
            if name == "line":
                known[name] = [line.written(file, named) for line in section]
            else:
                known[name] = section.written(file, named)
        return settings.model_copy(update=known)

    def overlay(self, environ: Mapping[str, str]) -> None:
        """Let MAIL2FAX_SECTION__KEY and MAIL2FAX_LINE go before the file."""
        flat = {name.replace("__", "_"): name for name in BY_VARIABLE}
        for name in sorted(name for name in environ if name.startswith(PREFIX)):
            if key := BY_VARIABLE.get(name):
                self._set(key, environ[name])
            elif name == LINES:
                self.values["line"] = _parsed(list, environ[name] or "[]")
                self.variables["line", ""] = name
            elif "__" in name:
                self.problems.append(complaints.unknown_variable(name))
            elif name in flat:
                self.problems.append(f"{name}: write it with two underscores, {flat[name]}")

    def _set(self, key: Key, text: str) -> None:
        section = self.values.setdefault(key.section, {})
        if not isinstance(section, dict):
            return
        section[key.name] = _parsed(key.type, text)
        self.variables[key.section, key.name] = key.variable
        # The environment goes before the file for the pair as well: token here, token_file there is no conflict.
        if text and key.pair and (key.section, key.pair) not in self.variables:
            section.pop(key.pair, None)

    def tables(self) -> Iterator[tuple[str, int, dict[str, Any]]]:
        """Each section and each [[line]] that is a table, with its name and entry number."""
        for section, table in self.values.items():
            for entry, each in enumerate(table) if isinstance(table, list) else [(-1, table)]:
                if isinstance(each, dict):
                    yield section, entry, each

    def read_secrets(self) -> None:
        """Put the content of each `*_file` of a secret in the secret's place."""
        names = {(key.section, key.name) for key in KEYS if key.secret}
        for section, entry, table in self.tables():
            for name in [name for known, name in names if known == section]:
                file = table.get(f"{name}_file")
                if not isinstance(file, str) or not file:
                    continue
                place = self.where(section, f"{name}_file", entry)
                if table.get(name):
                    self.problems.append(f"{place}: {name} is given too; keep one of them")
                    continue
                table[name] = self._secret(place, file)

    def _secret(self, place: str, file: str) -> str:
        """What the file holds, without blanks and line ends around it, or "" and a problem."""
        try:
            return read_secret(self._absolute(file))
        except ValueError as error:
            self.problems.append(f"{place}: {error}")
            return ""

    def resolve_files(self) -> None:
        """Make file names count from the configuration file's folder."""
        if self.path is None:
            return
        files = {(key.section, key.name) for key in KEYS if key.file}
        for section, _, table in self.tables():
            for name, value in table.items():
                if (section, name) in files and isinstance(value, str) and value:
                    table[name] = str(self._absolute(value))
        spool = self.values.setdefault("spool", {})
        url = spool.setdefault("url", Spool().url) if isinstance(spool, dict) else None
        name = url.removeprefix(SQLITE) if isinstance(url, str) and url.startswith(SQLITE) else ""
        if name and not name.startswith(":"):  # else it names no file, and is refused as such
            spool["url"] = SQLITE + str(self._absolute(name))

    def _absolute(self, name: str) -> Path:
        return self.path.absolute().parent / name if self.path else Path(name)


def _read(path: Path) -> dict[str, Any]:
    try:
        # utf-8-sig: some editors put a byte order mark in front.
        return tomllib.loads(path.read_text("utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: cannot be read: {why_unreadable(error)}"]) from None
    except tomllib.TOMLDecodeError as error:
        text, _, place = str(error).rpartition(" (at ")
        raise ConfigError([f"{path}: {place.rstrip(')')}: {text}"]) from None


def read_secret(path: Path) -> str:
    """What the file holds, without blanks and line ends around it. Raises ValueError that says what is wrong."""
    try:
        with path.open(encoding="utf-8-sig") as file:  # Windows puts a byte order mark in front
            secret = file.read(_LONGEST_SECRET + 1)
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read {path}: {why_unreadable(error)}") from None
    if len(secret) > _LONGEST_SECRET:
        raise ValueError(f"{path} holds more than {_LONGEST_SECRET} characters: no secret is so long")
    secret = secret.strip()
    if not secret:
        raise ValueError(f"{path} is empty")
    if not secret.isprintable():
        raise ValueError(f"{path} holds more than one line, or characters that no secret has")
    return secret


def why_unreadable(error: Exception) -> str:
    """Why a file could not be read as text, in words, with the way out where it is a matter of rights."""
    if isinstance(error, OSError):
        advice = "; chgrp to the group of the service, then chmod 640" if isinstance(error, PermissionError) else ""
        return (error.strerror or type(error).__name__) + advice
    return "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else "no such name is possible"


def _parsed(kind: Any, text: str) -> Any:
    """A variable's text as the key's type wants it; what makes no sense stays text, and is complained of as such."""
    if kind in {str, SecretStr} or get_origin(kind) is Literal:
        return text
    # "[::1]:2525,127.0.0.1:2525" begins like an array, and is none.
    array = text.lstrip().startswith("[") and not re.match(r"\s*\[[0-9A-Fa-f:.]+\]:", text)
    if get_origin(kind) is list and not array:
        return [item.strip() for item in text.split(",") if item.strip()]
    with suppress(ValueError, RecursionError):
        return json.loads(text)
    with suppress(ValueError, RecursionError):
        table = tomllib.loads(f"value = {text.lower() if kind is bool else text}")
        return table["value"] if len(table) == 1 else text
    return text


def _secrets(settings: Settings) -> Iterator[str]:
    tables = [getattr(settings, section) for section in type(settings).model_fields if section != "line"]
    for table in [*tables, *settings.line]:
        for value in vars(table).values():
            if isinstance(value, SecretStr):
                yield value.get_secret_value()
    for url in (settings.reply.relay, settings.spool.url):
        for found in _PASSWORD.finditer(url):
            yield unquote(found["user"] or found["query"] or "")
