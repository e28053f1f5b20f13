"""The form in which an accepted mail stands in a log, or at the end of a file of its own: docs/spool-format.md. Pure.

A record is sealed with a key of its spool: nothing that a mail says can be read as a record, and what another database
left behind is not taken for this one's.
"""

import hashlib
import hmac
import json
import struct
from typing import NamedTuple

from mail2fax.model import Envelope, Recipient

_MAGIC = b"m2f1"  # the last character is the version of this format
_LENGTHS = struct.Struct(">4sQL")  # magic, bytes of the content, bytes of the envelope
_SEAL = 16  # bytes
_ENVELOPE = ("client", "helo", "user", "reverse_path", "ret", "envid")
HEAD = _LENGTHS.size + 2 * _SEAL  # bytes


class Record(NamedTuple):
    """A mail as it was accepted, without its bytes."""

    id: str
    received_at: float | None  # seconds since 1970; None has the database's clock say when
    envelope: Envelope
    size: int
    sha256: str


class Head(NamedTuple):
    """What a record begins with: how long what follows is."""

    size: int  # bytes of the content
    tail: int  # bytes of the envelope
    data: bytes

    @property
    def length(self) -> int:
        """Bytes of the whole record."""
        return HEAD + self.size + self.tail


def pack(key: bytes, place: str, record: Record) -> tuple[bytes, bytes]:
    """The head and the tail of a record; `place` is where its head will stand, so that it is nothing anywhere else."""
    tail = _dump(record)
    lengths = _LENGTHS.pack(_MAGIC, record.size, len(tail))
    lengths += _seal(key, place.encode(), lengths)
    return lengths + _seal(key, lengths, tail), tail


def head(key: bytes, place: str, data: bytes) -> Head | None:
    """The head that these bytes are; None if they are none, or stood elsewhere."""
    if len(data) != HEAD or not data.startswith(_MAGIC):
        return None
    lengths, seal = data[: _LENGTHS.size], data[_LENGTHS.size : -_SEAL]
    if not hmac.compare_digest(seal, _seal(key, place.encode(), lengths)):
        return None
    _, size, tail = _LENGTHS.unpack(lengths)
    return Head(size, tail, data)


def record(key: bytes, found: Head, tail: bytes) -> Record | None:
    """The record of this head and tail; None if the tail is not the one that was written with it."""
    if not hmac.compare_digest(found.data[-_SEAL:], _seal(key, found.data[:-_SEAL], tail)):
        return None
    return _load(tail, found.size)


def _seal(key: bytes, *parts: bytes) -> bytes:
    return hashlib.blake2b(b"".join(parts), digest_size=_SEAL, key=key).digest()


def _dump(told: Record) -> bytes:
    envelope = {name: getattr(told.envelope, name) for name in _ENVELOPE}
    recipients = [
        (one.address, one.number, one.cover, _sorted(one.notify), one.orcpt, one.line)
        for one in told.envelope.recipients
    ]
    fields = {"id": told.id, "received_at": told.received_at, "sha256": told.sha256, **envelope}
    return json.dumps({**fields, "recipients": recipients}, separators=(",", ":")).encode()


def _sorted(notify: frozenset[str] | None) -> list[str] | None:
    return None if notify is None else sorted(notify)


def _load(tail: bytes, size: int) -> Record:
    fields = json.loads(tail)
    name, received_at, sha256 = fields.pop("id"), fields.pop("received_at"), fields.pop("sha256")
    recipients = tuple(
        Recipient(address, number, cover, None if notify is None else frozenset(notify), orcpt, line)
        for address, number, cover, notify, orcpt, line in fields.pop("recipients")
    )
    return Record(name, received_at, Envelope(recipients=recipients, **fields), size, sha256)
