"""Secrets in files that everybody on this machine may read."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pydantic import SecretStr

from mail2fax.config.keys import KEYS, Key
from mail2fax.config.settings import Settings


def files(settings: Settings, source: Path | None) -> list[str]:
    """Those that hold a secret of these settings; `source` is the file that the settings were read from."""
    found = dict.fromkeys(str(place) for place in _places(settings, source) if _open_to_all(place))
    return list(found)


def _places(settings: Settings, source: Path | None) -> Iterator[Path]:
    for key in KEYS:
        if key.secret:
            for file in _of(settings, key):
                if file:
                    yield Path(file)
                elif source and key.variable not in os.environ:
                    yield source


def _of(settings: Settings, key: Key) -> Iterator[str]:
    """For each value of this secret the file that it came from, "" for the settings themselves."""
    section = getattr(settings, key.section)
    for table in section if isinstance(section, list) else [section]:
        value = getattr(table, key.name)
        if isinstance(value, SecretStr) and value.get_secret_value():
            yield getattr(table, key.pair, "") if key.pair else ""


def _open_to_all(file: Path) -> bool:
    return file.is_file() and bool(file.stat().st_mode & stat.S_IROTH)
