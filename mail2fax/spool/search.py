"""Lists: faxes by what is known of them, a page at a time; a month in sums.

Functions of a connection; nothing here writes. Each page costs by its own length: the next one begins where the last
one ended (keyset paging), so the ten-thousandth fax is as near as the first.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select

from mail2fax.model import Fax, State
from mail2fax.rules import senders
from mail2fax.spool.database import rows
from mail2fax.spool.database.schema import faxes
from mail2fax.spool.database.sql import CLOCK

_NEWEST_FIRST = (faxes.c.received_at.desc(), faxes.c.id.desc())


@dataclass(frozen=True, slots=True)
class Search:
    """Which faxes are wanted; what is empty does not narrow."""

    states: tuple[State, ...] = ()
    sender: str = ""  # a reverse-path, or a piece of one
    number: str = ""  # digits, or their beginning or end
    line: str | None = None  # "" is the default line
    since: datetime | None = None  # received at or after
    until: datetime | None = None  # received before
    held: bool = False  # only those that are held
    owed: bool = False  # only those whose reply could not be delivered


@dataclass(frozen=True, slots=True)
class Sum:
    """The faxes of one line and sender that were received in a span of time."""

    line: str
    sender: str
    outcomes: dict[State, int]
    pages: int  # of those delivered
    costs: dict[str, Decimal] = field(default_factory=dict)  # by currency, where the provider tells it

    @property
    def faxes(self) -> int:
        """All of them."""
        return sum(self.outcomes.values())


def found(connection: Connection, search: Search, *, before: str = "", limit: int = 50) -> list[Fax]:
    """The newest faxes that fit; with `before`, those that come after this fax id in the list."""
    query = select(*faxes.c, CLOCK).where(*_conditions(search)).order_by(*_NEWEST_FIRST).limit(limit)
    if before:
        query = query.where(_after(before))
    return [rows.fax(row) for row in connection.execute(query).mappings()]


def counted(connection: Connection, search: Search, *, most: int = 10_000) -> int:
    """How many fit; counting ends at `most`."""
    inner = select(faxes.c.id).where(*_conditions(search)).limit(most).subquery()
    return connection.scalar(select(func.count()).select_from(inner)) or 0


def sums(connection: Connection, since: datetime, until: datetime) -> list[Sum]:
    """Faxes, outcomes and pages of this span, by fax line and sender; the busiest first."""
    pages = func.coalesce(func.sum(faxes.c.pages), 0)
    query = select(faxes.c.line, faxes.c.sender, faxes.c.state, func.count(), pages)
    query = query.where(faxes.c.received_at >= since, faxes.c.received_at < until)
    made: dict[tuple[str, str], tuple[dict[State, int], int]] = {}
    for line, sender, state, many, paged in connection.execute(query.group_by("line", "sender", "state")):
        outcomes, before = made.get((line, sender), ({}, 0))
        outcomes[State(state)] = many
        made[line, sender] = outcomes, before + (paged if state == State.DELIVERED else 0)
    costs = _costs(connection, since, until)
    found = (Sum(*key, *value, costs.get(key, {})) for key, value in made.items())
    return sorted(found, key=lambda one: (-one.faxes, one.sender))


def _costs(connection: Connection, since: datetime, until: datetime) -> dict[tuple[str, str], dict[str, Decimal]]:
    query = select(faxes.c.line, faxes.c.sender, faxes.c.detail)
    query = query.where(faxes.c.received_at >= since, faxes.c.received_at < until, faxes.c.detail.contains('"cost"'))
    made: dict[tuple[str, str], dict[str, Decimal]] = {}
    for line, sender, text in connection.execute(query):
        detail = rows.load(text)
        with contextlib.suppress(InvalidOperation, KeyError):  # what is no number costs nothing that could be added
            amount, currency = Decimal(str(detail["cost"])), str(detail.get("currency", ""))
            if not amount.is_finite():  # "NaN" is a Decimal, and would swallow the whole sum
                continue
            sums = made.setdefault((line, sender), {})
            sums[currency] = sums.get(currency, Decimal()) + amount
    return made


def lines(connection: Connection) -> list[str]:
    """The names of the fax lines that faxes were received for, "" among them."""
    return sorted(connection.scalars(_lines()))


def _lines() -> Select[Any]:
    # One look into the newest faxes: a line that nobody used for so long needs no place in a menu.
    newest = select(faxes.c.line).order_by(faxes.c.received_at.desc()).limit(5_000).subquery()
    return select(newest.c.line).distinct()


def _conditions(search: Search) -> Iterator[ColumnElement[bool]]:
    if search.states:
        yield faxes.c.state.in_([state.value for state in search.states])
    if search.sender:
        yield _sender(search.sender)
    if search.number:
        yield _number(search.number)
    if search.line is not None:
        yield faxes.c.line == search.line
    if search.since:
        yield faxes.c.received_at >= search.since
    if search.until:
        yield faxes.c.received_at < search.until
    if search.held:
        yield faxes.c.held_by != ""
    if search.owed:
        yield faxes.c.reply == "undeliverable"


def _sender(text: str) -> ColumnElement[bool]:
    """A whole reverse-path is asked of the index; a piece of one is looked for."""
    local, at, domain = text.rpartition("@")
    if at and local and domain:
        return faxes.c.sender == senders.behind(text)
    return faxes.c.sender.contains(text.casefold(), autoescape=True)


def _number(digits: str) -> ColumnElement[bool]:
    whole = len(digits) >= 10
    return faxes.c.number == digits[-10:] if whole else faxes.c.number.contains(digits, autoescape=True)


def _after(fax_id: str) -> ColumnElement[bool]:
    """Behind this fax in the list. One that was purged meanwhile ends the list."""
    # Compared in the database: on its way through Python a moment is rounded, and would be met twice, or never.
    at = select(faxes.c.received_at).where(faxes.c.id == fax_id).scalar_subquery()
    return or_(faxes.c.received_at < at, and_(faxes.c.received_at == at, faxes.c.id < fax_id))
