"""Transfer encodings: a body as it travelled -> the bytes that were meant. Never fails; time grows with the size only.

The encoding's name is read generously, and the bytes have the last word: mailers write `Base64;`, call 7bit what is
base64, forget its padding, or let a list server add a footer to it.
"""

import binascii
import re
from collections.abc import Iterator
from typing import NamedTuple

from mail2fax.documents.mime import sniff

Body = bytes | memoryview

_NAMES = {
    "base64": "base64",
    "base-64": "base64",
    "b64": "base64",
    "b": "base64",
    "quoted-printable": "quoted-printable",
    "quotedprintable": "quoted-printable",
    "qp": "quoted-printable",
    "x-uuencode": "uuencode",
    "uuencode": "uuencode",
    "x-uue": "uuencode",
    "uue": "uuencode",
}
_TOKEN = re.compile(rb"[\s\"'(]*([A-Za-z0-9-]+)")
_LETTERS = re.compile(rb"\s*[A-Za-z0-9+/]{4}")
_DATA_URL = re.compile(rb"\s*data:[\w.+/;=-]{0,100};base64,", re.IGNORECASE)
_PLAIN_ALPHABET = bytes.maketrans(b"-_", b"+/")
_FOR_ADDRESSES = re.compile(rb"[A-Za-z0-9_-]+")
_ALPHABET_SHOWN = 65_536  # bytes in which base64 of any file has signs of its own alphabet
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")
_PADDING = re.compile(rb"=[=\s]*")
_WHOLE_LINE = re.compile(rb"(?:[A-Za-z0-9+/]{4})*[A-Za-z0-9+/]{2}[A-Za-z0-9+/=]{2}[ \t]*(?:[\r\n]|\Z)")
# RFC 2045 section 6.7, rule 3: white space at the end of a line was added on the way.
_TRAILING = re.compile(rb"[ \t](?<![ \t][ \t])[ \t]*+(?=\r?\n)")  # each run looked at once
_LINE = re.compile(rb"[\r\n]*+([^\r\n]++)")
_MOST_CHUNKS = 1_000_000  # a line each, of a mail of fifty megabytes; what has more of them is no file
_MOST_FALSE_STARTS = 1000
_BEGIN = re.compile(
    rb"^begin(?P<base64>-base64)?(?P<named>-encoded)? [0-7]{3,4} (?P<name>[^\r\n]{1,255})\r?\n", re.MULTILINE
)
_BASE64_END = re.compile(rb"^====[ \t]*(?:\r?\n|\Z)", re.MULTILINE)


class Uuencoded(NamedTuple):
    """A uuencoded file in a text, and where it stands there."""

    name: bytes
    data: bytes
    start: int
    end: int


def encoding(value: bytes) -> str:
    """The encoding a Content-Transfer-Encoding field means; "" for 7bit, 8bit, binary and what nobody knows."""
    token = _TOKEN.match(value)
    return _NAMES.get(token[1].decode().lower(), "") if token else ""


def decode(body: Body, name: str) -> bytes:
    """The bytes that were meant."""
    if name == "base64" and b"%PDF-" not in bytes(body[:1024]):  # neither % nor - is base64
        found = base64(_plain_alphabet(body))
        return found if sniff.kind(found) else _mislabelled(found) or found  # some encode twice
    if name == "quoted-printable":
        return _mislabelled(binascii.a2b_qp(_TRAILING.sub(b"", body)))
    if name == "uuencode":
        return next((file.data for file in uuencoded(bytes(body))), bytes(body))
    return _mislabelled(body)


def base64(body: Body) -> bytes:
    """Base64 with junk and line breaks in it, with or without its padding.

    What follows the padding is taken as more of it only if it looks so: some programs pad every chunk they encode,
    list servers add a footer in clear.
    """
    end = _chunk_end(body, 0)
    data = _quads(body[:end])
    if not _WHOLE_LINE.match(body, end):
        return data
    found = bytearray(data)
    for _ in range(_MOST_CHUNKS):
        at, end = end, _chunk_end(body, end)
        found += _quads(body[at:end])
        if not _WHOLE_LINE.match(body, end):
            break
    return bytes(found)


