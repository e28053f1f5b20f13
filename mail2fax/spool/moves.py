"""How a fax's row changes: one update that names the lease it is made under, and its event, in one transaction.

Functions of a connection, run by the writer. They raise LeaseLost, with nothing written, when somebody else may be
acting on the fax by now.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Double, RowMapping, and_, bindparam, case, insert, null, or_, select, update

from mail2fax.model import FINAL, NEXT, WAITING, Fax, LeaseLost, Reason, State
from mail2fax.spool.database import rows
from mail2fax.spool.database.schema import events, faxes, now
from mail2fax.spool.database.sql import CLOCK


@dataclass(frozen=True, slots=True)
class Move:
    """One change of a fax: the next state, who makes it, what else becomes known, and when to act next."""

    state: State
    who: str
    columns: Mapping[str, Any] = field(default_factory=dict)
    event: Mapping[str, Any] = field(default_factory=dict)
    due_in: float = 0.0  # seconds
    keep: float = 0.0  # seconds for which the lease is kept; 0 gives it back


@dataclass(frozen=True, slots=True)
class _In:
    """The moment so many seconds from now, by the database's clock."""

    seconds: float
    unless_held: bool = False  # no moment at all for a fax that is held


_NOW = _In(0.0)
_EVENT = insert(events).values(at=now())


def advance(connection: Connection, fax: Fax, move: Move) -> Fax:
    """Move a fax to its next state, with the event that says so."""
    if move.state not in NEXT[fax.state]:
        raise ValueError(f"{fax.id}: {fax.state} may not become {move.state}")
    values = {"state": move.state.value, "attempts": _attempts(fax, move.state)}
    values |= _times(fax, move) | plain_columns(move.columns) | _turn(move)
    return _changed(connection, fax, move, values, move.state.value)


def proved(connection: Connection, fax: Fax, move: Move) -> Fax:
    """Move a fax on by what its provider itself has said of this offer, which goes before anybody's doubt.

    Whoever found this very submission without the one that waited for its answer may have ended it as interrupted: that
    is undone, and if its sender was told of the doubt, he hears again. Raises LeaseLost.
    """
    try:
        return advance(connection, fax, move)
    except LeaseLost:
        return _undoubted(connection, fax, move)


def _undoubted(connection: Connection, fax: Fax, move: Move) -> Fax:
    doubt = faxes.c.state == State.SUBMITTING.value
    if move.state in NEXT[State.UNKNOWN]:
        unknown = and_(faxes.c.state == State.UNKNOWN.value, faxes.c.reason == Reason.INTERRUPTED.value)
        doubt = or_(unknown, doubt)
    same = (faxes.c.id == fax.id, faxes.c.submissions == fax.submissions, faxes.c.provider_ref == "")
    query = select(faxes.c.lease, faxes.c.state).where(*same, doubt).with_for_update()
    found = connection.execute(query).one_or_none()
    if found is None:
        raise LeaseLost(fax.id)
    forgotten = {"status": "", "reason": None, "detail": None, "finished_at": None, "replied_at": None, "reply": ""}
    values = {"state": move.state.value, "attempts": 0} | _times(fax, move) | plain_columns(move.columns) | _turn(move)
    doubtful = replace(fax, state=State(found.state), lease=found.lease)
    return _changed(connection, doubtful, move, forgotten | values, move.state.value)


def stay(connection: Connection, fax: Fax, move: Move, what: str) -> Fax:
    """Keep the state and act again in `due_in` seconds. An event is written only if there is something to say."""
    values = {"attempts": fax.attempts + 1} | plain_columns(move.columns) | _turn(move)
    return _changed(connection, fax, move, values, what if move.event else "")


def release(connection: Connection, fax: Fax) -> None:
    """Give a claimed fax back as it was. A lost lease is no matter: somebody else has it."""
    _write(connection, fax, _turn(Move(fax.state, "")))


def replied(connection: Connection, fax: Fax, how: str, who: str, event: Mapping[str, Any]) -> Fax:
    """The sender was told, or cannot be: nobody needs to act on this fax any more."""
    values = {"replied_at": _NOW, "reply": how, "lease": "", "due_at": None}
    return _changed(connection, fax, Move(fax.state, who, event=event), values, f"reply {how}")


