"""mail2fax(1), made of the commands' own words: `python -m docs.man`. The Debian package installs it."""

import re
from collections.abc import Iterator
from typing import Any

from typer.core import TyperArgument
from typer.main import get_command

from mail2fax import __version__
from mail2fax.cli.main import app

_OPENING = """\
.TH MAIL2FAX 1 "" "mail2fax {version}" "User Commands"
.SH NAME
mail2fax \\- an email-to-fax bridge
.SH SYNOPSIS
.B mail2fax
.I COMMAND
.RI [ OPTIONS ]
.SH DESCRIPTION
Mail a PDF to a fax number; it is faxed, and a reply tells how it went.
Every command takes
.BR \\-\\-config ,
.BR \\-\\-help ,
and those that print data
.BR \\-\\-json .
Run as root, a command that opens the spool goes on as the spool's owner.
.SH COMMANDS
"""
_CLOSING = """\
.SH FILES
.TP
.I /etc/mail2fax/mail2fax.toml
The settings, when no others are named.
.TP
.I /var/lib/mail2fax
The spool.
.SH ENVIRONMENT
.TP
.B MAIL2FAX_CONFIG
The settings' file.
.TP
.B MAIL2FAX_SECTION__KEY
One setting; goes before the file.
.SH EXIT STATUS
0 done, 1 failed or refused, 2 wrong usage or settings.
.B check \\-\\-running
ends as a plugin for Nagios does: 0, 1, 2, 3.
"""
_EVERYWHERE = {"--config", "--json", "--help"}


def page() -> str:
    """The manual page, in roff."""
    commands = get_command(app).commands.items()  # type: ignore[attr-defined]
    told = "".join(line for name, command in commands for line in _command(name, command))
    return _OPENING.format(version=__version__) + told + _CLOSING


def _command(name: str, command: Any) -> Iterator[str]:
    arguments = [one for one in command.params if isinstance(one, TyperArgument)]
    usage = " ".join(f"\\fI{_plain(one.metavar or one.name.upper())}\\fR" for one in arguments)
    yield f".SS \\fBmail2fax {name}\\fR {usage}\n{_plain(command.help)}\n"
    for one in command.params:
        if isinstance(one, TyperArgument):
            yield f".TP\n.I {_plain(one.metavar or one.name.upper())}\n{_plain(one.help)}\n"
        elif one.opts[0] not in _EVERYWHERE:
            yield f".TP\n.B {_plain(', '.join(one.opts))}\n{_plain(one.help or '')}\n"


def _plain(text: str) -> str:
    """Words on one line, with nothing that roff would take for its own."""
    line = re.sub(r"\s+", " ", text).replace("\\", "\\e").replace("-", "\\-").replace("`", "")
    return re.sub(r"^([.'])", r"\\&\1", line)


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201 -- its output is the page
