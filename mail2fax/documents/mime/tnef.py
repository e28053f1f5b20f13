"""winmail.dat: the attachments inside a TNEF stream ([MS-OXTNEF]), as Outlook sends them in rich text mail.

Own code and not tnefparse, which is the tests' oracle: there a count in the stream makes a loop run four billion
times, and each object copies the rest of the stream. Here every step eats bytes, so time is bounded by the size.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

from mail2fax.documents.mime.charset import decode

_MOST_ATTRIBUTES = 100_000  # an attachment has about ten
# Attributes ([MS-OXTNEF] section 2.1.3.1), by the lower half of their id.
_CODEPAGE, _ATTACHMENT, _TITLE, _DATA, _PROPERTIES = 0x9007, 0x9002, 0x8010, 0x800F, 0x9005
# Properties of an attachment ([MS-OXPROPS]).
_DISPLAY_NAME, _OBJECT, _SHORT_NAME, _LONG_NAME, _CONTENT_ID, _HIDDEN = 0x3001, 0x3701, 0x3704, 0x3707, 0x3712, 0x7FFE
_WANTED = frozenset({_DISPLAY_NAME, _OBJECT, _SHORT_NAME, _LONG_NAME, _CONTENT_ID, _HIDDEN})
# Types of properties ([MS-OXCDATA] section 2.11.1) and their sizes.
_SIZES = {0x02: 2, 0x03: 4, 0x04: 4, 0x05: 8, 0x06: 8, 0x07: 8, 0x0A: 4, 0x0B: 2, 0x14: 8, 0x40: 8, 0x48: 16}
_UNICODE, _AN_OBJECT = 0x1F, 0x0D
_COUNTED = frozenset({0x00, _AN_OBJECT, 0x1E, _UNICODE, 0x102})
_SEVERAL, _NAMED = 0x1000, 0x8000
# What stands before the bytes of an object: it is a message (a TNEF stream again), or a program's storage.
_A_MESSAGE = bytes.fromhex("0703020000000000c000000000000046")
_A_STORAGE = bytes.fromhex("0b00000000000000c000000000000046")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file in a TNEF stream; or an embedded message, then the data is a TNEF stream again."""

    name: str = ""
    data: bytes = b""
    content_id: str = ""
    hidden: bool = False  # shown in the text, not a file to its reader
    storage: bool = False  # drawn into the text by a program (OLE): there is no file to take out
    cut: bool = False  # the stream broke off here


class _BrokenOff(ValueError):  # noqa: N818 -- a fact about the stream, caught here
    """The stream ends too early or makes no sense from here on."""


def attachments(data: bytes) -> Iterator[Attachment]:
    """The attachments in order. A stream that breaks off ends with one that is `cut`."""
    found, codepage = None, "cp1252"
    try:
        for name, value in _attributes(data):
            if name == _CODEPAGE:
                codepage = f"cp{int.from_bytes(value[:4], 'little')}"
            elif name == _ATTACHMENT:
                if found:
                    yield found
                found = Attachment()
            elif found:
                found = _learn(found, name, value, codepage)
    except _BrokenOff:
        if found and found.data:
            yield found  # whole: only what follows it is lost
            found = None
        found = replace(found or Attachment(), cut=True)
    if found:
        yield found


def _attributes(data: bytes) -> Iterator[tuple[int, memoryview]]:
    at = 6  # past the signature and a key
    for _ in range(_MOST_ATTRIBUTES):
        if len(data) - at < 11:
            return
        level, name, length = struct.unpack_from("<BH2xI", data, at)
        end = at + 9 + length
        if level not in {1, 2} or end > len(data):
            if level not in {1, 2} or not data[at:].strip(b"\0"):
                return  # something behind the stream's end, such as a list's footer: nothing is missing
            raise _BrokenOff
        yield name, memoryview(data)[at + 9 : end]
        at = end + 2  # the checksum: Outlook itself gets it wrong
    raise _BrokenOff


def _learn(found: Attachment, name: int, value: memoryview, codepage: str) -> Attachment:
    if name == _TITLE and not found.name:
        return replace(found, name=_string(value, codepage))
    if name == _DATA:
        return replace(found, data=bytes(value))
    if name == _PROPERTIES:
        known = {ident: (kind, content) for kind, ident, content in _properties(value) if ident in _WANTED}
        for ident, (kind, content) in known.items():
            found = _learn_property(found, kind, ident, content, codepage)
    return found


def _learn_property(found: Attachment, kind: int, name: int, value: memoryview, codepage: str) -> Attachment:
    charset = "utf-16-le" if kind == _UNICODE else codepage
    if name == _LONG_NAME or (name in {_SHORT_NAME, _DISPLAY_NAME} and not found.name):
        return replace(found, name=_string(value, charset))
    if name == _CONTENT_ID:
        return replace(found, content_id=_string(value, charset).strip("<>"))
    if name == _HIDDEN:
        return replace(found, hidden=any(value))
    if name == _OBJECT:
        start = bytes(value[:16]) if kind == _AN_OBJECT else b""
        known = start in {_A_MESSAGE, _A_STORAGE}
        return replace(found, data=bytes(value[16 if known else 0 :]), storage=start == _A_STORAGE)
    return found


def _properties(data: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Type, id and value of each property, as far as they can be told apart ([MS-OXTNEF] section 2.1.3.4)."""
    at = 4  # past their number: the bytes themselves say when they end
    try:
        while at < len(data):
            kind, name = struct.unpack_from("<HH", data, at)
            at = _after_name(data, at + 4) if name >= _NAMED else at + 4
            start, end, at = _value(data, at, kind)
            yield kind & ~_SEVERAL, name, data[start:end]
            at += -at % 4
    except (struct.error, _BrokenOff):
        return


def _value(data: memoryview, at: int, kind: int) -> tuple[int, int, int]:
    """Where a property's value starts and ends, the first one's if it has several, and where the last one ends."""
    kind, several = kind & ~_SEVERAL, kind & _SEVERAL
    count = 1
    if several or kind in _COUNTED:
        (count,) = struct.unpack_from("<I", data, at)
        at += 4
    if kind not in _COUNTED:
        if kind not in _SIZES or at + _SIZES[kind] * count > len(data):
            raise _BrokenOff
        return at, at + _SIZES[kind], at + _SIZES[kind] * count
    first = at, at
    for number in range(count):
        (size,) = struct.unpack_from("<I", data, at)  # raises past the end, whatever the count says
        at += 4
        if number == 0:
            first = at, at + size
        at += size + -size % 4
    if at > len(data) + 3:
        raise _BrokenOff
    return *first, at


def _after_name(data: memoryview, at: int) -> int:
    """Past a named property's GUID, its kind, and its number or name."""
    kind, number = struct.unpack_from("<II", data, at + 16)
    return at + 24 + (number + -number % 4 if kind else 0)


def _string(value: memoryview, charset: str) -> str:
    return decode(bytes(value), charset).partition("\0")[0]
