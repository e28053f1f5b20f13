"""A mail whose row is on disk and whose content is not: taken back, as if it had never come.

Both go to the disk at the same time, and only when both are there is the client told 250. So there may be a row without
its content when the disk fails, or when the machine stops in between. Nothing was promised: whoever sent it will send
it again, and must not be told then that it is known.

Functions of a connection, run by the writer.
"""

import hashlib
import os
from collections.abc import Collection
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, exists, func, select

from mail2fax import log
from mail2fax.contents import CHUNK, FolderContents
from mail2fax.journal import sync_folder
from mail2fax.model import State
from mail2fax.schema import deliveries, events, faxes, messages, now

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


def after_crash(connection: Connection, contents: FolderContents) -> set[str]:
    """Make the contents of mails safe that were on their way to the disk, and withdraw those that did not get there.

    A mail that is older than a client waits was promised, and so was one that was tried in vain: should its content be
    gone, its sender has to hear of it. Mails from the future, of a clock that was wrong, do not make those of today
    old. The ids of those withdrawn.
    """
    last = select(func.max(messages.c.received_at)).where(messages.c.received_at <= now()).scalar_subquery()
    theirs = faxes.c.message_id == messages.c.id
    candidates = select(messages).where(
        messages.c.content.is_(None),
        messages.c.received_at > func.coalesce(last - _PATIENCE, 0),
        exists().where(_received(theirs)),
        ~exists().where(theirs, faxes.c.attempts > 0),
    )
    rows = list(connection.execute(candidates).mappings())
    lost = {row["id"] for row in rows if not _made_safe(row, contents.folder)}
    if rows:
        sync_folder(contents.folder)
    return withdraw(connection, lost)


def _received(which: ColumnElement[bool]) -> ColumnElement[bool]:
    return which & (faxes.c.state == State.RECEIVED.value)


def _made_safe(row: RowMapping, folder: Path) -> bool:
    """Whether all of a content is there; then it is on disk."""
    try:
        digest = _rewritten(folder / (row["segment"] or row["id"]), row["start"] or 0, row["size"])
    except FileNotFoundError:
        return False
    except OSError as error:  # it may be there, and promised: whoever takes it apart meets the same, and tells
        log.unreadable(mail=row["id"], error=error)
        return True
    return bool(digest == row["sha256"])


def _rewritten(path: Path, start: int, size: int) -> str:
    """Write what is there once more, and sync it. Its sha256.

    The page cache outlives a process: it may hold what never came to the disk, and after a sync that failed the kernel
    takes that for written.
    """
    digest, end = hashlib.sha256(), start + size
    with path.open("r+b", buffering=0) as file:
        while data := os.pread(file.fileno(), min(CHUNK, end - start), start):
            digest.update(data)
            start += os.pwrite(file.fileno(), data, start)
        os.fsync(file.fileno())
    return digest.hexdigest()
