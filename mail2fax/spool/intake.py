"""What one transaction writes when a mail is accepted: the message, a fax per recipient, the first events.

Functions of a connection, run by the writer. The same bytes from the same reverse-path to the same number within
five days are faxed once, since a client that lost our 250 sends them again (RFC 5321 section 6.1, RFC 1047): the
delivery key makes the second insert a no-op, also when two connections bring them at the same moment.
"""

import hashlib
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, exists, insert, select

from mail2fax.model import Envelope, Receipt, Recipient, State
from mail2fax.rules import senders
from mail2fax.spool.contents import Contents, Kept
from mail2fax.spool.contents.incoming import Incoming
from mail2fax.spool.database import rows
from mail2fax.spool.database.bulk_insert import BulkInsert
from mail2fax.spool.database.schema import deliveries, events, faxes, messages, notices, now
from mail2fax.spool.database.sql import unless_known

DUPLICATE_SECONDS = 5 * 86_400  # as long as mail servers keep trying


@dataclass(frozen=True, slots=True)
class Arrival:
    """A mail that is about to be accepted."""

    id: str
    envelope: Envelope
    content: Incoming


class _Wanted(NamedTuple):
    """A fax that is to be written unless its key is known."""

    id: str
    key: str
    recipient: Recipient
    arrival: Arrival


def put(
    connection: Connection, contents: Contents, node: str, arrivals: Sequence[Arrival], unsafe: AbstractSet[str]
) -> list[Receipt | None]:
    """Write each message, and a fax for each of its recipients that is no known duplicate.

    Nothing is written of a duplicate of an `unsafe` mail, whose content is still on its way to the disk: None, and it
    has to be put again.
    """
    wanted = [_wanted(arrival) for arrival in arrivals]
    repeats = _repeats(contents, wanted)
    first = [theirs for theirs in wanted if theirs[0].arrival.id not in repeats]
    fresh = _claim_keys(connection, list(chain.from_iterable(first)))
    # Not of themselves: these may have been put before, in a transaction that failed.
    put_off = repeats | _put_off(connection, first, fresh, unsafe - {arrival.id for arrival in arrivals})
    taken = [[fax for fax in each if fax.id in fresh and fax.arrival.id not in put_off] for each in wanted]
    accepted = [arrival for arrival, faxes in zip(arrivals, taken, strict=True) if faxes]
    kept = contents.accept(connection, [arrival.content for arrival in accepted])
    _write_messages(connection, accepted, kept)
    new = list(chain.from_iterable(taken))
    _FAXES.insert(connection, [_fax(fax) for fax in new])
    _EVENTS.insert(connection, [(fax.id, State.RECEIVED.value, node) for fax in new])
    done = zip(arrivals, wanted, taken, strict=True)
    return [None if one[0].id in put_off else _receipt(connection, *one) for one in done]


def _receipt(connection: Connection, arrival: Arrival, wanted: list[_Wanted], taken: list[_Wanted]) -> Receipt:
    if len(taken) == len(wanted):
        return Receipt(arrival.id)
    known = [fax for fax in wanted if fax not in taken]
    duplicates = tuple(fax.recipient.address for fax in known)
    if taken:
        return Receipt(arrival.id, duplicates)
    earlier: str = connection.scalars(select(deliveries.c.fax_id).where(deliveries.c.key == known[0].key)).one()
    return Receipt(earlier.rpartition("-")[0], duplicates)


def _write_messages(connection: Connection, arrivals: Sequence[Arrival], kept: Sequence[Kept]) -> None:
    _MESSAGES.insert(connection, [_message(*one) for one in zip(arrivals, kept, strict=True)])


def forward(connection: Connection, contents: Contents, arrival: Arrival, recipient: str) -> None:
    """Write a mail to postmaster, whose content is settled, and the notice that owes its forwarding."""
    _write_messages(connection, [arrival], [Kept(arrival.content.inline)])
    contents.insert(connection, arrival.content)
    connection.execute(
        insert(notices).values(created_at=now(), due_at=now()),
        {"id": f"{arrival.id}-p", "kind": "postmaster", "recipient": recipient, "message_id": arrival.id},
    )


