"""A fax, followed at the terminal: each event of its history as it happens, until its reply is on the way."""

import asyncio

from rich.console import Console
from rich.text import Text

from mail2fax.model import Event
from mail2fax.spool import Spool, questions

_WORDS = {
    "received": "accepted: on disk, the client has its 250",
    "prepared": "one letter-size document made, in a process of its own",
    "submitting": "all but the last bytes are at the provider; committed",
    "submitted": "the provider took it",
    "poll": "the provider says",
    "delivered": "the provider says Success",
    "reply sent": "the reply is handed to the sender's mail server",
    "reply undeliverable": "the sender's mail server does not take the reply",
}
_LAST = "reply "  # how the last event begins: reply sent, suppressed, undeliverable


async def follow(out: Console, spool: Spool, fax_id: str, *, every: float) -> str:
    """Print each event, looking every so many seconds, until the reply was handed over or given up. The last event."""
    shown = 0
    while True:
        events = await spool.read(questions.history, fax_id)
        for event in events[shown:]:
            _show(out, events[0], event)
        shown = len(events)
        if events and events[-1].what.startswith(_LAST):
            return events[-1].what
        await asyncio.sleep(every)


def _show(out: Console, first: Event, event: Event) -> None:
    after = f"{(event.at - first.at).total_seconds():6.2f} s"
    said = _WORDS.get(event.what, "")
    detail = ", ".join(f"{key}: {value}" for key, value in event.detail.items())
    colour = "green" if event.what in {"delivered", "reply sent"} else "cyan"
    line = Text.assemble(
        (f"{after}  ", "dim"), (event.what.ljust(15), colour), said, (f"  {detail}" if detail else "", "dim")
    )
    out.print(line, soft_wrap=True)
