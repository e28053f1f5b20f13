"""Who acts on which row: claims with a lease, and their renewal.

Functions of a connection, run by the writer. A claimed row's due_at is the end of its lease: when the node that
claimed it dies, the row is simply due again. Every write names the lease, so whoever lost it changes nothing.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Double, RowMapping, Table, and_, bindparam, func, select, update

from mail2fax.model import WAITING, State
from mail2fax.spool.database.schema import faxes, notices, now
from mail2fax.spool.database.sql import CLOCK

OWED = notices.c.outcome == ""  # notices that nobody has sent or given up yet


@dataclass(frozen=True, slots=True)
class Take:
    """How much to claim, under which lease, for how many seconds."""

    lease: str
    seconds: float
    limit: int


@cache
def in_states(*states: State) -> ColumnElement[bool]:
    """Faxes in one of these states, but for those that wait and are held."""
    values = [state.value for state in states]
    there = faxes.c.state == values[0] if len(values) == 1 else faxes.c.state.in_(values)
    # One that was held under a lease, whose owner died, looks due.
    return and_(there, faxes.c.held_by == "") if WAITING.issuperset(states) else there


def claim(
    connection: Connection, table: Table, where: ColumnElement[bool], take: Take, **values: Any
) -> Sequence[RowMapping]:
    """Take up to `limit` due rows, oldest first, passing over those that another node is just taking.

    `values` are those that `where` names.
    """
    values |= {"new_lease": take.lease, "seconds": take.seconds, "most": take.limit}
    return connection.execute(_claim(table, where), values).mappings().all()


# Built once for each condition: that takes ten times as long as the claim itself.
@lru_cache(32)
def _claim(table: Table, where: ColumnElement[bool]) -> Any:
    due = (
        select(table.c.id)
        .where(where, table.c.due_at <= now())
        .order_by(table.c.due_at)
        .limit(bindparam("most"))
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    return (
        update(table)
        .where(table.c.id.in_(select(due.c.id)))
        .values(lease=bindparam("new_lease"), due_at=now() + bindparam("seconds", type_=Double()))
        .returning(*table.c, CLOCK)
    )


def next_due(connection: Connection, table: Table, where: ColumnElement[bool]) -> float | None:
    """Seconds until the next row is due that is not due already; None when there is none."""
    seconds: float | None = connection.scalar(_next_due(table, where))
    return seconds


@lru_cache(32)
def _next_due(table: Table, where: ColumnElement[bool]) -> Any:
    return select(func.min(table.c.due_at, type_=Double()) - now()).where(where, table.c.due_at > now())


def renew(connection: Connection, table: Table, leases: Collection[str], seconds: float) -> None:
    """Push the end of these leases out, passing over what is just being written: that says by itself who acts next."""
    ours = select(table.c.id).where(table.c.lease.in_(leases)).with_for_update(skip_locked=True).cte("ours")
    connection.execute(update(table).where(table.c.id.in_(select(ours.c.id))).values(due_at=now() + seconds))


def free_all(connection: Connection) -> None:
    """Make every leased row due: for the one node of an SQLite spool, whose predecessor is dead."""
    connection.execute(update(notices).where(notices.c.lease != "").values(lease="", due_at=now()))
    free = update(faxes).where(faxes.c.lease != "").values(lease="")
    waits = faxes.c.state.in_([state.value for state in WAITING])
    connection.execute(free.where(waits, faxes.c.held_by != "").values(due_at=None))
    connection.execute(free.values(due_at=now(), held_by=""))