_KEYS = BulkInsert(lambda connection: unless_known(connection, deliveries), ["at"], "key", "fax_id")
_EVENTS = BulkInsert(lambda _: insert(events), ["at"], "fax_id", "what", "who")
_MESSAGES = BulkInsert(
    lambda _: insert(messages),
    ["received_at"],
    *("id", "client", "helo", "user", "reverse_path", "ret", "envid", "size", "sha256", "content", "segment", "start"),
)
_FAXES = BulkInsert(
    lambda _: insert(faxes),
    ["received_at", "due_at"],
    *("id", "message_id", "sender", "recipient", "number", "cover", "line", "notify", "orcpt", "state"),
)


def _wanted(arrival: Arrival) -> list[_Wanted]:
    numbered = enumerate(arrival.envelope.recipients, start=1)
    return [_Wanted(f"{arrival.id}-{n}", _key(arrival, one), one, arrival) for n, one in numbered]


def _key(arrival: Arrival, recipient: Recipient) -> str:
    # The number, not the address as written: To and Bcc of one mail may write it differently.
    cover = "cover" if recipient.cover else ""
    parts = (arrival.content.sha256, senders.behind(arrival.envelope.reverse_path), recipient.number, cover)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _claim_keys(connection: Connection, wanted: Sequence[_Wanted]) -> set[str]:
    """Insert the keys; the ids of the faxes whose key was not there before."""
    ids = {fax.id for fax in wanted}
    if _KEYS.insert(connection, [(fax.key, fax.id) for fax in wanted]) == len(wanted):
        return ids
    # A key that stands for one of our faxes, of which there is no row yet, was not there before.
    written = exists().where(faxes.c.id == deliveries.c.fax_id)
    query = select(deliveries.c.fax_id).where(deliveries.c.key.in_([fax.key for fax in wanted]), ~written)
    return ids & set(connection.scalars(query))


def _repeats(contents: Contents, wanted: Sequence[Sequence[_Wanted]]) -> set[str]:
    """Mails that repeat one of the same transaction, which is not safe before that ends: they have to wait."""
    seen: set[str] = set()
    repeats = set()
    for theirs in wanted:
        arrival = theirs[0].arrival
        keys = {fax.key for fax in theirs}
        if keys & seen and contents.beside_row(arrival.content):
            repeats.add(arrival.id)
        seen |= keys
    return repeats


def _put_off(
    connection: Connection, wanted: Sequence[Sequence[_Wanted]], fresh: AbstractSet[str], unsafe: AbstractSet[str]
) -> set[str]:
    """The mails that have to wait, with nothing left of them."""
    duplicates = [each for each in wanted if not fresh >= {fax.id for fax in each}]
    if not duplicates or not unsafe:
        return set()
    theirs = list(chain.from_iterable(duplicates))
    known = [fax.key for fax in theirs if fax.id not in fresh]
    originals = connection.scalars(select(deliveries.c.fax_id).where(deliveries.c.key.in_(known)))
    if not unsafe & {fax_id.rpartition("-")[0] for fax_id in originals}:
        return set()
    claimed = [fax.key for fax in theirs if fax.id in fresh]
    connection.execute(delete(deliveries).where(deliveries.c.key.in_(claimed)))
    return {fax.arrival.id for fax in theirs}  # all duplicates: one may be a duplicate of another


def _message(arrival: Arrival, kept: Kept) -> tuple[Any, ...]:
    envelope, content = arrival.envelope, arrival.content
    who = (envelope.client, envelope.helo, envelope.user, envelope.reverse_path)
    return (arrival.id, *who, envelope.ret, envelope.envid, content.size, content.sha256, *kept)


def _fax(fax: _Wanted) -> tuple[Any, ...]:
    envelope, asked = fax.arrival.envelope, fax.recipient
    which = (senders.behind(envelope.reverse_path), asked.address, asked.number, asked.cover, asked.line)
    return (fax.id, fax.arrival.id, *which, rows.notify_row(asked.notify), asked.orcpt, State.RECEIVED.value)
