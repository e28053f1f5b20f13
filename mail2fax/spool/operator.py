"""What an operator may ask for: hold and release, retry, resolve, cancel. What makes no sense is refused with a reason.

Functions of a connection, run by the writer. Each writes an event with who asked.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, case, insert, select, update

from mail2fax.model import FINAL, WAITING, Fax, Reason, Refused, State
from mail2fax.rules import senders
from mail2fax.spool import moves
from mail2fax.spool.database import rows, shared
from mail2fax.spool.database.schema import faxes, messages, now
from mail2fax.spool.database.sql import for_change
from mail2fax.spool.questions import no_such_fax, of_name

_PAUSE = "paused"
LONGEST_REF = 255  # characters of a provider's reference
_UNSENT = (State.FAILED, State.UNKNOWN, State.CANCELLED)


def waiting(fax_id: str = "", sender: str = "") -> ColumnElement[bool]:
    """One fax or mail, one sender's, or all that still wait to be handed to the provider."""
    states = faxes.c.state.in_([state.value for state in WAITING])
    if fax_id:
        return and_(states, of_name(fax_id))
    return and_(states, faxes.c.sender == senders.behind(sender)) if sender else states


def hold(connection: Connection, where: ColumnElement[bool], who: str) -> list[str]:
    """Keep these faxes from being submitted until they are released. Their ids."""
    # One that is being worked on is let finish its step: its next turn does not come.
    due = case((faxes.c.lease != "", faxes.c.due_at), else_=None)
    statement = update(faxes).where(where, faxes.c.held_by == "").values(held_by=who, due_at=due)
    return _all(connection, statement.returning(faxes.c.id), "hold", who)


def release(connection: Connection, where: ColumnElement[bool], who: str) -> list[str]:
    """Let held faxes go on. Their ids."""
    due = case((faxes.c.lease != "", faxes.c.due_at), else_=now())
    # The time for giving up begins now: the provider was not asked while it was held.
    offered = case((faxes.c.prepared_at.is_not(None), now()), else_=None)
    changes = {"held_by": "", "due_at": due, "prepared_at": offered}
    statement = update(faxes).where(where, faxes.c.held_by != "").values(changes)
    return _all(connection, statement.returning(faxes.c.id), "release", who)


def cancel(connection: Connection, fax_id: str, who: str, reason: Reason) -> str:
    """End a fax that was not handed to the provider yet; the sender is told."""
    row = may_cancel(connection, fax_id)
    _end(connection, row, State.CANCELLED, {"status": "5.7.0", "reason": reason.value})
    moves.write_event(connection, row["id"], State.CANCELLED, who, {"reason": reason.value})
    return str(row["id"])


def may_cancel(connection: Connection, fax_id: str) -> RowMapping:
    """The fax. Raises Refused for one that is in the provider's hands, over, or being worked on."""
    row = one(connection, fax_id)
    if State(row["state"]) not in WAITING:
        raise Refused(f"{row['id']} is {row['state']}: only a fax that was not handed to the provider can be cancelled")
    if row["acting"]:
        raise Refused(f"{row['id']} is being worked on at this moment: hold it first, or ask again in a minute")
    return row


def may_resolve(connection: Connection, fax_id: str, *, arrived: bool) -> RowMapping:
    """The fax, of which nobody knows how it ended. Raises Refused for others, and if it `arrived` while sent again."""
    row = one(connection, fax_id)
    if row["state"] != State.UNKNOWN:
        raise Refused(f"{row['id']} is {row['state']}: only an unknown fax can be resolved")
    if arrived:
        _refuse_while_resent(connection, row)
    return row


def follow(connection: Connection, fax_id: str, ref: str, who: str) -> str:
    """Say under which reference the provider has an unknown fax: it is polled, and the sender told how it ends."""
    row = may_resolve(connection, fax_id, arrived=True)
    if not ref.strip() or len(ref) > LONGEST_REF or not ref.isprintable():
        raise Refused("a reference is one line of printable text, as the provider's portal shows it")
    again = {"state": State.SUBMITTED.value, "provider_ref": ref.strip(), "submitted_at": now(), "due_at": now()}
    cleared = {"finished_at": None, "replied_at": None, "reply": "", "status": "", "reason": None, "detail": None}
    idle = {"attempts": 0, "lease": "", "progress": ""}
    connection.execute(update(faxes).where(faxes.c.id == row["id"]).values({**again, **cleared, **idle}))
    moves.write_event(connection, row["id"], State.SUBMITTED, who, {"ref": ref.strip(), "resolved": True})
    return str(row["id"])


