"""Fills a spool with faxes that were: rows as the steps write them, without the steps. A function of a connection."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, insert, update

from mail2fax.model import State
from mail2fax.spool.database.schema import documents, events, faxes, messages, now

_AT_ONCE = 5000  # rows


def fill(connection: Connection, finished: int, in_flight: int, *, due: bool = True) -> None:
    """So many faxes that were delivered and replied to; and in flight, half of them prepared, half submitted."""
    for start in range(0, finished + in_flight, _AT_ONCE):
        numbers = range(start, min(start + _AT_ONCE, finished + in_flight))
        connection.execute(insert(messages).values(received_at=now() - 5000), [_message(n) for n in numbers])
        connection.execute(insert(documents), [_document(n) for n in numbers])
        connection.execute(
            insert(faxes).values(received_at=now() - 5000, prepared_at=now() - 5000),
            [_fax(n, state) for n, state in _states(numbers, finished)],
        )
        connection.execute(
            insert(events).values(at=now() - 5000),
            [{"fax_id": _id(n), "what": what, "who": "bench"} for n in numbers for what in ("received", "prepared")],
        )
    _finish(connection)
    flying = faxes.c.state.in_([State.PREPARED.value, State.SUBMITTED.value])
    late = now() - 1 if due else now() + 3600
    connection.execute(update(faxes).where(flying).values(due_at=late, submitted_at=now() - 5000, noticed_at=now()))


def _finish(connection: Connection) -> None:
    ended = faxes.c.state == State.UNKNOWN.value
    values = {"state": State.DELIVERED.value, "status": "2.0.0", "replied_at": now() - 4000, "reply": "sent"}
    connection.execute(update(faxes).where(ended).values(values))


def _states(numbers: range, finished: int) -> Iterator[tuple[int, State]]:
    for n in numbers:
        flying = State.PREPARED if n % 2 else State.SUBMITTED
        yield n, State.UNKNOWN if n < finished else flying


def _id(n: int) -> str:
    return f"B{n:012d}-1"


def _message(n: int) -> dict[str, Any]:
    sender = f"user{n % 100}@office.example"
    fixed = {"client": "127.0.0.1", "helo": "bench", "user": "", "ret": "", "envid": "", "size": 1, "sha256": "0" * 64}
    return {"id": f"B{n:012d}", "reverse_path": sender, "content": b"x", **fixed}


def _document(n: int) -> dict[str, Any]:
    fixed = {"variant": "", "position": 1, "pages": 1, "size": 1, "sha256": "0" * 64, "content": b"x"}
    return {"id": f"B{n:012d}..1", "message_id": f"B{n:012d}", **fixed}


def _fax(n: int, state: State) -> dict[str, Any]:
    return {
        "id": _id(n),
        "message_id": f"B{n:012d}",
        "sender": f"user{n % 100}@office.example",
        "recipient": "6474959659@fax.local",
        "number": "6474959659",
        "cover": False,
        "line": "",
        "orcpt": "",
        "state": state.value,
        "provider_ref": f"{n:08d}-bench",
        "document_id": f"B{n:012d}..1",
        "pages": 1,
        "finished_at": 1_700_000_000.0 if state is State.UNKNOWN else None,
    }
