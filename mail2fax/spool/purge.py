"""What was kept long enough goes: first contents and documents, later the history.

Functions of a connection, run by the writer, each for a few mails at a time: no transaction is long.
"""

from sqlalchemy import Connection, Select, delete, exists, func, select, update

from mail2fax.spool.contents import Contents
from mail2fax.spool.contents.segments import Place
from mail2fax.spool.database.schema import deliveries, documents, events, faxes, messages, notices, now
from mail2fax.spool.intake import DUPLICATE_SECONDS

_DAY = 86_400
_AT_ONCE = 100  # mails in one transaction


def contents(connection: Connection, place: Contents, keep_days: float) -> int:
    """Delete the bytes of mails whose last fax ended, and was told, so many days ago. How many mails."""
    ended = func.max(faxes.c.finished_at)
    done = (
        select(faxes.c.message_id)
        .join(messages, messages.c.id == faxes.c.message_id)
        .where(messages.c.purged_at.is_(None))
        .group_by(faxes.c.message_id)
        .having(func.count() == func.count(faxes.c.replied_at), ended < now() - keep_days * _DAY)
        .limit(_AT_ONCE)
    )
    found = list(connection.scalars(done)) + list(connection.scalars(_passed_on(keep_days)))
    # Locked, and looked at again: an operator may just be sending one of them again (operator.retry locks it, too).
    connection.execute(select(messages.c.id).where(messages.c.id.in_(found)).order_by(messages.c.id).with_for_update())
    waiting = faxes.c.message_id.in_(found), faxes.c.replied_at.is_(None)
    mails = set(found) - set(connection.scalars(select(faxes.c.message_id).where(*waiting)))
    for message_id in mails:
        _empty(connection, place, message_id)
    return len(mails)


def _passed_on(keep_days: float) -> Select[tuple[str]]:
    """Mails without a fax: postmaster's, once they were passed on."""
    owed = exists().where(notices.c.message_id == messages.c.id, notices.c.outcome == "")
    faxed = exists().where(faxes.c.message_id == messages.c.id)
    old = messages.c.received_at < now() - keep_days * _DAY
    return select(messages.c.id).where(messages.c.purged_at.is_(None), old, ~owed, ~faxed).limit(_AT_ONCE)


def _empty(connection: Connection, place: Contents, message_id: str) -> None:
    for document_id in connection.scalars(select(documents.c.id).where(documents.c.message_id == message_id)):
        place.remove(connection, document_id)
    connection.execute(delete(documents).where(documents.c.message_id == message_id))
    where = select(messages.c.segment, messages.c.start, messages.c.size).where(messages.c.id == message_id)
    segment, start, size = connection.execute(where).one()
    if segment:
        place.blank(Place(segment, start), size)
    else:
        place.remove(connection, message_id)
    nothing = {"content": None, "segment": None, "start": None}
    connection.execute(update(messages).where(messages.c.id == message_id).values(purged_at=now(), **nothing))


def histories(connection: Connection, history_days: float) -> int:
    """Delete the rows of mails that were emptied and are older than the history is kept. How many mails."""
    connection.execute(delete(deliveries).where(deliveries.c.at < now() - DUPLICATE_SECONDS))
    old = (
        select(messages.c.id)
        .where(messages.c.purged_at.is_not(None), messages.c.received_at < now() - history_days * _DAY)
        .limit(_AT_ONCE)
    )
    mails = list(connection.scalars(old))
    theirs = select(faxes.c.id).where(faxes.c.message_id.in_(mails))
    connection.execute(delete(events).where(events.c.fax_id.in_(theirs)))
    connection.execute(delete(notices).where(notices.c.message_id.in_(mails)))
    connection.execute(delete(faxes).where(faxes.c.message_id.in_(mails)))
    connection.execute(delete(messages).where(messages.c.id.in_(mails)))
    return len(mails)
