"""What one transaction writes when a mail is accepted: the message, a fax per recipient, the first events.

Functions of a connection, run by the writer. The same bytes from the same reverse-path to the same number within
five days are faxed once, since a client that lost our 250 sends them again (RFC 5321 section 6.1, RFC 1047): the
delivery key makes the second insert a no-op, also when two connections bring them at the same moment.
"""

import hashlib
from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import Connection, exists, insert, select

from mail2fax.model import Receipt, Recipient, State
from mail2fax.rules import senders
from mail2fax.spool.contents import Contents, Kept
from mail2fax.spool.contents.incoming import Incoming
from mail2fax.spool.contents.records import Record
from mail2fax.spool.database import rows
from mail2fax.spool.database.bulk_insert import BulkInsert
from mail2fax.spool.database.schema import deliveries, events, faxes, messages, notices, now
from mail2fax.spool.database.sql import unless_known

DUPLICATE_SECONDS = 5 * 86_400  # as long as mail servers keep trying


class Arrival(NamedTuple):
    """A mail whose content is safe, or will be with its row."""

    record: Record
    content: Incoming | None  # None when it was on disk before this process began
    kept: Kept

    @property
    def id(self) -> str:
        """The mail's queue id."""
        return self.record.id


class _Wanted(NamedTuple):
    """A fax that is to be written unless its key is known."""

    id: str
    key: str
    former_key: str  # what an older program would have called it
    recipient: Recipient
    arrival: Arrival


def put(connection: Connection, contents: Contents, node: str, arrivals: Sequence[Arrival]) -> list[Receipt]:
    """Write each message, and a fax for each of its recipients that is no known duplicate."""
    wanted = _known_by_former_keys(connection, [_wanted(arrival) for arrival in arrivals])
    fresh = _claim_keys(connection, list(chain.from_iterable(wanted)))
    taken = [[fax for fax in each if fax.id in fresh] for each in wanted]
    _write_messages(connection, contents, [arrival for arrival, faxes in zip(arrivals, taken, strict=True) if faxes])
    new = list(chain.from_iterable(taken))
    _FAXES.insert(connection, [_fax(fax) for fax in new])
    _EVENTS.insert(connection, [(fax.id, fax.arrival.record.received_at, State.RECEIVED.value, node) for fax in new])
    return [_receipt(connection, *one) for one in zip(arrivals, wanted, taken, strict=True)]


def _receipt(connection: Connection, arrival: Arrival, wanted: list[_Wanted], taken: list[_Wanted]) -> Receipt:
    if len(taken) == len(wanted):
        return Receipt(arrival.id)
    known = [fax for fax in wanted if fax not in taken]
    duplicates = tuple(fax.recipient.address for fax in known)
    if taken:
        return Receipt(arrival.id, duplicates)
    earlier: str = connection.scalars(select(deliveries.c.fax_id).where(deliveries.c.key == known[0].key)).one()
    return Receipt(earlier.rpartition("-")[0], duplicates)


def _write_messages(connection: Connection, contents: Contents, arrivals: Sequence[Arrival]) -> None:
    _MESSAGES.insert(connection, [_message(one) for one in arrivals])
    for arrival in arrivals:
        if arrival.content:
            contents.insert(connection, arrival.content)


def forward(connection: Connection, contents: Contents, arrival: Arrival, recipient: str) -> None:
    """Write a mail to postmaster, whose content is settled, and the notice that owes its forwarding."""
    _write_messages(connection, contents, [arrival])
    connection.execute(
        insert(notices).values(created_at=now(), due_at=now()),
        {"id": f"{arrival.id}-p", "kind": "postmaster", "recipient": recipient, "message_id": arrival.id},
    )


_KEYS = BulkInsert(lambda connection: unless_known(connection, deliveries), ["at"], "key", "fax_id")
_EVENTS = BulkInsert(lambda _: insert(events), (), "fax_id", "at", "what", "who", moment="at")
_MESSAGES = BulkInsert(
    lambda _: insert(messages),
    (),
    *("id", "received_at", "client", "helo", "user", "reverse_path", "ret", "envid", "size", "sha256"),
    *("content", "segment", "start"),
    moment="received_at",
)
_FAXES = BulkInsert(
    lambda _: insert(faxes),
    ["due_at"],
    *("id", "message_id", "sender", "recipient", "number", "cover", "line", "notify", "orcpt", "state", "received_at"),
    moment="received_at",
)


def _wanted(arrival: Arrival) -> list[_Wanted]:
    reverse_path = arrival.record.envelope.reverse_path
    sender = senders.behind(reverse_path)
    numbered = enumerate(arrival.record.envelope.recipients, start=1)
    wanted = []
    for n, one in numbered:
        key = _key(arrival, sender, one)
        former = key if sender == reverse_path else _key(arrival, reverse_path, one)
        wanted.append(_Wanted(f"{arrival.id}-{n}", key, former, one, arrival))
    return wanted


def _key(arrival: Arrival, sender: str, recipient: Recipient) -> str:
    # The number, not the address as written: To and Bcc of one mail may write it differently.
    cover = "cover" if recipient.cover else ""
    parts = (arrival.record.sha256, sender, recipient.number or recipient.address, cover)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _known_by_former_keys(connection: Connection, wanted: list[list[_Wanted]]) -> list[list[_Wanted]]:
    """With the key of an older program where that is known: it went by the reverse-path as it was given."""
    former = {fax.former_key for fax in chain.from_iterable(wanted) if fax.former_key != fax.key}
    if not former:
        return wanted
    known = set(connection.scalars(select(deliveries.c.key).where(deliveries.c.key.in_(former))))
    return [[fax._replace(key=fax.former_key) if fax.former_key in known else fax for fax in each] for each in wanted]


def _claim_keys(connection: Connection, wanted: Sequence[_Wanted]) -> set[str]:
    """Insert the keys; the ids of the faxes whose key was not there before."""
    ids = {fax.id for fax in wanted}
    if _KEYS.insert(connection, [(fax.key, fax.id) for fax in wanted]) == len(wanted):
        return ids
    # A key that stands for one of our faxes, of which there is no row yet, was not there before.
    written = exists().where(faxes.c.id == deliveries.c.fax_id)
    query = select(deliveries.c.fax_id).where(deliveries.c.key.in_([fax.key for fax in wanted]), ~written)
    return ids & set(connection.scalars(query))


def _message(arrival: Arrival) -> tuple[Any, ...]:
    name, received_at, envelope, size, sha256 = arrival.record
    who = (envelope.client, envelope.helo, envelope.user, envelope.reverse_path)
    return (name, received_at, *who, envelope.ret, envelope.envid, size, sha256, *arrival.kept)


def _fax(fax: _Wanted) -> tuple[Any, ...]:
    envelope, asked = fax.arrival.record.envelope, fax.recipient
    which = (senders.behind(envelope.reverse_path), asked.address, asked.number, asked.cover, asked.line)
    told = (rows.notify_row(asked.notify), asked.orcpt, State.RECEIVED.value, fax.arrival.record.received_at)
    return (fax.id, fax.arrival.id, *which, *told)
