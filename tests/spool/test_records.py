"""The form of a mail in a log: all of it comes back, and nothing else is taken for it."""

import dataclasses

import pytest

from mail2fax.model import Envelope, Recipient
from mail2fax.spool.contents import records
from mail2fax.spool.contents.records import HEAD, Record

KEY, OTHER = bytes(32), bytes(31) + b"\1"
RECIPIENTS = (
    Recipient("6474959659@fax.local", "6474959659"),
    Recipient("FAX=+1", "4165550100", True, frozenset({"FAILURE", "DELAY"}), "rfc822;böse\udce9@x", "clinic"),
    Recipient("x", "4165550101", notify=frozenset()),
)
ENVELOPE = Envelope("ann\udcffa@office.example", RECIPIENTS, "::1", "hélo", "kim", "HDRS", "env+id")
RECORD = Record("0123456789ABC", 1_700_000_000.25, ENVELOPE, 12, "f" * 64)


def read(head, tail, *, key=KEY, place="log-1:0"):
    found = records.head(key, place, head)
    return found and records.record(key, found, tail)


def test_all_of_it_comes_back():
    """Every field of the envelope and of its recipients: one that is new to the model has to be told to the format."""
    head, tail = records.pack(KEY, "log-1:0", RECORD)
    assert len(head) == HEAD
    assert read(head, tail) == RECORD
    for told in (ENVELOPE, RECIPIENTS[1]):
        plain = type(told)(**{f.name: getattr(told, f.name) for f in dataclasses.fields(told) if _required(f)})
        same = [
            f.name
            for f in dataclasses.fields(told)
            if not _required(f) and getattr(told, f.name) == getattr(plain, f.name)
        ]
        assert same == [], "not tried here"


def _required(field):
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


@pytest.mark.parametrize("at", range(HEAD))
def test_a_changed_head_is_none(at):
    """Whichever byte it is."""
    head, tail = records.pack(KEY, "log-1:0", RECORD)
    changed = bytearray(head)
    changed[at] ^= 1
    assert read(bytes(changed), tail) is None


def test_what_stands_elsewhere_is_none():
    """In another place, beside another database, with another envelope, or cut off."""
    head, tail = records.pack(KEY, "log-1:0", RECORD)
    assert read(head, tail, place="log-1:1") is None
    assert read(head, tail, key=OTHER) is None
    assert read(head, tail.replace(b"kim", b"eve")) is None
    assert read(head, tail[:-1]) is None
    assert read(head[:-1], tail) is None
