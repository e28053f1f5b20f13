"""What one transaction writes when a mail is accepted: the message, a fax per recipient, the first events.

Functions of a connection, run by the writer. The same bytes from the same reverse-path to the same number within
five days are faxed once, since a client that lost our 250 sends them again (RFC 5321 section 6.1, RFC 1047): the
delivery key makes the second insert a no-op, also when two connections bring them at the same moment.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Compiled, Connection, Insert, Table, bindparam, exists, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from mail2fax.contents import Contents
from mail2fax.incoming import Incoming
from mail2fax.model import Envelope, Receipt, Recipient, State
from mail2fax.schema import deliveries, events, faxes, messages, notices, now

DUPLICATE_SECONDS = 5 * 86_400  # as long as mail servers keep trying


@dataclass(frozen=True, slots=True)
class Arrival:
    """A mail that is about to be accepted."""

    id: str
    envelope: Envelope
    content: Incoming


def put(connection: Connection, contents: Contents, node: str, arrivals: Sequence[Arrival]) -> list[Receipt]:
    """Write each message, and a fax for each of its recipients that is no known duplicate."""
    wanted = [fax for arrival in arrivals for fax in _faxes(arrival)]
    fresh = _claim_keys(connection, wanted)
    taken = [fax for fax in wanted if fax.row["id"] in fresh]
    accepted = {fax.arrival.id for fax in taken}
    _write_messages(connection, contents, [arrival for arrival in arrivals if arrival.id in accepted])
    _FAXES.insert(connection, [fax.row for fax in taken])
    _EVENTS.insert(connection, [{"fax_id": fax.row["id"], "what": State.RECEIVED.value, "who": node} for fax in taken])
    return [_receipt(connection, arrival, wanted, fresh) for arrival in arrivals]


def _receipt(connection: Connection, arrival: Arrival, wanted: Sequence["_Wanted"], fresh: set[str]) -> Receipt:
    mine = [fax for fax in wanted if fax.arrival is arrival]
    known = [fax for fax in mine if fax.row["id"] not in fresh]
    duplicates = tuple(fax.row["recipient"] for fax in known)
    if len(known) < len(mine):
        return Receipt(arrival.id, duplicates)
    earlier: str = connection.scalars(select(deliveries.c.fax_id).where(deliveries.c.key == known[0].key)).one()
    return Receipt(earlier.rpartition("-")[0], duplicates)


def _write_messages(connection: Connection, contents: Contents, arrivals: Sequence[Arrival]) -> None:
    _MESSAGES.insert(connection, [_message(arrival) for arrival in arrivals])
    for arrival in arrivals:
        contents.insert(connection, arrival.content)


def _message(arrival: Arrival) -> dict[str, Any]:
    envelope, content = arrival.envelope, arrival.content
    return {
        "id": arrival.id,
        "client": envelope.client,
        "helo": envelope.helo,
        "user": envelope.user,
        "reverse_path": envelope.reverse_path,
        "ret": envelope.ret,
        "envid": envelope.envid,
        "size": content.size,
        "sha256": content.sha256,
        "content": content.inline,
    }


def forward(connection: Connection, contents: Contents, arrival: Arrival, recipient: str) -> None:
    """Write a mail to postmaster, and the notice that owes its forwarding."""
    _write_messages(connection, contents, [arrival])
    connection.execute(
        insert(notices).values(created_at=now(), due_at=now()),
        {"id": f"{arrival.id}-p", "kind": "postmaster", "recipient": recipient, "message_id": arrival.id},
    )


def unless_known(connection: Connection, table: Table) -> Insert:
    """An insert that passes over rows whose key is there already, in the database's own dialect."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()


