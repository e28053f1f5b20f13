"""Secrets in files that everybody on this machine may read."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pydantic import SecretStr

from mail2fax.config.keys import KEYS, Key
from mail2fax.config.loader import without_password
from mail2fax.config.settings import Settings


def files(settings: Settings, source: Path | None) -> list[str]:
    """Those that hold a secret of these settings; `source` is the file that the settings were read from."""
    found = dict.fromkeys(str(place) for place in _places(settings, source) if _open_to_all(place))
    return list(found)


def _places(settings: Settings, source: Path | None) -> Iterator[Path]:
    smtp = settings.smtp
    # A certificate without a key beside it holds its own.
    for file in filter(None, (settings.reply.dkim_key_file, smtp.tls_key or smtp.tls_certificate, smtp.users_file)):
        yield Path(file)
    for key in KEYS:
        if not key.speakable:
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
        if value.get_secret_value() if isinstance(value, SecretStr) else without_password(value) != value:
            yield getattr(table, key.pair, "") if key.pair else ""


def _open_to_all(file: Path) -> bool:
    try:
        mode = file.stat().st_mode
    except OSError:  # away, or in a folder that is shut even to us
        return False
    return stat.S_ISREG(mode) and bool(mode & stat.S_IROTH)
