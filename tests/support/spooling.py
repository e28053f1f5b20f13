"""Short ways to put faxes into a spool and move them, for tests."""

from pathlib import Path

from sqlalchemy import update

from mail2fax.model import Document, Envelope, Fax, Headers, Receipt, Recipient, State
from mail2fax.spool import Spool, Work
from mail2fax.spool.database import schema
from mail2fax.spool.filing import Account

SENDER = "Anna@office.example"
MOMENTS = [
    column
    for table in (schema.faxes, schema.messages, schema.events, schema.notices, schema.troubles)
    for column in table.c
    if isinstance(column.type, schema.Moment)
]


def envelope(*numbers: str, sender: str = SENDER, line: str = "") -> Envelope:
    recipients = tuple(Recipient(f"{number}@fax.local", number, line=line) for number in numbers or ("6474959659",))
    return Envelope(sender, recipients, "127.0.0.1", helo="client.example")


async def put(spool: Spool, *numbers: str, content: bytes = b"mail", sender: str = SENDER, line: str = "") -> Receipt:
    incoming = spool.incoming()
    incoming.write(content)
    return await spool.put(envelope(*numbers, sender=sender, line=line), incoming)


async def claim(spool: Spool, work: str) -> Fax:
    (fax,), _ = await spool.claim(work, 1)
    return fax


async def file(spool: Spool, fax: Fax, content: bytes = b"%PDF-1.4", pages: int = 3) -> Fax:
    """Give a fax its document, as `prepare` does."""
    document = Document(f"{fax.message_id}..1", fax.message_id, pages, len(content), "0" * 64)
    with spool.workplace() as folder:
        Path(folder, "made.pdf").write_bytes(content)
        made = [(document, "", Path(folder, "made.pdf"), None)]
        return await spool.file(fax, Account(Headers(subject="Lab"), ()), made)


async def prepared(spool: Spool, *, content: bytes = b"mail", sender: str = SENDER, line: str = "") -> Fax:
    """A fax in state `prepared`, unclaimed."""
    await put(spool, content=content, sender=sender, line=line)
    return await file(spool, await claim(spool, Work.PREPARE))


async def submitting(spool: Spool, **how) -> Fax:
    """A fax in state `submitting`, claimed by us."""
    await prepared(spool, **how)
    return await spool.advance(await claim(spool, Work.SUBMIT), State.SUBMITTING, keep=True)


async def submitted(spool: Spool, **how) -> Fax:
    """A fax in state `submitted`, unclaimed and due."""
    return await spool.advance(await submitting(spool, **how), State.SUBMITTED, provider_ref="ref-1")


async def ended(spool: Spool, state: State = State.DELIVERED, **how) -> Fax:
    """A fax whose outcome is known, unclaimed, its reply owed."""
    await submitted(spool, **how)
    return await spool.advance(await claim(spool, Work.POLL), state, status="2.0.0")


async def replied(spool: Spool, state: State = State.DELIVERED, **how) -> Fax:
    """A fax on which nobody needs to act any more."""
    await ended(spool, state, **how)
    return await spool.replied(await claim(spool, Work.REPLY), "sent")


def shift(connection, seconds: float) -> None:
    """Let everything in the spool be so much earlier: as if the clock were so much later."""
    for column in MOMENTS:
        values = {column.name: column - seconds}
        connection.execute(update(column.table).where(column.is_not(None)).values(values))


async def later(spool: Spool, seconds: float) -> None:
    """Let so much time pass, as far as the spool can tell; however busy the machine is, it is not more."""
    await spool.change(shift, seconds)
