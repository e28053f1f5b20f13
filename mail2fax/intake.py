"""What one transaction writes when a mail is accepted: the message, a fax per recipient, the first events.

Functions of a connection, run by the writer. The same bytes from the same reverse-path to the same number within
five days are faxed once, since a client that lost our 250 sends them again (RFC 5321 section 6.1, RFC 1047): the
delivery key makes the second insert a no-op, also when two connections bring them at the same moment.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Insert, Table, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from mail2fax.contents import Contents, Incoming
from mail2fax.model import Envelope, Receipt, Recipient, State
from mail2fax.schema import deliveries, events, faxes, messages, notices, now

DUPLICATE_SECONDS = 5 * 86_400  # as long as mail servers keep trying


@dataclass(frozen=True, slots=True)
class Arrival:
    """A mail that is about to be accepted."""

    id: str
    envelope: Envelope
    content: Incoming


def put(connection: Connection, contents: Contents, arrival: Arrival, node: str) -> Receipt:
    """Write the message, and a fax for each recipient that is no known duplicate."""
    keys = {_key(arrival, r): (f"{arrival.id}-{n}", r) for n, r in enumerate(arrival.envelope.recipients, start=1)}
    fresh = _claim_keys(connection, {key: fax_id for key, (fax_id, _) in keys.items()})
    known = [key for key in keys if key not in fresh]
    if not fresh:
        return Receipt(_earlier(connection, known[0]), tuple(keys[key][1].address for key in known))
    message(connection, contents, arrival)
    taken = [keys[key] for key in keys if key in fresh]
    connection.execute(
        insert(faxes).values(received_at=now(), due_at=now()),
        [_fax(arrival, fax_id, recipient) for fax_id, recipient in taken],
    )
    connection.execute(
        insert(events).values(at=now(), what=State.RECEIVED.value, who=node),
        [{"fax_id": fax_id} for fax_id, _ in taken],
    )
    return Receipt(arrival.id, tuple(keys[key][1].address for key in known))


def message(connection: Connection, contents: Contents, arrival: Arrival) -> None:
    """Write the message's own row, and its content where that belongs into the transaction."""
    envelope, content = arrival.envelope, arrival.content
    connection.execute(
        insert(messages).values(received_at=now()),
        {
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
        },
    )
    contents.insert(connection, content)


def forward(connection: Connection, contents: Contents, arrival: Arrival, recipient: str) -> None:
    """Write a mail to postmaster, and the notice that owes its forwarding."""
    message(connection, contents, arrival)
    connection.execute(
        insert(notices).values(created_at=now(), due_at=now()),
        {"id": f"{arrival.id}-p", "kind": "postmaster", "recipient": recipient, "message_id": arrival.id},
    )


def unless_known(connection: Connection, table: Table) -> Insert:
    """An insert that passes over rows whose key is there already, in the database's own dialect."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()


def _key(arrival: Arrival, recipient: Recipient) -> str:
    # The number, not the address as written: To and Bcc of one mail may write it differently.
    cover = "cover" if recipient.cover else ""
    parts = (arrival.content.sha256, arrival.envelope.reverse_path, recipient.number, cover)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _claim_keys(connection: Connection, fax_ids: dict[str, str]) -> set[str]:
    """Insert the keys; those that were not there before."""
    statement = unless_known(connection, deliveries).values(at=now()).returning(deliveries.c.key)
    return set(connection.scalars(statement, [{"key": key, "fax_id": fax_id} for key, fax_id in fax_ids.items()]))


def _earlier(connection: Connection, key: str) -> str:
    fax_id: str = connection.scalars(select(deliveries.c.fax_id).where(deliveries.c.key == key)).one()
    return fax_id.rpartition("-")[0]


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
