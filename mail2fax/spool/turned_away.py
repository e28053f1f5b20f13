"""Mail that was refused at the door: who tried, for whom, and what the answer was. Bounded, and kept for a week.

"Why did mine not go?" is what people ask most, and a mail that was never accepted has no row among the faxes.
Functions of a connection.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Float, bindparam, delete, func, insert, or_, select

from mail2fax.spool.database.schema import now, turned_away

KEEP_SECONDS = 7 * 86_400
MOST = 20_000  # rows; a flood drives out the oldest


@dataclass(frozen=True, slots=True)
class Refusal:
    """One answer of 4yz or 5yz to MAIL, RCPT or DATA."""

    at: datetime
    client: str  # an address
    user: str  # the login, "" without one
    sender: str  # reverse-path, "" for the null path or before MAIL
    recipient: str  # "" before RCPT; all of a mail that was refused as a whole, with commas
    answer: str  # as it was said, codes first


def write(connection: Connection, refusals: Sequence[Mapping[str, Any]]) -> None:
    """Keep these, and let go what is too old or too many. Each has the columns of text, and `ago` in seconds."""
    at = now() - bindparam("ago", type_=Float)
    connection.execute(insert(turned_away).values(at=at), [{"ago": 0.0, **one} for one in refusals])
    newest = connection.scalar(select(func.max(turned_away.c.id))) or 0
    connection.execute(
        delete(turned_away).where(or_(turned_away.c.at < now() - KEEP_SECONDS, turned_away.c.id <= newest - MOST))
    )


def read(connection: Connection, text: str = "", *, before: int = 0, limit: int = 100) -> list[tuple[int, Refusal]]:
    """The newest of them with their row ids, newest first; `text` must stand in client, sender, recipient or answer."""
    table = turned_away.c
    query = select(table.id, table.at, table.client, table.user, table.sender, table.recipient, table.answer)
    query = query.where(table.at > now() - KEEP_SECONDS)  # what is older goes when the next one is written
    if text:
        columns = (table.client, table.sender, table.recipient, table.answer)
        query = query.where(or_(*(func.lower(column).contains(text.lower(), autoescape=True) for column in columns)))
    if before:
        query = query.where(table.id < before)
    rows = connection.execute(query.order_by(table.id.desc()).limit(limit))
    return [(row_id, Refusal(*rest)) for row_id, *rest in rows]
