"""Which fax lines are shut for a while: claims pass over their faxes, and a probe finds out when a line is open again.

Functions of a connection, run by the writer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Double, RowMapping, and_, bindparam, delete, func, or_, select, update

from mail2fax.model import HELD_KINDS, NO_CREDIT, Fax, State
from mail2fax.rules.backoff import Backoff
from mail2fax.spool import moves, questions
from mail2fax.spool.database.schema import faxes, now, troubles
from mail2fax.spool.database.sql import CLOCK, unless_known
from mail2fax.spool.leases import Take, claim, in_states
from mail2fax.spool.moves import Move

BREAKER = 3  # failures in a row after which a line that does not answer is left alone for a while

_TROUBLES = select(troubles, CLOCK).with_for_update()
_NEXT_PROBE = select(func.min(troubles.c.closed_until, type_=Double()) - now()).where(troubles.c.closed_until > now())
_BY_POLL = troubles.c.kind == NO_CREDIT

# What every fax that is taken runs, built once: that takes longer than running it.
_TOLD = delete(troubles).where(troubles.c.line == bindparam("calm")).returning(troubles.c.kind)
_CALM = _TOLD.where(~_BY_POLL)
_WAIT_FOR_POLL = (
    update(troubles)
    .where(troubles.c.line == bindparam("of"), _BY_POLL)
    .values(closed_until=now() + bindparam("pause", type_=Double()), failures=troubles.c.failures + 1)
)


def claim_prepared(connection: Connection, take: Take, give_up: float) -> Sequence[RowMapping]:
    """Take prepared faxes whose line is open, and of a line in trouble one probe when its pause is over."""
    shut = [row for row in _troubles(connection) if _is_shut(row)]
    where = in_states(State.PREPARED)
    if shut:
        where = and_(where, _not_shut(shut, give_up))
    claimed = list(claim(connection, faxes, where, take))
    for row in shut:
        if row["closed_until"] <= row["clock"] and len(claimed) < take.limit:
            claimed += _probe(connection, row["line"], take)
    return claimed


def _troubles(connection: Connection) -> Sequence[RowMapping]:
    return connection.execute(_TROUBLES).mappings().all()


def _is_shut(row: RowMapping) -> bool:
    return bool(row["kind"] != "unreachable" or row["failures"] >= BREAKER)


def _not_shut(shut: Sequence[RowMapping], give_up: float) -> ColumnElement[bool]:
    """Faxes on other lines; and the overdue, so that they end, unless the line is held: then nothing is bounced."""
    overdue = [row["line"] for row in shut if row["kind"] not in HELD_KINDS]
    return or_(
        faxes.c.line.not_in([row["line"] for row in shut]),
        and_(faxes.c.line.in_(overdue), faxes.c.prepared_at < now() - give_up),
    )


def _probe(connection: Connection, line: str, take: Take) -> Sequence[RowMapping]:
    ours = and_(faxes.c.line == line, faxes.c.lease != "", faxes.c.due_at > now())
    offered = faxes.c.state.in_([State.PREPARED.value, State.SUBMITTING.value])
    if connection.scalar(select(faxes.c.id).where(offered, ours).limit(1)):
        return []  # the last probe is still out
    where = and_(in_states(State.PREPARED), faxes.c.line == line)
    return claim(connection, faxes, where, replace(take, limit=1))


def next_probe(connection: Connection) -> float | None:
    """Seconds until a shut line may be probed; None when no line is shut."""
    seconds: float | None = connection.scalar(_NEXT_PROBE)
    return seconds


def trouble(connection: Connection, line: str, kind: str, pause: float | None, backoff: Backoff, note: str) -> int:
    """Shut a line, or keep it shut, for `pause` seconds or as the backoff says. Failures in a row, with this one."""
    # Two nodes may find out at the same moment.
    fresh = {"kind": kind, "failures": 0, "since": now(), "closed_until": now(), "note": note}
    connection.execute(unless_known(connection, troubles).values(line=line, **fresh))
    known = next((row for row in _troubles(connection) if row["line"] == line), None)
    if (
        known
        and known["failures"]
        and _alike(known["kind"], kind)
        and _is_shut(known)
        and known["closed_until"] > known["clock"]
    ):
        # Of a request that had begun before the line was shut: it says nothing new.
        return int(known["failures"])
    # A bad token is not mended by a lost connection: what is held stays held until the provider takes a fax, and an
    # account without credit, for which it takes them too, until a poll tells better.
    if known and (known["kind"] == NO_CREDIT or (known["kind"] == "held" and kind != NO_CREDIT)):
        kind = known["kind"]
    failures = known["failures"] + 1 if known and _alike(known["kind"], kind) else 1
    values = {
        "kind": kind,
        "failures": failures,
        "closed_until": now() + (backoff.pause(failures, 0.0) if pause is None else pause),
        "note": note,
    }
    connection.execute(update(troubles).where(troubles.c.line == line).values(values))
    return failures


def _alike(kind: str, other: str) -> bool:
    """Whether two failures count as one trouble: for all that is held the same word was told to the administrator."""
    return kind == other or {kind, other} <= HELD_KINDS


def reroute(connection: Connection, fallbacks: Mapping[str, str], who: str) -> list[tuple[str, str, int]]:
    """Let what waits for a line in trouble go by its fallback, if that is in none: the lines, and how many faxes.

    Only faxes in `prepared` on which nobody acts: those that were never offered, or surely not taken.
    """
    if not fallbacks:
        return []
    shut = {row["line"] for row in _troubles(connection) if _is_shut(row)}
    moved = []
    for line, to in fallbacks.items():
        if line in shut and to not in shut:
            idle = and_(in_states(State.PREPARED), faxes.c.line == line, faxes.c.lease == "")
            names = connection.scalars(update(faxes).where(idle).values(line=to).returning(faxes.c.id)).all()
            for fax_id in names:
                moves.write_event(connection, fax_id, "rerouted", who, {"line": to or "default"})
            if names:
                moved.append((line, to, len(names)))
    return moved


def look_again(connection: Connection) -> None:
    """Let a probe out on every line that is shut: a node that starts may bring the token that was missing."""
    connection.execute(update(troubles).where(troubles.c.closed_until > now()).values(closed_until=now()))


def calm(connection: Connection, line: str, *, told: bool = False) -> str:
    """The provider took a fax of this line: it is open again. The kind of trouble it was in; "" when in none.

    A line without credit stays so until a poll has `told` better: faxes are taken there all along.
    """
    kind: str = connection.scalar(_TOLD if told else _CALM, {"calm": line}) or ""
    if kind in HELD_KINDS:
        # They waited for the token, not for the provider: their time for giving up begins now.
        waited = and_(in_states(State.PREPARED), faxes.c.line == line)
        connection.execute(update(faxes).where(waited).values(prepared_at=now()))
    return kind


class Taken(NamedTuple):
    """What is known once a provider has a fax."""

    fax: Fax
    trouble: str  # the kind that its line was in, and is no more; or ""
    others: list[str]  # ids of faxes that the provider calls by the same reference, three at the most


def taken(connection: Connection, fax: Fax, move: Move, pause: float) -> Taken:
    """Move a fax that the provider took, and open its line, as `calm` has it.

    Where only its poll will tell whether the line is open, no other follows for `pause` seconds.
    """
    submitted = moves.proved(connection, fax, move)
    kind = calm(connection, fax.line)
    if not kind:
        connection.execute(_WAIT_FOR_POLL, {"of": fax.line, "pause": pause})
    return Taken(submitted, kind, questions.others_of_ref(connection, submitted.provider_ref, fax.id))
