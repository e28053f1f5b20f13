"""What the commands share: the options each has, and how they print."""

import contextlib
import getpass
import json
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from mail2fax import log
from mail2fax.config import Settings, loader
from mail2fax.spool import Spool, database_file, open_spool

out = Console()
# A line of a table stays one in a pipe, for grep.
wide = out if out.is_terminal or "COLUMNS" in os.environ else Console(width=250)
err = Console(stderr=True)

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", envvar="MAIL2FAX_CONFIG", metavar="FILE", help="The settings, a TOML file."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
FaxId = Annotated[str, typer.Argument(metavar="ID", help="A queue id, as the 250, the log and the reply name it.")]


def load(file: Path | None) -> Settings:
    """The settings, with the log set up as they say."""
    settings = loader.load(file, os.environ)
    log.configure(settings.log.format, settings.log.level)
    return settings


@contextlib.asynccontextmanager
async def the_spool(file: Path | None, *, make: bool = False) -> AsyncIterator[Spool]:
    """The spool that the settings name, for one command. One that is not there is empty, and not made unless asked."""
    with contextlib.ExitStack() as stack:
        settings = load(file)
        path = database_file(settings)
        if path and not path.exists() and not make:
            # Most likely the wrong folder or the wrong settings, and an empty answer would not tell.
            said = f"{path.absolute()} does not exist: [spool] url names it, `mail2fax serve` makes it."
            err.print(said, soft_wrap=True, markup=False)
            settings = _elsewhere(settings, stack.enter_context(tempfile.TemporaryDirectory()))
        async with open_spool(settings, node=who()) as spool:
            yield spool


def _elsewhere(settings: Settings, folder: str) -> Settings:
    spool = settings.spool.model_copy(update={"url": f"sqlite:///{folder}/spool.db"})
    return settings.model_copy(update={"spool": spool})


def who() -> str:
    """The person at the keyboard, as the history names them."""
    with contextlib.suppress(KeyError, OSError):
        return getpass.getuser()
    return f"uid {os.getuid()}"


def tell(data: Any, text: str, *, as_json: bool) -> None:
    """Print one answer, for people or for machines."""
    if as_json:
        # Not out.print_json: that wraps at the width of the terminal it thinks it has.
        typer.echo(json.dumps(data, indent=2, default=str, ensure_ascii=False))
    else:
        out.print(text, highlight=False, soft_wrap=True, markup=False)