def at_provider(connection: Connection, fax_id: str) -> Fax | None:
    """The fax, if the provider has it: to stop it is the provider's affair. None if it is ours to cancel."""
    row = one(connection, fax_id)
    return rows.fax(row) if row["state"] == State.SUBMITTED else None


def stopping(connection: Connection, fax_id: str, who: str) -> None:
    """The provider was asked to stop a fax: remember who wished it, and look at once."""
    row = one(connection, fax_id)
    if row["state"] == State.SUBMITTED:
        detail = rows.dump({**rows.load(row["detail"]), "stop": who})
        connection.execute(update(faxes).where(faxes.c.id == row["id"]).values(detail=detail))
        moves.write_event(connection, row["id"], "stop", who, {})
        moves.hurry(connection, row["id"])


def heard(connection: Connection, ref: str, lines: Collection[str], facts: Mapping[str, Any]) -> None:
    """The provider itself spoke of a fax of these lines, to be believed: note what it said, and look at once.

    A reference that no fax at the provider has is nobody's: nothing is done.
    """
    ours = (faxes.c.provider_ref == ref, faxes.c.state == State.SUBMITTED.value, faxes.c.line.in_(list(lines)))
    query = select(faxes.c.id, faxes.c.detail).where(*ours).with_for_update()
    for row in connection.execute(query).mappings().all():
        if facts:
            detail = rows.dump({**rows.load(row["detail"]), "heard": dict(facts)})
            connection.execute(update(faxes).where(faxes.c.id == row["id"]).values(detail=detail))
        moves.write_event(connection, row["id"], "heard", "provider", facts)
        moves.hurry(connection, row["id"])


def resolve(connection: Connection, fax_id: str, state: State, who: str) -> str:
    """Say how an unknown fax ended, as a person found out; the sender is told."""
    row = may_resolve(connection, fax_id, arrived=state is State.DELIVERED)
    status = "2.0.0" if state is State.DELIVERED else "5.0.0"
    reason = {"status": status, "reason": Reason.RESOLVED_BY_OPERATOR.value}
    _end(connection, row, state, {**reason, "replied_at": None, "reply": ""})
    moves.write_event(connection, row["id"], state, who, {"resolved": True})
    return str(row["id"])


def _refuse_while_resent(connection: Connection, row: RowMapping) -> None:
    """Who says that the provider or the recipient has it should stop the new one first, while that can be stopped."""
    over = [state.value for state in FINAL]
    query = select(faxes.c.id, faxes.c.state).where(faxes.c.retry_of == row["id"], faxes.c.state.not_in(over))
    fresh = connection.execute(query.limit(1)).one_or_none()
    if fresh:
        raise Refused(
            f"{row['id']} is being sent again as {fresh.id}, which is {fresh.state}, and would arrive twice: "
            "cancel that one first, or wait for its outcome if the provider has it"
        )


def resend(connection: Connection, fax_id: str, who: str) -> str:
    """Say that an unknown fax did not arrive, and send it again. The new fax's id; its reply tells the sender."""
    may_resolve(connection, fax_id, arrived=False)
    return retry(connection, fax_id, who)


def may_retry(connection: Connection, fax_id: str, number: str = "", *, again: bool = False) -> RowMapping:
    """The fax. Raises Refused when it is under way or has arrived, or its document is gone.

    And when a new one to that number is under way or may have arrived, unless `again` is meant.
    """
    row = one(connection, fax_id)
    if not again:
        _refuse_second(connection, row, number or row["number"])
    if number in {"", row["number"]} and State(row["state"]) not in _UNSENT:
        raise Refused(f"{row['id']} is {row['state']}: only a failed, unknown or cancelled fax can be sent again")
    if not (number or row["number"]):
        raise Refused(f"{row['id']}: {row['recipient']} holds no number that can be dialled: say which one is meant")
    refuse_unless_kept(connection, row)
    return row


def retry(
    connection: Connection, fax_id: str, who: str, number: str = "", line: str = "", *, again: bool = False
) -> str:
    """Make a new fax of the same document, linked to the old one, perhaps to another number by its own line. Its id.

    An unknown one may so arrive twice, which whoever asks has to know. Raises Refused as `may_retry` does.
    """
    row = may_retry(connection, fax_id, number, again=again)
    fresh = _copy(row, next_id(connection, row["message_id"]), number, line)
    connection.execute(insert(faxes).values(received_at=now(), due_at=now(), prepared_at=_prepared(fresh)), fresh)
    moves.write_event(connection, row["id"], "retry", who, {"new": fresh["id"]})
    moves.write_event(connection, fresh["id"], fresh["state"], who, {"retry_of": row["id"]})
    return str(fresh["id"])


