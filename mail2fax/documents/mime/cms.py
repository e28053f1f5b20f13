"""S/MIME's envelope, CMS (RFC 5652): what was signed is taken out, what is encrypted is told apart.

Nobody's signature is checked here: who may fax is decided at the door. A few lines of BER are less to trust than a
library for all of ASN.1; and BER it must be, since mailers stream the content in chunks (X.690 section 8.1.3.6).
"""

from enum import Enum

_SIGNED = bytes.fromhex("2a864886f70d010702")
# enveloped, encrypted and authEnveloped data
_ENCRYPTED = {bytes.fromhex("2a864886f70d01070" + last) for last in "36"} | {bytes.fromhex("2a864886f70d0109100117")}
_OCTETS, _CHUNKED_OCTETS, _END_OF_CONTENTS = 0x04, 0x24, 0x00
_CONSTRUCTED = 0x20
_MOST_VALUES = 200_000  # chunks of a kilobyte are the smallest that mailers make


class Sealed(Enum):
    """Why there is no content."""

    ENCRYPTED = "encrypted"
    DETACHED = "detached"  # a signature, or certificates, and nothing else
    OTHER = "other"  # compressed, authenticated
    UNREADABLE = "unreadable"


def content(data: bytes) -> bytes | Sealed:
    """What was signed, if it stands inside. Time is bounded by the size, whatever the bytes say."""
    try:
        return _Reader(data).content()
    except (IndexError, ValueError):
        return Sealed.UNREADABLE


class _Reader:
    """Reads BER from front to back, once: what is wanted always stands in the first branches of the tree."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.values = 0

    def content(self) -> bytes | Sealed:
        self.header()  # section 3: ContentInfo
        kind = self.primitive()
        if kind in _ENCRYPTED:
            return Sealed.ENCRYPTED
        if kind != _SIGNED:
            return Sealed.OTHER
        self.header()
        self.header()  # section 5.1: SignedData: version, digestAlgorithms, encapContentInfo, …
        self.skip()
        self.skip()
        _, end = self.header()
        self.skip()
        if self.at == end or self.data[self.at] == _END_OF_CONTENTS:
            return Sealed.DETACHED
        self.header()
        return self.octets()

    def header(self) -> tuple[int, int | None]:
        """A value's first octet and where its contents end; None for an indefinite length."""
        self.values += 1
        if self.values > _MOST_VALUES:
            raise ValueError("too many values")
        tag, length = self.data[self.at], self.data[self.at + 1]
        self.at += 2
        if length == 0x80:
            return tag, None
        if length > 0x80:
            size = length - 0x80
            length = int.from_bytes(self.data[self.at : self.at + size], "big")
            self.at += size
        if self.at + length > len(self.data):
            raise ValueError("cut short")
        return tag, self.at + length

    def primitive(self) -> bytes:
        """The contents of a value that holds no others."""
        _, end = self.header()
        if end is None:
            raise ValueError("no length")
        start, self.at = self.at, end
        return self.data[start:end]

    def skip(self) -> None:
        """Past a whole value."""
        depth = 0
        while True:
            tag, end = self.header()
            if end is None:
                depth += 1
            else:
                depth -= tag == _END_OF_CONTENTS
                self.at = end
            if depth == 0:
                return

    def octets(self) -> bytes:
        """An OCTET STRING, put together if it came in chunks (X.690 section 8.7.3)."""
        found = bytearray()
        open_ends: list[int | None] = []
        while True:
            tag, end = self.header()
            if tag == _CHUNKED_OCTETS:
                open_ends.append(end)
            elif tag == _OCTETS and end is not None:
                found += memoryview(self.data)[self.at : end]
                self.at = end
            elif tag == _END_OF_CONTENTS and open_ends:
                open_ends.pop()
            else:
                raise ValueError("not an OCTET STRING")
            while open_ends and open_ends[-1] == self.at:
                open_ends.pop()
            if not open_ends:
                return bytes(found)
