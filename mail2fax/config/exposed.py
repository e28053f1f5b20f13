"""Secrets in files that everybody on this machine may read."""

import stat
from collections.abc import Iterator
from pathlib import Path

from pydantic import SecretStr

from mail2fax.config.keys import KEYS, Key
from mail2fax.config.loader import without_password
from mail2fax.config.settings import Settings


def files(settings: Settings) -> list[str]:
    """Those that hold a secret of these settings, the file of the settings themselves among them."""
    return list(dict.fromkeys(file for file in _places(settings) if file and _open_to_all(Path(file))))


def _places(settings: Settings) -> Iterator[str]:
    smtp = settings.smtp
    # A certificate without a key beside it holds its own.
    yield from (settings.reply.dkim_key_file, smtp.tls_key or smtp.tls_certificate, smtp.users_file)
    for key in KEYS:
        if not key.speakable:
            yield from _of(settings, key)


def _of(settings: Settings, key: Key) -> Iterator[str]:
    """For each value of this secret the file that it came from; "" for one from the environment."""
    section = getattr(settings, key.section)
    for table in section if isinstance(section, list) else [section]:
        value = getattr(table, key.name)
        if value.get_secret_value() if isinstance(value, SecretStr) else without_password(value) != value:
            yield (getattr(table, key.pair) if key.pair else "") or table.file_of(key.name)


def _open_to_all(file: Path) -> bool:
    try:
        mode = file.stat().st_mode
    except OSError:  # away, or in a folder that is shut even to us
        return False
    return stat.S_ISREG(mode) and bool(mode & stat.S_IROTH)
