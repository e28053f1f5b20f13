"""The database's clock, which may be wrong and be set right: what a step of it has made wait is set right, too.

Rows are due by that clock. After a step backwards they would wait for as long as it was wrong; after a step forwards a
fax would seem to have waited too long. A step while a node runs shows beside a clock that never steps; one from before
its start shows in the newest events, which lie in the future then.
"""

import sys
import time
from typing import Any

from sqlalchemy import Column, Connection, Double, Table, case, or_, select, true, type_coerce, update

from mail2fax import log
from mail2fax.config.types import LONGEST_WAIT
from mail2fax.model import State
from mail2fax.spool.database import shared
from mail2fax.spool.database.database import Database
from mail2fax.spool.database.schema import events, faxes, messages, notices, now, troubles

_STEP = 5.0  # seconds; less is a clock that is being adjusted, or a busy machine
_PRECISE = 2.0  # seconds; a database that took longer to say its time has not said it
_SAME = 30.0  # seconds in which all nodes have seen a step: each looks every few seconds
_LAST = "clock-step"  # in `shared`: when a node moved what waits, and by how many seconds
_UNSEEN = 3600.0  # seconds that may have gone by before a start: too long for absence to prove anything (`recover`)
_NEWEST: Any = select(type_coerce(events.c.at, Double())).order_by(events.c.id.desc()).limit(1)
# What a fax's time for giving up, and for a word that it takes long, is counted from; and a reply's, and a line's.
_WAITS, _OWED = faxes.c.finished_at.is_(None), faxes.c.replied_at.is_(None)
_SINCE = (
    *((faxes, faxes.c[name], _WAITS) for name in ("received_at", "prepared_at", "submitted_at")),
    (faxes, faxes.c.finished_at, _OWED),
    (notices, notices.c.created_at, notices.c.outcome == ""),
    (troubles, troubles.c.since, true()),
)
_OFFERED = select(faxes.c.id).where(faxes.c.state == State.SUBMITTING.value)
_PAST = (
    *((faxes, faxes.c[name]) for name in ("received_at", "prepared_at", "submitted_at", "finished_at", "replied_at")),
    (messages, messages.c.received_at),
    (notices, notices.c.created_at),
    (events, events.c.at),
    (troubles, troubles.c.since),
)


def steady() -> float:
    """Seconds by a clock that nobody sets and that goes on while the machine sleeps, where there is one."""
    if sys.platform == "linux":  # there the monotonic clock stands still in suspend: waking would look like a step
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class Clock:
    """The database's clock beside one that only goes forwards."""

    def __init__(self, lease: float) -> None:
        self._lease = lease
        self._ahead: float | None = None  # of the steady clock, when last looked at
        self._back = 0.0  # what it was set back by at the last look

    async def look(self, database: Database) -> float:
        """Set right what waits wrongly. Seconds that the clock jumped since the last look; 0 when it did not."""
        before = steady()
        told, newest = await database.read(_told)
        if steady() - before > _PRECISE:
            return 0.0  # when in that time the clock was read is not known
        ahead = told - before
        unseen = _UNSEEN if self._ahead is None else 0.0
        step = ahead - self._ahead if self._ahead is not None else min(0.0, told - newest)
        self._ahead = ahead
        if abs(step) < _STEP:
            back, self._back = self._back, 0.0
            if back:  # a transaction that was under way then wrote moments of the clock before, and was not seen
                await database.change(find_late, back, self._lease)
            return 0.0
        self._back = min(step, 0.0)
        await database.change(set_right, step, self._lease, unseen)
        log.clock_stepped(seconds=step)
        return step


def _told(connection: Connection) -> tuple[float, float]:
    """The clock, and the moment of the newest event; seconds since 1970."""
    clock: float = connection.scalars(select(now())).one()
    newest = connection.execute(_NEWEST).one_or_none()
    return clock, float(newest[0]) if newest else clock


def set_right(connection: Connection, step: float, lease: float, unseen: float = 0.0) -> None:
    """Move what lies ahead by the clock's step; what lies in the future and cannot, such as a receipt, is now.

    `unseen`: seconds that may have gone by besides, while no node looked.
    """
    if not _first(connection, step):
        find_late(connection, min(step, 0.0), lease)
        return
    _act_anew(connection, lease)
    for table in (faxes, notices):
        _sooner(connection, table, table.c.due_at, min(step, 0.0), table.c.lease == "")
    _sooner(connection, troubles, troubles.c.closed_until, min(step, 0.0))
    if step > 0:
        for table, column, counts in _SINCE:
            connection.execute(update(table).where(counts, column.is_not(None)).values({column.name: column + step}))
    # By how old an offer is `recover` tells whether it may still be under way: rather too old than too young.
    connection.execute(update(events).where(events.c.fax_id.in_(_OFFERED)).values(at=events.c.at + step - unseen))
    _not_later_than_now(connection)


def find_late(connection: Connection, step: float, lease: float) -> None:
    """Move what was written by the clock before after `set_right` had looked, and nothing that it has moved."""
    _act_anew(connection, lease)
    of_before = select(events.c.fax_id).where(events.c.at > now())
    fresh = or_(faxes.c.received_at > now(), faxes.c.id.in_(of_before))
    _sooner(connection, faxes, faxes.c.due_at, step, faxes.c.lease == "", fresh)
    _sooner(connection, notices, notices.c.due_at, step, notices.c.lease == "", notices.c.created_at > now())
    _not_later_than_now(connection)


def _first(connection: Connection, step: float) -> bool:
    """Whether no other node has seen this step yet: what waits is moved by it once."""
    shared.add(connection, _LAST, "0 0")
    at, known = map(float, (shared.locked(connection, _LAST) or "").split())
    clock: float = connection.scalars(select(now())).one()
    if abs(clock - at) < _SAME and abs(step - known) < _STEP:
        return False
    shared.put(connection, _LAST, f"{clock} {step}")
    return True


def _act_anew(connection: Connection, lease: float) -> None:
    """Whoever acts has a lease from now on, and renews it if he lives."""
    for table in (faxes, notices):
        acting = update(table).where(table.c.lease != "", table.c.due_at.is_not(None))
        connection.execute(acting.values(due_at=now() + lease))


def _not_later_than_now(connection: Connection) -> None:
    for table, column in _PAST:
        connection.execute(update(table).where(column > now()).values({column.name: now()}))


def _sooner(connection: Connection, table: Table, column: Column[float], step: float, *where: Any) -> None:
    """By the step, but not into the past; and whatever the step was, no later than anything may be."""
    moved = column + step
    right = case((moved < now(), now()), (moved > now() + LONGEST_WAIT, now()), else_=moved)
    connection.execute(update(table).where(column > now(), *where).values({column.name: right}))
