"""The mails that are sent: rendered before the clock starts, each with a header line of its own.

Two mails with the same bytes would be one fax (mail2fax knows duplicates), so a number is written into each as it is
sent; what is measured never changes in length.
"""

import base64
import random
from dataclasses import dataclass

from tests.support.mails import pdf

KB, MB = 1000, 1_000_000
RECIPIENT = "6474959659@fax.local"
_SENDERS = 100  # an office; few enough replies for each that [reply] max_per_hour lets them pass
_LINE = 57  # bytes in 76 characters of base64
_BOUNDARY = "=_bench"


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail in two pieces: between them goes the line that makes it unlike every other."""

    head: bytes
    body: bytes  # with its dots stuffed and its end

    def number(self, n: int) -> bytes:
        """The line that only mail `n` has."""
        return b"X-Number: %012d\r\n" % n

    def whole(self, n: int) -> bytes:
        """All of mail `n` as it is after the dialogue: without stuffing, without the end."""
        return self.head + self.number(n) + self.body[: -len(b".\r\n")].replace(b"\r\n..", b"\r\n.")


def sender(n: int) -> str:
    """The reverse-path of mail `n`."""
    return f"user{n % _SENDERS}@office.example"


def office(size: int, seed: int = 1) -> Mail:
    """A one-page PDF of about this many bytes as mail programs send it: base64 in lines of 76 characters."""
    return Mail(_header(size), _attached(scan(round(size / 1.37), seed)) + b".\r\n")


def prose(size: int, seed: int = 1) -> Mail:
    """The worst case for the reading of DATA: lines of all lengths, one in three with a dot to be stuffed."""
    chance = random.Random(seed)
    lines: list[bytes] = []
    length = 0
    while length < size:
        dot = b".." if chance.random() < 0.33 else b""
        line = dot + b"word " * chance.randrange(15)
        lines.append(line)
        length += len(line) + 2
    return Mail(_header(size).replace(b"multipart/mixed", b"text/plain"), b"\r\n" + b"\r\n".join(lines) + b"\r\n.\r\n")


def scan(size: int, seed: int = 1) -> bytes:
    """A one-page PDF that carries a stream nobody draws, as large as is asked for: a scan's weight on the wire."""
    page = pdf(f"Page {seed}")
    weight = max(size - len(page) - 120, 0)
    noise = random.Random(seed).randbytes(weight)
    # An incremental update: one more object, and a table that points at it.
    start = page.rindex(b"startxref") + 10
    previous = int(page[start : page.index(b"\n", start)])
    offset = len(page)
    added = b"90 0 obj\n<< /Length %d >>\nstream\n%s\nendstream\nendobj\n" % (weight, noise)
    table = b"xref\n90 1\n%010d 00000 n \ntrailer\n<< /Size 91 /Root 1 0 R /Prev %d >>\nstartxref\n%d\n%%%%EOF\n"
    return page + added + table % (offset, previous, offset + len(added))


def _header(size: int) -> bytes:
    return (
        f"From: Anna <{sender(0)}>\r\nTo: <{RECIPIENT}>\r\nSubject: {size} bytes\r\n"
        "Date: Fri, 14 Nov 2025 09:30:00 -0500\r\nMessage-ID: <bench@office.example>\r\nMIME-Version: 1.0\r\n"
        f'Content-Type: multipart/mixed; boundary="{_BOUNDARY}"\r\n'
    ).encode()


def _attached(document: bytes) -> bytes:
    lines = (base64.b64encode(document[at : at + _LINE]) for at in range(0, len(document), _LINE))
    return (
        f"\r\n--{_BOUNDARY}\r\nContent-Type: text/plain\r\n\r\nPlease see attached.\r\n--{_BOUNDARY}\r\n"
        "Content-Type: application/pdf; name=scan.pdf\r\nContent-Transfer-Encoding: base64\r\n"
        'Content-Disposition: attachment; filename="scan.pdf"\r\n\r\n'
    ).encode() + b"\r\n".join([*lines, f"--{_BOUNDARY}--".encode(), b""])