def uuencoded(text: bytes) -> Iterator[Uuencoded]:
    """The uuencoded files in a text, in order. Without its `end` a file counts if its bytes are of a known kind."""
    at = false = 0
    while false < _MOST_FALSE_STARTS and (begin := _BEGIN.search(text, at)):
        data, at, closed = (_base64_lines if begin["base64"] else _uu_lines)(text, begin.end())
        if data and (closed or sniff.kind(data)):
            name = begin["name"].strip()
            yield Uuencoded(base64(name) if begin["named"] else name, data, begin.start(), at)
        else:
            false += 1


def _mislabelled(body: Body) -> bytes:
    """The body, or what it holds if it is base64 although its header does not say so."""
    head = bytes(body[:2048])
    if url := _DATA_URL.match(head):  # a web page's way to hold a file
        return _mislabelled(body[url.end() :])
    if not _LETTERS.match(head) or head.lstrip().startswith(b"begin"):
        return bytes(body)
    once = _quads(head)
    if sniff.kind(once):
        return base64(_plain_alphabet(body))
    if _LETTERS.match(once) and sniff.kind(_quads(once)):
        return base64(base64(body))
    return bytes(body)


def _plain_alphabet(body: Body) -> Body:
    """RFC 4648 section 5: some encode as for an address, with other signs for the last two of 64.

    Not every hyphen is one of them: a list server's footer, after the padding, begins with a line of them.
    """
    head = bytes(body[:_ALPHABET_SHOWN]).partition(b"=")[0]
    if b"+" in head or b"/" in head:
        return body
    lines = (line.strip() for line in head.splitlines())
    if any(_FOR_ADDRESSES.fullmatch(line) and (b"-" in line or b"_" in line) and line.strip(b"-_") for line in lines):
        return bytes(body).translate(_PLAIN_ALPHABET)
    return body


def _chunk_end(body: Body, at: int) -> int:
    padding = _PADDING.search(body, at)
    return padding.end() if padding else len(body)


def _quads(body: Body) -> bytes:
    try:
        return binascii.a2b_base64(body)
    except binascii.Error:
        letters = _NOT_BASE64.sub(b"", body)
        # A single letter left over is six bits: no byte. Two or three lack only their padding.
        whole = letters[:-1] if len(letters) % 4 == 1 else letters
        return binascii.a2b_base64(whole + b"=" * (-len(whole) % 4))


def _uu_lines(text: bytes, at: int) -> tuple[bytes, int, bool]:
    """The bytes up to `end` or to the first line that is not uuencoded; where that is; whether it was `end`."""
    found = bytearray()
    over = False
    while line := _LINE.match(text, at):
        if line[1].rstrip() == b"end":
            return bytes(found), line.end(), True
        if over:
            break
        over = not line[1].strip(b" `")  # a line of length 0 comes before `end`
        try:
            found += _uu_line(line[1])
        except binascii.Error:
            break
        at = line.end()
    return bytes(found), at, False


def _base64_lines(text: bytes, at: int) -> tuple[bytes, int, bool]:
    """The same in the Base64 algorithm of uuencode (POSIX.1-2017): up to its line of four signs of equality."""
    if end := _BASE64_END.search(text, at):
        return base64(memoryview(text)[at : end.start()]), end.end(), True
    return base64(memoryview(text)[at:]), len(text), False


def _uu_line(line: bytes) -> bytes:
    try:
        return binascii.a2b_uu(line)
    except binascii.Error:
        # Some encoders add a check letter at the end of each line.
        return binascii.a2b_uu(line[: 1 + ((line[0] - 32) % 64 + 2) // 3 * 4])
