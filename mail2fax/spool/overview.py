"""How the spool stands: what waits and since when, what is shut, how the last day went. Nothing here writes.

Functions of a connection, for the status page and the metrics. Each costs by what is open or recent, not by how long
the history is.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Connection, Double, and_, func, select, type_coerce

from mail2fax.model import FINAL, Fax, Refused, State
from mail2fax.spool import operator, questions
from mail2fax.spool.database import rows
from mail2fax.spool.database.schema import faxes, notices, now
from mail2fax.spool.database.sql import CLOCK
from mail2fax.spool.operator import Pause
from mail2fax.spool.questions import Trouble
from mail2fax.spool.search import Search, found

HOURS = 24
_WEEK = 7 * 86_400
_DIGITS = 10  # of a number
_OPEN = [state.value for state in State if state not in FINAL]
_FINAL = [state.value for state in State if state in FINAL]
_received: ColumnElement[float] = type_coerce(faxes.c.received_at, Double())


@dataclass(frozen=True, slots=True)
class Standing:
    """The spool at one moment."""

    clock: datetime  # the database's
    waiting: Mapping[State, int]  # faxes whose outcome is not known, by state; every such state is there
    oldest: Mapping[State, float]  # seconds since the oldest of them was received; only where there is one
    held: int  # of the waiting
    owed: int  # replies not sent yet
    undeliverable: int  # replies that were given up, of the faxes received in the last week
    notices: int  # mails owed besides replies
    troubles: Sequence[Trouble]  # fax lines that are shut or stumble
    paused: Pause | None = None  # who stopped all sending


@dataclass(slots=True)
class Hour:
    """The faxes received in one hour, by where they are now."""

    begins: datetime
    faxes: dict[State, int] = field(default_factory=dict)
    pages: int = 0  # of those delivered


@dataclass(frozen=True, slots=True)
class Overview:
    """What the status page shows."""

    standing: Standing
    hours: Sequence[Hour]  # the last 24, oldest first
    longest: Sequence[Fax]  # the faxes that wait longest
    latest: Sequence[Fax]  # the newest faxes


def overview(connection: Connection, many: int) -> Overview:
    """Everything at once, with `many` of the faxes that wait and of the newest."""
    newest = found(connection, Search(), limit=many)
    return Overview(standing(connection), hours(connection), longest(connection, many), newest)


def standing(connection: Connection) -> Standing:
    """How many wait, since when, and for whom."""
    count, age = func.count(), now() - func.min(_received)
    query = select(faxes.c.state, count, age).where(faxes.c.state.in_(_OPEN)).group_by(faxes.c.state)
    waiting = {State(state): (many, max(seconds, 0.0)) for state, many, seconds in connection.execute(query)}
    return Standing(
        clock=clock(connection),
        waiting={State(state): waiting.get(State(state), (0, 0.0))[0] for state in _OPEN},
        oldest={state: seconds for state, (_, seconds) in waiting.items()},
        held=_count(connection, and_(faxes.c.state.in_(_OPEN), faxes.c.held_by != "")),
        # A final fax is due as long as its reply is owed: the index on state and due_at answers alone.
        owed=_count(connection, and_(faxes.c.state.in_(_FINAL), faxes.c.due_at.is_not(None))),
        undeliverable=_count(connection, _undeliverable()),
        notices=connection.scalar(select(func.count()).where(notices.c.due_at.is_not(None))) or 0,
        troubles=questions.trouble_list(connection),
        paused=operator.paused(connection),
    )


def hours(connection: Connection) -> list[Hour]:
    """The last day, hour by hour. The last hour is the one that runs."""
    end = (clock(connection).timestamp() // 3600 + 1) * 3600
    begins = [end - 3600 * (HOURS - n) for n in range(HOURS)]
    # round(x - 0.5) is floor(x) on both databases.
    hour = func.round((_received - begins[0]) / 3600 - 0.5).label("hour")
    pages = func.coalesce(func.sum(faxes.c.pages), 0)
    query = select(hour, faxes.c.state, func.count(), pages).where(_received >= begins[0])
    made = [Hour(datetime.fromtimestamp(begin, UTC)) for begin in begins]
    for n, state, many, paged in connection.execute(query.group_by("hour", faxes.c.state)):
        one = made[min(int(n), HOURS - 1)]
        one.faxes[State(state)] = many
        one.pages += paged if state == State.DELIVERED else 0
    return made


def longest(connection: Connection, limit: int) -> list[Fax]:
    """The faxes whose outcome is awaited longest, oldest first."""
    where = faxes.c.state.in_(_OPEN)
    query = select(*faxes.c, CLOCK).where(where).order_by(faxes.c.received_at, faxes.c.id).limit(limit)
    return [rows.fax(row) for row in connection.execute(query).mappings()]


def waits(connection: Connection) -> float:
    """Seconds for which the outcome of the oldest fax that nobody holds is awaited; 0.0 when there is none."""
    where = and_(faxes.c.state.in_(_OPEN), faxes.c.held_by == "")
    return max(connection.scalar(select(now() - func.min(_received)).where(where)) or 0.0, 0.0)


def find(connection: Connection, text: str, limit: int) -> list[Fax]:
    """The newest faxes that this text means: a fax id, a mail's id, a number, a reverse-path, a state or a fate."""
    text = text.strip()
    if text == "undeliverable":
        query = select(*faxes.c, CLOCK).where(_undeliverable()).order_by(faxes.c.received_at.desc()).limit(limit)
        return [rows.fax(row) for row in connection.execute(query).mappings()]
    if text in set(State):
        return found(connection, Search(states=(State(text),)), limit=limit)
    if "@" in text:
        return found(connection, Search(sender=text), limit=limit)
    digits = "".join(letter for letter in text if letter.isdecimal())
    if len(digits) >= _DIGITS and not any(letter.isalpha() for letter in text):
        return found(connection, Search(number=digits[-_DIGITS:]), limit=limit)
    with contextlib.suppress(Refused):
        return questions.named(connection, text)[:limit]
    return []


def clock(connection: Connection) -> datetime:
    """The database's clock."""
    moment: datetime = connection.scalars(select(CLOCK)).one()
    return moment


def _undeliverable() -> ColumnElement[bool]:
    return and_(_received > now() - _WEEK, faxes.c.reply == "undeliverable")


def _count(connection: Connection, where: ColumnElement[bool]) -> int:
    return connection.scalar(select(func.count()).where(where)) or 0
