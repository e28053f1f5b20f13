"""A mail whose row is on disk and whose content is not: taken back, as if it had never come.

Both go to the disk at the same time, and only when both are there is the client told 250. So there may be a row without
its content when the disk fails, or when the machine stops in between. Nothing was promised: whoever sent it will send
it again, and must not be told then that it is known.

Functions of a connection, run by the writer.
"""

import hashlib
from collections.abc import Collection

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, exists, func, select

from mail2fax.contents import FolderContents, Kept
from mail2fax.model import State
from mail2fax.schema import deliveries, events, faxes, messages

_PROMISED_AFTER = 600  # seconds a client waits for our 250 (RFC 5321 section 4.5.3.2.6), and so do we for the disk


def withdraw(connection: Connection, message_ids: Collection[str]) -> None:
    """Forget these mails, but for faxes that have gone further: what they need is on disk by itself."""
    theirs = _received(faxes.c.message_id.in_(message_ids))
    fax_ids = list(connection.scalars(select(faxes.c.id).where(theirs)))
    connection.execute(delete(deliveries).where(deliveries.c.fax_id.in_(fax_ids)))
    connection.execute(delete(events).where(events.c.fax_id.in_(fax_ids)))
    connection.execute(delete(faxes).where(faxes.c.id.in_(fax_ids)))
    left = exists().where(faxes.c.message_id == messages.c.id)
    connection.execute(delete(messages).where(messages.c.id.in_(message_ids), ~left))


def after_power_cut(connection: Connection, contents: FolderContents) -> list[str]:
    """Withdraw the mails whose content was on its way to the disk when the machine stopped. Their ids."""
    last = select(func.max(messages.c.received_at)).scalar_subquery()
    candidates = select(messages).where(
        messages.c.content.is_(None),
        messages.c.received_at > last - _PROMISED_AFTER,
        exists().where(_received(faxes.c.message_id == messages.c.id)),
    )
    lost = [row["id"] for row in connection.execute(candidates).mappings() if not _whole(row, contents)]
    withdraw(connection, lost)
    return lost


def _received(which: ColumnElement[bool]) -> ColumnElement[bool]:
    return which & (faxes.c.state == State.RECEIVED.value)


def _whole(row: RowMapping, contents: FolderContents) -> bool:
    place = Kept(None, row["segment"], row["start"]).place
    try:
        if place:
            digest = hashlib.sha256(contents.read(place, row["size"]))
        else:
            with (contents.folder / row["id"]).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256")
    except FileNotFoundError:
        return False
    return bool(digest.hexdigest() == row["sha256"])
