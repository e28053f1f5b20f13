"""Mails that are owed besides outcomes: "still trying", postmaster's mail, a word to the administrator.

Functions of a connection, run by the writer.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, func, select, update

from mail2fax.model import ERROR, FINAL, Notice, State
from mail2fax.spool.database.schema import faxes, notices, now
from mail2fax.spool.database.sql import unless_known
from mail2fax.spool.moves import plain_columns, write_event


def owe(
    connection: Connection,
    notice_id: str,
    kind: str,
    recipient: str,
    about: Mapping[str, Any],
    *,
    most: int = 0,
) -> None:
    """Owe a mail besides the outcome; `about` fills fax_id, message_id and detail. Owing it twice is owing it once.

    `most`: of this kind about one fax, further ones are not owed; 0 for any number.
    """
    same = select(func.count()).where(notices.c.kind == kind, notices.c.fax_id == about.get("fax_id", ""))
    if most and (connection.scalar(same) or 0) >= most:
        return
    values = {"id": notice_id, "kind": kind, "recipient": recipient, **plain_columns(about)}
    connection.execute(unless_known(connection, notices).values(created_at=now(), due_at=now()), values)


def settle(connection: Connection, owed: Notice, outcome: str, due_in: float | None) -> None:
    """A notice was sent, given up, or (with `due_in`) is tried again later."""
    values: dict[str, Any] = {"attempts": owed.attempts + 1, "lease": "", "outcome": outcome, "due_at": None}
    if due_in is not None:
        values["due_at"] = now() + due_in
    connection.execute(update(notices).where(notices.c.id == owed.id, notices.c.lease == owed.lease).values(values))


def failed(connection: Connection, owed: Notice, who: str, due_in: float | None) -> None:
    """A notice ended in an error of our own: it is tried again, or (without `due_in`) given up."""
    write_event(connection, owed.id, ERROR, who, {"error": "internal"})
    settle(connection, owed, "" if due_in is not None else "undeliverable", due_in)


def delays(connection: Connection, seconds: float, limit: int) -> Sequence[str]:
    """Owe a "still trying" mail for every fax that has waited this long and was not told. Their ids."""
    waiting = select(faxes.c.id).where(
        faxes.c.state.in_([state.value for state in State if state not in FINAL]),
        faxes.c.noticed_at.is_(None),
        faxes.c.received_at < now() - seconds,
    )
    late = waiting.limit(limit).with_for_update(skip_locked=True).cte("late")
    statement = update(faxes).where(faxes.c.id.in_(select(late.c.id))).values(noticed_at=now())
    told = connection.execute(statement.returning(faxes.c.id, faxes.c.message_id, faxes.c.sender)).all()
    for fax_id, message_id, sender in told:
        owe(connection, f"{fax_id}-d", "delayed", sender, {"fax_id": fax_id, "message_id": message_id})
    return [fax_id for fax_id, _, _ in told]
