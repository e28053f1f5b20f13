"""Settings: one TOML file and the environment, read once, typed and strict."""

from mail2fax.config.loader import ConfigError, effective, load, without_password
from mail2fax.config.reply import Reply
from mail2fax.config.section import Section, naming
from mail2fax.config.settings import (
    Cover,
    Documents,
    FaxLine,
    Limits,
    Log,
    Numbers,
    Poll,
    Provider,
    Retry,
    Settings,
    Spool,
    Web,
)
from mail2fax.config.smtp import Smtp

__all__ = [
    "ConfigError",
    "Cover",
    "Documents",
    "FaxLine",
    "Limits",
    "Log",
    "Numbers",
    "Poll",
    "Provider",
    "Reply",
    "Retry",
    "Section",
    "Settings",
    "Smtp",
    "Spool",
    "Web",
    "effective",
    "load",
    "naming",
    "without_password",
]
