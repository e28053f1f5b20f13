"""A mail whose row is on disk and whose content is not: taken back, as if it had never come.

Both go to the disk at the same time, and only when both are there is the client told 250. So there may be a row without
its content when the disk fails, or when the machine stops in between. Nothing was promised: whoever sent it will send
it again, and must not be told then that it is known.

At start that is found out by reading: what is whole is made safe, what is not is withdrawn, unless it was tried
already; then its sender has to hear of it.
"""

import hashlib
import os
from collections.abc import Collection, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, exists, func, select

from mail2fax import log
from mail2fax.model import State
from mail2fax.spool.contents import CHUNK, Kept
from mail2fax.spool.contents.segments import Place
from mail2fax.spool.database.fsync import sync_folder
from mail2fax.spool.database.schema import deliveries, events, faxes, messages, now

_PATIENCE = 600  # seconds a client waits for our 250, at least (RFC 5321 section 4.5.3.2.6)


def withdraw(connection: Connection, message_ids: Collection[str]) -> set[str]:
    """Forget these mails, but for faxes that have gone further: what they need is on disk by itself.

    The ids of those of which nothing is left.
    """
    theirs = _received(faxes.c.message_id.in_(message_ids))
    fax_ids = list(connection.scalars(select(faxes.c.id).where(theirs)))
    connection.execute(delete(deliveries).where(deliveries.c.fax_id.in_(fax_ids)))
    connection.execute(delete(events).where(events.c.fax_id.in_(fax_ids)))
    connection.execute(delete(faxes).where(faxes.c.id.in_(fax_ids)))
    left = exists().where(faxes.c.message_id == messages.c.id)
    connection.execute(delete(messages).where(messages.c.id.in_(message_ids), ~left))
    return set(message_ids) - set(connection.scalars(select(messages.c.id).where(messages.c.id.in_(message_ids))))


class Uncertain(NamedTuple):
    """A mail of which it is not known whether its content is on disk."""

    id: str
    place: Place | None
    size: int
    sha256: str
    tried: bool  # a fax of it was acted on in vain: somebody went on after it came


def uncertain(connection: Connection) -> list[Uncertain]:
    """The mails that the last node may have left on their way to the disk, in the order in which they lie there.

    Older ones than a client waits were promised. Mails from the future, of a clock that was wrong, do not make those of
    today old.
    """
    last = select(func.max(messages.c.received_at)).where(messages.c.received_at <= now()).scalar_subquery()
    theirs = faxes.c.message_id == messages.c.id
    columns = (messages.c.id, messages.c.segment, messages.c.start, messages.c.size, messages.c.sha256)
    query = (
        select(*columns, exists().where(theirs, faxes.c.attempts > 0))
        .where(
            messages.c.content.is_(None),
            messages.c.received_at > func.coalesce(last - _PATIENCE, 0),
            exists().where(_received(theirs)),
        )
        .order_by(messages.c.segment, messages.c.start)
    )
    return [
        Uncertain(name, Kept(None, segment, start).place, size, sha256, tried)
        for name, segment, start, size, sha256, tried in connection.execute(query)
    ]


def rewrite_all(mails: Sequence[Uncertain], folder: Path) -> tuple[list[Uncertain], list[Uncertain]]:
    """Bring on disk what is there. Those of which not all is there; and those that the disk does not take.

    The page cache outlives a process: it may hold what never came to the disk, and after a sync that failed the kernel
    takes that for written. So all of it is written once more.
    """
    broken: list[Uncertain] = []
    refused: list[Uncertain] = []
    for name, theirs in groupby(mails, lambda mail: mail.place.segment if mail.place else mail.id):
        here = list(theirs)
        try:
            broken += _rewritten(folder / name, here)
        except FileNotFoundError:
            broken += here
        except OSError as error:
            log.unsafe(file=name, error=error)
            refused += here
    if mails:
        sync_folder(folder)
    return broken, refused


def _received(which: ColumnElement[bool]) -> ColumnElement[bool]:
    return which & (faxes.c.state == State.RECEIVED.value)


def _rewritten(path: Path, mails: Sequence[Uncertain]) -> list[Uncertain]:
    """Write what is there of these mails once more, and sync it. Those of which not all is there."""
    with path.open("r+b", buffering=0) as file:
        broken = [mail for mail in mails if _digest_of_rewritten(file.fileno(), mail) != mail.sha256]
        os.fsync(file.fileno())
    return broken


def _digest_of_rewritten(file: int, mail: Uncertain) -> str:
    at = mail.place.start if mail.place else 0
    digest, end = hashlib.sha256(), at + mail.size
    while data := os.pread(file, min(CHUNK, end - at), at):
        digest.update(data)
        at += os.pwrite(file, data, at)
    return digest.hexdigest()
