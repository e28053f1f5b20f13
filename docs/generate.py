"""Writes what is generated in this folder: `make docs`. tests/project/test_docs.py holds the pages against the code.

configuration.md comes from the settings, commands.md from the commands' own --help, demo.svg from a real run.
"""

import asyncio
import io
import re
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from typer.core import TyperArgument
from typer.main import get_command

from docs import reference
from mail2fax.cli.main import app

HERE = Path(__file__).parent
OPENING = """\
# Commands

<!-- Made by `make docs` from the commands' own words. Change them in mail2fax/cli/ instead. -->

Every command takes `--config FILE` (or `MAIL2FAX_CONFIG` in the environment; without either it takes
`/etc/mail2fax/mail2fax.toml`, if that is there) and `--help`; those that print data take `--json`. Run as root, a
command that opens the spool goes on as the spool's owner. Exit status: 0 done, 1 failed or refused, 2 wrong usage or
settings.

`mail2fax --install-completion` teaches your shell the commands and their options.
"""
_SHARED = {"--config", "--json", "--help"}
_COLOURS = TerminalTheme(
    (250, 250, 248),
    (40, 44, 52),
    [
        (40, 44, 52),
        (190, 45, 45),
        (20, 125, 60),
        (150, 100, 0),
        (30, 90, 180),
        (135, 60, 150),
        (0, 115, 130),
        (110, 115, 122),
    ],
)


def commands() -> str:
    """docs/commands.md."""
    found = get_command(app).commands.items()
    return OPENING + "".join(line for name, command in found for line in _command(name, command))


def _is_shared(option: object) -> bool:
    """What the opening tells of all commands; the demo's --config is another."""
    return option.opts[0] in _SHARED and (option.opts[0] != "--config" or bool(option.envvar))


def _command(name: str, command: object) -> Iterator[str]:
    arguments = [p for p in command.params if isinstance(p, TyperArgument)]
    options = [p for p in command.params if not isinstance(p, TyperArgument) and not _is_shared(p)]
    usage = " ".join(_shown(argument) for argument in arguments)
    yield f"\n## mail2fax {name}\n\n"
    yield f"`{f'mail2fax {name} {usage}'.strip()}`\n\n{' '.join(command.help.split())}\n"
    if arguments or options:
        yield "\n| | |\n|---|---|\n"
    yield from (f"| `{_shown(argument)}` | {argument.help} |\n" for argument in arguments)
    yield from (f"| `{', '.join(option.opts)}` | {_explained(option)} |\n" for option in options)


def _shown(argument: TyperArgument) -> str:
    name = argument.metavar or argument.name.upper()
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _explained(option: object) -> str:
    default = (
        f" Default: `{option.default}`."
        if isinstance(option.default, str | int) and option.default not in {"", False}
        else ""
    )
    return f"{option.help or ''}{default}".strip()


def picture() -> str:
    """A real run of `mail2fax demo` as an SVG, with fonts of the reader's own machine and none fetched."""
    from mail2fax.cli import demo  # noqa: PLC0415 -- the tests that hold the pages against the code need no running bridge

    screen = Console(record=True, width=104, force_terminal=True, file=io.StringIO(), legacy_windows=False)
    if asyncio.run(demo.run(screen, None, keep=False)):
        raise SystemExit("the demo failed: no picture of it was made")
    drawn = screen.export_svg(title="$ mail2fax demo", theme=_COLOURS, unique_id="demo")
    return re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)


if __name__ == "__main__":
    (HERE / "configuration.md").write_text(reference.configuration(), "utf-8")
    (HERE / "commands.md").write_text(commands(), "utf-8")
    (HERE / "demo.svg").write_text(picture(), "utf-8")