def _refuse_second(connection: Connection, row: RowMapping, number: str) -> None:
    over = (State.FAILED.value, State.CANCELLED.value)
    same = and_(faxes.c.retry_of == row["id"], faxes.c.number == number, faxes.c.state.not_in(over))
    earlier = connection.execute(select(faxes.c.id, faxes.c.state).where(same).limit(1)).one_or_none()
    if earlier:
        raise Refused(
            f"{row['id']} was sent again already, as {earlier.id}, which is {earlier.state}; "
            f"one more, of which both may arrive, is made by `mail2fax retry {row['id']} --again`"
        )


def refuse_unless_kept(
    connection: Connection, row: RowMapping, instead: str = "ask the sender to mail it again"
) -> None:
    """Raises Refused when the mail and its documents were purged."""
    # Locked against a purge that is just deciding about it.
    query = select(messages.c.purged_at).where(messages.c.id == row["message_id"])
    if connection.scalar(for_change(connection, query)) is not None:
        raise Refused(f"{row['id']}: its document is no longer kept ([documents] keep_days); {instead}")


def _copy(row: RowMapping, fresh_id: str, number: str, line: str) -> dict[str, Any]:
    kept = ("message_id", "sender", "recipient", "number", "cover", "line", "notify", "orcpt", "document_id", "pages")
    # A cover page names the number it was made for: another number needs another document.
    again = bool(row["document_id"]) and not (number and row["cover"])
    changed = {"document_id": row["document_id"] if again else ""}
    if number not in {"", row["number"]}:
        changed |= {"number": number, "line": line}
    state = State.PREPARED if again else State.RECEIVED
    return {
        **{name: row[name] for name in kept},
        **changed,
        "id": fresh_id,
        "state": state.value,
        "retry_of": row["id"],
    }


def _prepared(fresh: dict[str, Any]) -> Any:
    return now() if fresh["state"] == State.PREPARED else None


@dataclass(frozen=True, slots=True)
class Pause:
    """Sending is paused, on all nodes of this spool."""

    who: str
    since: datetime


def pause(connection: Connection, who: str) -> None:
    """Hand nothing to the provider until somebody resumes. Raises Refused when it is paused already."""
    moment: float = connection.scalars(select(now())).one()
    if not shared.add(connection, _PAUSE, f"{moment} {who}"):
        already = paused(connection)
        raise Refused(f"sending is paused already, by {already.who if already else 'somebody'}")


def resume(connection: Connection) -> None:
    """Let faxes be sent again. Raises Refused when sending is not paused."""
    if not shared.remove(connection, _PAUSE):
        raise Refused("sending is not paused")


def paused(connection: Connection) -> Pause | None:
    """Who paused it and when, if somebody did."""
    value = shared.get(connection, _PAUSE)
    if value is None:
        return None
    since, _, who = value.partition(" ")
    return Pause(who, datetime.fromtimestamp(float(since), UTC))


def viewed(connection: Connection, fax_id: str, who: str, what: str) -> None:
    """Note who looked at a fax's "document" or "reply"."""
    moves.write_event(connection, fax_id, "viewed", who, {"what": what})


def next_id(connection: Connection, message_id: str) -> str:
    """The id of the next fax of this message."""
    taken = connection.scalars(select(faxes.c.id).where(faxes.c.message_id == message_id)).all()
    return f"{message_id}-{max(int(fax_id.rpartition('-')[2]) for fax_id in taken) + 1}"


def one(connection: Connection, fax_id: str) -> RowMapping:
    """The fax of this id, or the only one of a mail. Locked in a change, so that nobody claims it meanwhile."""
    acting = and_(faxes.c.lease != "", faxes.c.due_at > now()).label("acting")
    query = select(faxes, acting).where(of_name(fax_id)).limit(2)
    found = connection.execute(for_change(connection, query)).mappings().all()
    if not found:
        raise no_such_fax(fax_id)
    if len(found) > 1:
        raise Refused(f"{fax_id} is a mail with several faxes: name one of them, such as {fax_id}-1")
    return found[0]


def _end(connection: Connection, row: RowMapping, state: State, columns: dict[str, Any]) -> None:
    values = {"state": state.value, "finished_at": now(), "due_at": now(), "attempts": 0, "held_by": "", "lease": ""}
    connection.execute(update(faxes).where(faxes.c.id == row["id"]).values({**values, **columns}))


def _all(connection: Connection, statement: Any, what: str, who: str) -> list[str]:
    changed = [str(fax_id) for fax_id in connection.scalars(statement)]
    for fax_id in changed:
        moves.write_event(connection, fax_id, what, who, {})
    return changed
