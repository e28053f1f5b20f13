"""What the commands share: the options each has, the settings and the spool they work on, and how they print."""

import contextlib
import getpass
import json
import os
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from mail2fax import log
from mail2fax.cli import hints, owner
from mail2fax.config import Settings, exposed, loader
from mail2fax.model import Refused
from mail2fax.spool import Spool, database_file, open_spool

INSTALLED = Path("/etc/mail2fax/mail2fax.toml")  # taken when no other settings are named

out = Console()
err = Console(stderr=True)

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="MAIL2FAX_CONFIG",
        metavar="FILE",
        help=f"The settings, a TOML file. Without it: {INSTALLED}, if it is there.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
FaxId = Annotated[str, typer.Argument(metavar="ID", help="A queue id, as the 250, the log and the reply name it.")]


def load(file: Path | None, *, serving: bool = False) -> Settings:
    """The settings, with the log set up as they say; a command that only answers a person logs no more than trouble."""
    hints.remember(file)
    settings = loader.load(file or installed(), os.environ)
    level = settings.log.level
    log.configure(settings.log.format, "warning" if level == "info" and not serving else level)
    return settings


def tell_of_exposed(settings: Settings) -> None:
    """Warn of secrets that everybody on this machine may read."""
    for name in exposed.files(settings):
        log.secret_exposed(file=name)


def installed() -> Path | None:
    """The settings of the installed service, if there are any."""
    return INSTALLED if INSTALLED.exists() else None


@contextlib.asynccontextmanager
async def the_spool(settings: Settings) -> AsyncIterator[Spool]:
    """The spool that the settings name, for one command. Raises Refused when it is not there: none is made."""
    name = who()  # root is the person's name, the owner of the spool is not
    owner.become(settings)
    path = database_file(settings)
    if path and not path.exists():
        # Most likely the wrong folder or the wrong settings, and an empty answer would not tell.
        raise Refused(
            f"there is no spool at {path.absolute()}, so nothing was looked at or changed. `mail2fax serve` makes it; "
            "one that is elsewhere is found by the settings of its node (--config FILE), or by [spool] url"
        )
    async with open_spool(settings, node=name) as spool:
        yield spool


@cache
def who() -> str:
    """The person at the keyboard, as the history names them: behind sudo the one who typed it."""
    with contextlib.suppress(KeyError, OSError):
        return os.environ.get("SUDO_USER") or getpass.getuser()
    return f"uid {os.getuid()}"


def tell(data: Any, text: str, *, as_json: bool) -> None:
    """Print one answer, for people or for machines."""
    if as_json:
        print_json(data)
    else:
        say(text)


def say(text: str, *, style: str = "") -> None:
    """Print a sentence for people; a command in it stands as it can be typed here."""
    out.print(hints.typed(text), style=style, highlight=False, soft_wrap=True, markup=False)


def warn(text: str, *, style: str = "") -> None:
    """The same on standard error: what a program that reads our output must not find in it."""
    err.print(hints.typed(text), style=style, highlight=False, soft_wrap=True, markup=False)


def print_json(data: Any) -> None:
    """Data for machines. Not by rich: that wraps at the width of the terminal it thinks it has."""
    typer.echo(json.dumps(data, indent=2, default=str, ensure_ascii=False))
