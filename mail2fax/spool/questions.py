"""What steps, commands and pages may ask the spool: one fax, its history, counts, budgets. Nothing here writes.

Functions of a connection, for `Spool.read`. Lists of faxes are in `search`, the status page's questions in `overview`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, case, func, select

from mail2fax.model import (
    ERROR,
    FINAL,
    HELD_KINDS,
    NO_CREDIT,
    Document,
    Event,
    Fax,
    Message,
    NoSuch,
    Reason,
    State,
    Usage,
)
from mail2fax.rules import senders
from mail2fax.spool.database import rows
from mail2fax.spool.database.schema import documents, events, faxes, messages, notices, now, troubles
from mail2fax.spool.database.sql import CLOCK

_HOUR, _DAY = 3600, 86_400

# What each fax's way asks, built once: that takes longer than asking it.
_MESSAGE = select(*(column for column in messages.c if column.name != "content")).where(
    messages.c.id == bindparam("message")
)
_REFUSAL = select(messages.c.refused).where(messages.c.id == bindparam("message"))
_DOCUMENTS = (
    select(*(documents.c[name] for name in ("id", "message_id", "pages", "size", "sha256")))
    .where(documents.c.message_id == bindparam("message"), documents.c.variant == bindparam("kind"))
    .order_by(documents.c.position)
)
_NUMBERS = select(func.count(faxes.c.recipient.distinct())).where(
    faxes.c.message_id == bindparam("message"), faxes.c.retry_of == ""
)
_REPLIES = select(func.count()).where(
    faxes.c.sender == bindparam("reverse_path"), faxes.c.reply == "sent", faxes.c.replied_at > now() - _HOUR
)
_OTHERS_OF_REF = (
    select(faxes.c.id).where(faxes.c.provider_ref == bindparam("ref"), faxes.c.id != bindparam("fax")).limit(3)
)
_NO_CREDIT_SINCE = select(troubles.c.since).where(troubles.c.line == bindparam("of"), troubles.c.kind == NO_CREDIT)


@dataclass(frozen=True, slots=True)
class Correspondence:
    """What a reply is written by, besides its fax."""

    message: Message
    numbers: int  # that the mail went to
    replies: int  # sent to its reverse-path in the last hour


@dataclass(frozen=True, slots=True)
class Trouble:
    """A fax line the provider does not take faxes on now."""

    line: str
    kind: str  # "held", "no-credit", "busy" or "unreachable"
    failures: int
    since: Any
    closed_until: Any
    note: str

    @property
    def held(self) -> bool:
        """Whether somebody has to mend it."""
        return self.kind in HELD_KINDS


@dataclass(frozen=True, slots=True)
class Piece:
    """One of the mails that a mail was split into: what the reply to all of them needs of it."""

    id: str  # of its fax
    reply: str
    replied_at: datetime | None


def message(connection: Connection, message_id: str) -> Message:
    """One mail, without its content. Raises NoSuch when there is none."""
    row = connection.execute(_MESSAGE, {"message": message_id}).mappings().one_or_none()
    if row is None:
        raise NoSuch(f"{message_id}: no such mail")
    return rows.message(row)


def correspondence(connection: Connection, fax: Fax) -> Correspondence:
    """What the reply about a fax is written by, in one question. Raises Refused when there is no such mail."""
    about = message(connection, fax.message_id)
    return Correspondence(about, numbers(connection, about.id), replies_this_hour(connection, fax.sender))


def others_of_ref(connection: Connection, ref: str, fax_id: str) -> list[str]:
    """Other faxes to which the provider gave this reference, too: three at the most."""
    return list(connection.scalars(_OTHERS_OF_REF, {"ref": ref, "fax": fax_id}))


def at_provider(connection: Connection) -> int:
    """Faxes that the provider has, and whose outcome is not known yet."""
    return connection.scalar(select(func.count()).where(faxes.c.state == State.SUBMITTED.value)) or 0


def named(connection: Connection, name: str) -> list[Fax]:
    """The fax of this id, or all faxes of the mail of this id. Raises NoSuch when there is none."""
    query = select(*faxes.c, CLOCK).where(of_name(name)).order_by(faxes.c.received_at, faxes.c.id)
    found = [rows.fax(row) for row in connection.execute(query).mappings()]
    if not found:
        raise no_such_fax(name)
    return found


def of_name(name: str) -> ColumnElement[bool]:
    """The fax of this id, or all faxes of the mail of this id."""
    name = name.upper()
    return faxes.c.id == name if "-" in name else faxes.c.message_id == name


def no_such_fax(name: str) -> NoSuch:
    """What to raise when there is none."""
    return NoSuch(f"{name.upper()}: no such fax; the list of faxes shows those there are")


def numbers(connection: Connection, message_id: str) -> int:
    """How many numbers a mail went to, mistyped ones among them."""
    return connection.scalar(_NUMBERS, {"message": message_id}) or 0


def history(connection: Connection, fax_id: str) -> list[Event]:
    """All events of one fax, oldest first."""
    query = select(events).where(events.c.fax_id == fax_id).order_by(events.c.id)
    return [rows.event(row) for row in connection.execute(query).mappings()]


def errors(connection: Connection, fax_id: str) -> int:
    """How many steps of this fax, or notice, ended in an error of our own since it came into its state."""
    moved = events.c.what.in_([state.value for state in State])
    since = select(func.coalesce(func.max(events.c.id), 0)).where(events.c.fax_id == fax_id, moved).scalar_subquery()
    query = select(func.count()).where(events.c.fax_id == fax_id, events.c.what == ERROR, events.c.id > since)
    return connection.scalar(query) or 0


def made(connection: Connection, message_id: str, variant: str) -> tuple[dict[str, Any], list[Document]]:
    """Why no document can be made of a mail, if that is known; and those already made, for one variant, in order."""
    refused = rows.load(connection.scalar(_REFUSAL, {"message": message_id}))
    found = connection.execute(_DOCUMENTS, {"message": message_id, "kind": variant})
    return refused, [Document(*row) for row in found]


def preview(connection: Connection, document_id: str) -> bytes | None:
    """The picture of the first page, if one was made."""
    picture: bytes | None = connection.scalar(select(documents.c.preview).where(documents.c.id == document_id))
    return picture


def size(connection: Connection, document_id: str) -> int:
    """Bytes of a prepared document; 0 if there is none."""
    return connection.scalar(select(documents.c.size).where(documents.c.id == document_id)) or 0


def usage(connection: Connection, sender: str | None) -> Usage:
    """Faxes and pages of the last hour and day, of one reverse-path or of all."""
    lately = faxes.c.received_at > now() - _HOUR
    pages = func.coalesce(faxes.c.pages, 0)
    query = select(
        func.count(case((lately, 1))),
        func.count(),
        func.coalesce(func.sum(case((lately, pages), else_=0)), 0),
        func.coalesce(func.sum(pages), 0),
    ).where(_counted(), faxes.c.received_at > now() - _DAY)
    if sender is not None:
        query = query.where(faxes.c.sender == senders.behind(sender))
    return Usage(*connection.execute(query).one())


def _counted() -> ColumnElement[bool]:
    """What was refused before the provider saw it costs nothing."""
    return (faxes.c.number != "") & ~and_(
        faxes.c.state.in_([State.FAILED.value, State.CANCELLED.value]), faxes.c.submissions == 0
    )


def number_today(connection: Connection, number: str) -> int:
    """Faxes to one number in the last 24 hours."""
    query = select(func.count()).where(_counted(), faxes.c.number == number, faxes.c.received_at > now() - _DAY)
    return connection.scalar(query) or 0


def replies_this_hour(connection: Connection, sender: str) -> int:
    """Replies sent to one reverse-path in the last hour."""
    return connection.scalar(_REPLIES, {"reverse_path": senders.behind(sender)}) or 0


def pieces(connection: Connection, fax: Fax) -> list[Piece]:
    """The pieces of one mail that was split, as far as they came within a day of this one, the first one first."""
    query = select(*(faxes.c[name] for name in ("id", "reply", "replied_at", "detail"))).where(
        faxes.c.sender == fax.sender,
        faxes.c.number == fax.number,
        faxes.c.received_at.between(fax.received_at - timedelta(days=1), fax.received_at + timedelta(days=1)),
        faxes.c.reason == Reason.SPLIT_MAIL.value,
    )
    split = fax.detail.get("split")
    return [
        Piece(row.id, row.reply, row.replied_at)
        for row in connection.execute(query.order_by(faxes.c.id))
        if rows.load(row.detail).get("split") == split
    ]


def waiting(connection: Connection) -> int:
    """Faxes whose outcome is not known yet."""
    return connection.scalar(select(func.count()).where(faxes.c.state.in_(_open_states()))) or 0


def trouble_list(connection: Connection) -> list[Trouble]:
    """Fax lines that are shut, longest first."""
    return [Trouble(**row) for row in connection.execute(select(troubles).order_by(troubles.c.since)).mappings()]


def last_notice(connection: Connection, prefix: str) -> str:
    """The id of the mail that was owed last of those whose ids begin so; "" if none was."""
    query = select(notices.c.id).where(notices.c.id.startswith(prefix, autoescape=True))
    return connection.scalar(query.order_by(notices.c.created_at.desc()).limit(1)) or ""


def told_better(connection: Connection, fax: Fax) -> bool:
    """Whether this fax's line has no credit by what a poll said before this fax was submitted."""
    since = connection.scalar(_NO_CREDIT_SINCE, {"of": fax.line})
    return bool(since and fax.submitted_at and fax.submitted_at > since)


def _open_states() -> list[str]:
    return [state.value for state in State if state not in FINAL]
