"""The files that the settings name: those that cannot be read are told by place, before anything begins."""

from collections.abc import Iterator
from pathlib import Path

from mail2fax.config.keys import KEYS
from mail2fax.config.loader import ConfigError, why_unreadable
from mail2fax.config.section import Section
from mail2fax.config.settings import Settings


def require(settings: Settings) -> None:
    """Raise ConfigError for files that cannot be read.

    Not for that of a secret, which is read with the settings, nor for the templates of replies: the shipped ones take
    the place of those.
    """
    if problems := list(_problems(settings)):
        raise ConfigError(problems)


def unreadable_in(section: Section, key: str) -> str:
    """Why the file that this key names cannot be read, and where it is named; "" when it can, or there is none."""
    if not (file := getattr(section, key)):
        return ""
    try:
        with Path(file).open("rb"):
            return ""
    except (OSError, ValueError) as error:
        return f"{section.place(key)}: cannot read {file}: {why_unreadable(error)}"


def _problems(settings: Settings) -> Iterator[str]:
    for key in KEYS:
        if key.file and not key.folder and not key.pair:
            section = getattr(settings, key.section)
            for table in section if isinstance(section, list) else [section]:
                if problem := unreadable_in(table, key.name):
                    yield problem
