"""The code of fax machines (ITU-T T.6, Group 4) as it stands in a PDF, read and written by libtiff.

It reads twice as fast as PDFium does. What is coded are bits: a page of a fax is 467 kB of them, which Python counts,
moves and combines as one whole number in a tenth of a millisecond. Pillow has a byte for each dot.
"""

import io
import struct
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from pikepdf import Array, Dictionary, Stream
from PIL import Image, ImageFile

# TIFF 6.0: the fields of a directory in order; a short is 3, a long 4.
_SHORT, _LONG = 3, 4
_WIDTH, _HEIGHT, _BITS, _CODE, _COLOURS, _STRIP, _ROWS, _BYTES = 256, 257, 258, 259, 262, 273, 278, 279
_SAMPLES, _PLANES = 277, 284
_GROUP_4 = 4
_MIN_IS_WHITE, _MIN_IS_BLACK = 0, 1
_MOST = 0xFFFF_0000  # bytes


@dataclass(frozen=True, slots=True)
class Ink:
    """Dots as bits, set where there is ink; each row begins with a new byte, its first dot the highest bit."""

    bits: bytes
    width: int
    height: int

    @classmethod
    def of(cls, picture: Image.Image) -> Self:
        """Of a picture of one bit a dot."""
        return cls(picture.tobytes("raw", "1;I"), *picture.size)

    @property
    def pitch(self) -> int:
        """Bytes of a row."""
        return (self.width + 7) // 8

    def dots(self) -> int:
        """How many are black."""
        return int.from_bytes(self.bits).bit_count()

    def by_eights(self) -> Image.Image:
        """How much of each eight dots in a row is black, 0 to 255."""
        counts = self.bits.translate(_COUNTS)
        return Image.frombuffer("L", (self.pitch, self.height), counts, "raw", "L", 0, 1)

    def thick(self) -> "Ink":
        """The same with no line a single row high: one has the row below it too."""
        row = 8 * self.pitch
        ink = int.from_bytes(self.bits)
        single = ink & ~(ink >> row | ink << row)
        return Ink((ink | single >> row).to_bytes(len(self.bits)), self.width, self.height)


_COUNTS = bytes(round(byte.bit_count() * 255 / 8) for byte in range(256))


class Group4(NamedTuple):
    """How a picture is coded; the code itself says nothing of it."""

    width: int
    height: int
    inverted: bool  # BlackIs1, for a picture whose ones are light

    def decoded(self, code: bytes) -> Image.Image:
        """The picture, one bit a dot. Raises OSError for what libtiff cannot read."""
        return Image.open(io.BytesIO(self._tiff(code)), formats=("TIFF",))

    def _tiff(self, code: bytes) -> bytes:
        """The code in a TIFF of one strip."""
        fields = (
            (_WIDTH, _LONG, self.width),
            (_HEIGHT, _LONG, self.height),
            (_BITS, _SHORT, 1),
            (_CODE, _SHORT, _GROUP_4),
            (_COLOURS, _SHORT, _MIN_IS_BLACK if self.inverted else _MIN_IS_WHITE),
            (_STRIP, _LONG, 8),
            (_ROWS, _LONG, self.height),
            (_BYTES, _LONG, len(code)),
        )
        entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in fields)
        code += b"\0" * (len(code) % 2)  # a directory begins at an even byte
        head = b"II*\0" + struct.pack("<I", 8 + len(code))
        return b"".join((head, code, struct.pack("<H", len(fields)), entries, bytes(4)))


def coded(ink: Ink) -> bytes:
    """The code of this ink. Raises OSError.

    Pillow's encoder is handed the bits as if each eight were one grey dot, and TIFF's fields say what they are: of a
    picture with a byte for each dot it would have to gather them first, which takes longer than the coding.
    """
    fields = (
        (_WIDTH, ink.width),
        (_HEIGHT, ink.height),
        (_BITS, 1),
        (_CODE, _GROUP_4),
        (_COLOURS, _MIN_IS_WHITE),
        (_SAMPLES, 1),
        (_ROWS, ink.height),  # one strip, which is the code without anything around it
        (_PLANES, 1),
    )
    rows = Image.frombuffer("L", (ink.pitch, ink.height), ink.bits, "raw", "L", 0, 1)
    out = io.BytesIO()
    tile = ImageFile._Tile("libtiff", (0, 0, *rows.size), 0, ("L", 0, "", list(fields), {}))  # noqa: SLF001
    ImageFile._save(rows, out, [tile])  # noqa: SLF001 -- Pillow's handbook names it to those who write formats
    tags: Any = Image.open(out, formats=("TIFF",)).tag_v2  # type: ignore[attr-defined]  # it is a TIFF
    (start,), (length,) = tags[_STRIP], tags[_BYTES]
    return out.getvalue()[start : start + length]


def group4(picture: Stream) -> Group4 | None:
    """How a picture in the code of fax machines is to be read; None for one that is not the plain sort.

    ISO 32000-1 table 11. Rows is left out of account by others too: /Height counts.
    """
    said: Any = picture.get("/DecodeParms", Dictionary())
    if isinstance(said, Array) and len(said) == 1:
        said = said[0]
    width, height = picture.get("/Width"), picture.get("/Height")
    if not (isinstance(said, Dictionary) and isinstance(width, int) and isinstance(height, int)):
        return None
    plain = (
        0 < width * height < _MOST
        and _is_negative(said.get("/K", 0))
        and said.get("/Columns", 1728) == width
        and said.get("/EncodedByteAlign", False) is False
    )
    return Group4(width, height, bool(said.get("/BlackIs1", False))) if plain else None


def _is_negative(number: Any) -> bool:
    return isinstance(number, int) and number < 0