def hurry(connection: Connection, fax_id: str) -> None:
    """Let whoever acts next on this fax act now, unless somebody does already."""
    where = and_(faxes.c.id == fax_id, faxes.c.lease == "", faxes.c.due_at.is_not(None))
    connection.execute(update(faxes).where(where).values(due_at=now()))


def write_event(connection: Connection, fax_id: str, what: str, who: str, detail: Mapping[str, Any]) -> None:
    """Append one line to a fax's history."""
    values = {"fax_id": fax_id, "what": what, "who": who, "detail": rows.dump(dict(detail))}
    connection.execute(_EVENT, values)


def _changed(connection: Connection, fax: Fax, move: Move, values: Mapping[str, Any], what: str) -> Fax:
    row = _write(connection, fax, values)
    if row is None:
        return _known(connection, fax, move)
    if what:
        write_event(connection, fax.id, what, move.who, move.event)
    return rows.fax(row)


def _write(connection: Connection, fax: Fax, values: Mapping[str, Any]) -> RowMapping | None:
    """Write these columns of a fax that is ours. The row as it is then; None when the fax is not ours any more."""
    plain: dict[str, Any] = {"fax": fax.id, "our_lease": fax.lease, "our_state": fax.state.value}
    moments = []
    for name, value in values.items():
        if isinstance(value, _In):
            plain[f"in_{name}"] = value.seconds
            moments.append((name, value.unless_held))
        else:
            plain[f"new_{name}"] = value
    names = frozenset(name for name in values if f"new_{name}" in plain)
    return connection.execute(_update(names, frozenset(moments)), plain).mappings().one_or_none()


# Built once for each set of columns: that takes longer than everything else about a move.
@lru_cache(256)
def _update(plain: frozenset[str], moments: frozenset[tuple[str, bool]]) -> Any:
    values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in plain}
    for name, unless_held in moments:
        then = now() + bindparam(f"in_{name}", type_=Double())
        values[name] = case((faxes.c.held_by != "", null()), else_=then) if unless_held else then
    # The lease and the state: a write of somebody who lost either changes nothing.
    ours = (
        faxes.c.id == bindparam("fax"),
        faxes.c.lease == bindparam("our_lease"),
        faxes.c.state == bindparam("our_state"),
    )
    return update(faxes).where(*ours).values(values).returning(*faxes.c, CLOCK)


def _known(connection: Connection, fax: Fax, move: Move) -> Fax:
    """The fax as this very move left it, if it was made before and only the answer to its commit was lost."""
    ours = and_(faxes.c.id == fax.id, faxes.c.lease == fax.lease, faxes.c.state == move.state.value)
    # Only who goes on acting can be told apart from somebody who acted since.
    row = connection.execute(select(faxes, CLOCK).where(ours)).mappings().one_or_none() if move.keep else None
    if row is None:
        raise LeaseLost(fax.id)
    return rows.fax(row)


def _turn(move: Move) -> dict[str, Any]:
    """Who acts next, and when: we go on under our lease, or anybody once it is due and nobody holds it."""
    if move.keep:
        return {"due_at": _In(move.keep)}
    if move.state not in WAITING:
        # A hold that came during the step came too late: from here on nothing may keep it from its end.
        return {"lease": "", "due_at": _In(move.due_in), "held_by": ""}
    return {"lease": "", "due_at": _In(move.due_in, unless_held=True)}


def _attempts(fax: Fax, state: State) -> int:
    """Offering a document is one effort, though its state goes to and fro; every other state starts afresh."""
    if state is State.SUBMITTING:
        return fax.attempts
    return fax.attempts + 1 if fax.state is State.SUBMITTING and state is State.PREPARED else 0


def _times(fax: Fax, move: Move) -> dict[str, Any]:
    if move.state is State.PREPARED and fax.state in {State.RECEIVED, State.SUBMITTED}:
        return {"prepared_at": _NOW}
    if move.state is State.SUBMITTING:
        return {"submissions": fax.submissions + 1}
    if move.state is State.SUBMITTED:
        return {"submitted_at": _NOW}
    return {"finished_at": _NOW} if move.state in FINAL else {}


def plain_columns(columns: Mapping[str, Any]) -> dict[str, Any]:
    """As the table wants them; what is not known is left as it is."""
    return {name: _plain(value) for name, value in columns.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, StrEnum):
        return value.value
    return rows.dump(dict(value)) if isinstance(value, Mapping) else value
