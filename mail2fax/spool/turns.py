"""Whose turn it is to have documents made: one sender's flood, or his bombs, keep nobody else waiting for long.

While others wait nobody gets more than half of a node's places, and senders take turns: whoever was not served lately
goes first, each sender's own mails by age. A place is never left empty for it: who waits alone gets all of them.
"""

import time
from collections import Counter, deque
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, bindparam, func, select

from mail2fax.model import State
from mail2fax.spool.database.schema import faxes, now
from mail2fax.spool.leases import Take, claim, in_states

_REMEMBERED = 16  # senders: so many take turns, and further ones by age
_LOOK = 0.5  # seconds between two looks for others in vain: each reads all that a flood has left
_WAITING = in_states(State.RECEIVED)
_OF_OTHERS = and_(_WAITING, faxes.c.sender.not_in(bindparam("avoided", expanding=True)))
_OLDEST: Any = select(faxes.c.sender).where(_WAITING, faxes.c.due_at <= now()).order_by(faxes.c.due_at).limit(1)
_OURS = func.substr(faxes.c.lease, 1, func.length(bindparam("ours"))) == bindparam("ours")
_AT_WORK: Any = (
    select(faxes.c.sender, func.count())
    .where(faxes.c.state == State.RECEIVED.value, faxes.c.due_at > now(), _OURS)
    .group_by(faxes.c.sender)
)


class Turns:
    """The turns of one node's places."""

    def __init__(self) -> None:
        self._served: deque[str] = deque(maxlen=_REMEMBERED)  # senders, in the order of their last turns
        self._look_at = 0.0  # when others are looked for again, by the monotonic clock

    def claim(self, connection: Connection, take: Take) -> list[RowMapping]:
        """Take up to `limit` faxes that wait for their document, for as many places that are free."""
        taken: list[RowMapping] = []
        at_work: Counter[str] | None = None
        while len(taken) < take.limit:
            oldest = connection.execute(_OLDEST).scalar()
            if oldest is None:
                break
            at_work = _at_work(connection, take) if at_work is None else at_work
            half = max(1, (take.limit - len(taken) + at_work.total()) // 2)
            row = self._next(connection, take, oldest, {sender for sender, count in at_work.items() if count >= half})
            if row is None:  # other nodes were faster
                break
            taken.append(row)
            at_work[row["sender"]] += 1
            self._remember(row["sender"])
        return taken

    def _next(self, connection: Connection, take: Take, oldest: str, full: set[str]) -> RowMapping | None:
        """One fax, if there is one, of who was not served lately; else not of the last; else of who has not half."""
        last = set(list(self._served)[-1:])
        looking = time.monotonic() > self._look_at
        for avoided in (full.union(self._served), full | last, full) if looking else ():
            if oldest not in avoided:
                break
            if row := _one(connection, take, avoided):
                return row
        if looking and oldest in full | last:  # nobody else was found
            self._look_at = time.monotonic() + _LOOK
        return _one(connection, take, ())

    def _remember(self, sender: str) -> None:
        if sender in self._served:
            self._served.remove(sender)
        self._served.append(sender)


def _at_work(connection: Connection, take: Take) -> Counter[str]:
    """How many places each sender has on this node."""
    ours = take.lease.rpartition(":")[0] + ":"
    return Counter({row[0]: row[1] for row in connection.execute(_AT_WORK, {"ours": ours})})


def _one(connection: Connection, take: Take, avoided: Collection[str]) -> RowMapping | None:
    one = replace(take, limit=1)
    if avoided:
        rows = claim(connection, faxes, _OF_OTHERS, one, avoided=list(avoided))
    else:
        rows = claim(connection, faxes, _WAITING, one)
    return rows[0] if rows else None