class _Insert:
    """An insert of many rows in few statements, each compiled once.

    Building one anew takes four times as long as running it; and between two statements of the writer's thread the
    event loop takes its turn.
    """

    def __init__(self, make: Callable[[Connection], Insert], stamped: Sequence[str], *columns: str) -> None:
        """`stamped` are the columns that hold the present moment."""
        self._make = make
        self._stamped = stamped
        self._columns = columns
        self._compiled: dict[tuple[str, int], Compiled] = {}  # by the database's dialect, and the number of rows

    def insert(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> int:
        """Write the rows. How many were written."""
        written = done = 0
        while done < len(rows):
            count = next(count for count in _AT_ONCE if count <= len(rows) - done)
            written += self._some(connection, rows[done : done + count])
            done += count
        return written

    def _some(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> int:
        key = connection.dialect.name, len(rows)
        if key not in self._compiled:
            self._compiled[key] = self._compile(connection, len(rows))
        statement = self._compiled[key]
        values: Any = {f"{name}_{n}": row[name] for n, row in enumerate(rows) for name in self._columns}
        if order := getattr(statement, "positiontup", None):  # SQLite's driver knows them by their place
            values = tuple(values[name] for name in order)
        return connection.exec_driver_sql(str(statement), values).rowcount

    def _compile(self, connection: Connection, count: int) -> Compiled:
        moments = {name: now() for name in self._stamped}
        rows: list[dict[str, Any]] = [
            {name: bindparam(f"{name}_{n}") for name in self._columns} | moments for n in range(count)
        ]
        return self._make(connection).values(rows).compile(connection)


_AT_ONCE = (32, 16, 8, 4, 2, 1)  # rows of one statement
_KEYS = _Insert(lambda connection: unless_known(connection, deliveries), ["at"], "key", "fax_id")
_EVENTS = _Insert(lambda _: insert(events), ["at"], "fax_id", "what", "who")
_MESSAGES = _Insert(
    lambda _: insert(messages),
    ["received_at"],
    *("id", "client", "helo", "user", "reverse_path", "ret", "envid", "size", "sha256", "content"),
)
_FAXES = _Insert(
    lambda _: insert(faxes),
    ["received_at", "due_at"],
    *("id", "message_id", "sender", "recipient", "number", "cover", "line", "notify", "orcpt", "state"),
)


@dataclass(frozen=True, slots=True, eq=False)
class _Wanted:
    """A fax that is to be written unless its key is known."""

    arrival: Arrival
    key: str
    row: dict[str, Any]


def _faxes(arrival: Arrival) -> list[_Wanted]:
    numbered = enumerate(arrival.envelope.recipients, start=1)
    return [_Wanted(arrival, _key(arrival, one), _fax(arrival, f"{arrival.id}-{n}", one)) for n, one in numbered]


def _key(arrival: Arrival, recipient: Recipient) -> str:
    # The number, not the address as written: To and Bcc of one mail may write it differently.
    cover = "cover" if recipient.cover else ""
    parts = (arrival.content.sha256, arrival.envelope.reverse_path, recipient.number, cover)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _claim_keys(connection: Connection, wanted: Sequence[_Wanted]) -> set[str]:
    """Insert the keys; the ids of the faxes whose key was not there before."""
    ids = {fax.row["id"] for fax in wanted}
    if _KEYS.insert(connection, [{"key": fax.key, "fax_id": fax.row["id"]} for fax in wanted]) == len(wanted):
        return ids
    # A key that stands for one of our faxes, of which there is no row yet, was not there before.
    written = exists().where(faxes.c.id == deliveries.c.fax_id)
    query = select(deliveries.c.fax_id).where(deliveries.c.key.in_([fax.key for fax in wanted]), ~written)
    return ids & set(connection.scalars(query))


def _fax(arrival: Arrival, fax_id: str, recipient: Recipient) -> dict[str, Any]:
    return {
        "id": fax_id,
        "message_id": arrival.id,
        "sender": arrival.envelope.reverse_path.casefold(),
        "recipient": recipient.address,
        "number": recipient.number,
        "cover": recipient.cover,
        "line": arrival.envelope.line,
        "notify": None if recipient.notify is None else ",".join(sorted(recipient.notify)),
        "orcpt": recipient.orcpt,
        "state": State.RECEIVED.value,
    }
