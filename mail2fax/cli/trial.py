"""`mail2fax test`: one page the real way, to a fax machine of your own, followed until its reply is handed over."""

import asyncio
import socket
import sys
from datetime import datetime
from typing import Annotated

import typer

from mail2fax import timezones
from mail2fax.cli import following, send
from mail2fax.cli.console import ConfigFile, load, out, say, the_spool
from mail2fax.config import Settings
from mail2fax.model import Fax, Refused, State
from mail2fax.rules.address import pretty
from mail2fax.spool import Spool, database_file, is_served, operator, questions

_LOOK = 0.5  # seconds between two looks at the history
_PAGE = """\
mail2fax: a test page

Sent        {date}
To          {number}
From        {host}
Reply to    {sender}

If you can read this, faxes arrive here. Nothing needs to be done.

{scale}
ABCDEFGHIJKLMNOPQRSTUVWXYZ  abcdefghijklmnopqrstuvwxyz  0123456789
"""


def fax_test_page(
    number: Annotated[str, typer.Argument(help="A fax machine of your own.")],
    sender: Annotated[str, typer.Option(help="Who gets the reply; else [reply] admin.")] = "",
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for the end.")] = 1800,
    config_file: ConfigFile = None,
) -> None:
    """Fax a page with the date, and follow it to its end: whether it arrived, and whether the reply came through.

    Costs one page. A `mail2fax serve` has to run. Exit status 0: delivered, and the mail server took the reply.
    """
    settings = load(config_file)
    if not is_served(settings):
        path = database_file(settings)
        raise Refused(
            f"no `mail2fax serve` runs on the spool at {path and path.absolute()}, so nothing would be sent: "
            "start it (installed, by systemctl start mail2fax)"
        )
    sender = sender or settings.reply.admin_mailbox
    fax, last = asyncio.run(_send_and_follow(settings, number, sender, timeout))
    arrived, told = fax.state is State.DELIVERED, last == "reply sent"
    say(_said(fax, last, sender), style="green" if arrived and told else "red")
    if not (arrived and told):
        sys.exit(1)


async def _send_and_follow(settings: Settings, number: str, sender: str, timeout: float) -> tuple[Fax, str]:  # noqa: ASYNC109 -- said when it is over
    async with the_spool(settings) as spool:
        if paused := await spool.read(operator.paused):
            raise Refused(f"sending is paused, by {paused.who}, so nothing would be sent: see `mail2fax resume`")
        document = ("test page.pdf", page(settings, number, sender))
        receipt = await send.send(settings, spool, number, [document], sender=sender, subject="Test page")
        fax_id = f"{receipt.queue_id}-1"
        last = ""
        try:
            async with asyncio.timeout(timeout):
                last = await following.follow(out, spool, fax_id, every=_LOOK)
        except TimeoutError:
            out.print(f"Not over after {timeout:.0f} s; it goes on by itself.", style="yellow")
        return await _found(spool, fax_id), last


async def _found(spool: Spool, fax_id: str) -> Fax:
    (fax,) = await spool.read(questions.named, fax_id)
    return fax


def page(settings: Settings, number: str, sender: str) -> bytes:
    """The test page, a PDF."""
    from mail2fax.documents.pages import typeset  # noqa: PLC0415 -- Typst takes a moment to load

    now = datetime.now(timezones.zone(settings.reply.time_zone))
    date = f"{now:%Y-%m-%d %H:%M:%S} {timezones.offset(now)}"
    scale = "".join(f"{mark:<10}" for mark in range(0, 80, 10)) + "\n" + "|----.----" * 8
    text = _PAGE.format(date=date, number=number, host=socket.gethostname(), sender=sender, scale=scale)
    return typeset.plain("test page", text, max_pages=1)


def _said(fax: Fax, last: str, sender: str) -> str:
    to = pretty(fax.number)
    outcome = {
        State.DELIVERED: f"Delivered to {to}.",
        State.FAILED: f"It did not arrive at {to}.",
        State.UNKNOWN: f"Whether it arrived at {to} is not known: look at the machine.",
    }.get(fax.state, f"{to}: {fax.state}.")
    reply = {
        "reply sent": f"The mail server took the reply to {sender}: is it in the mailbox?",
        "": "No reply yet.",
    }.get(last, f"The reply to {sender} did not come through: {last.removeprefix('reply ')}.")
    return f"{outcome} {reply} See: mail2fax show {fax.id}"
