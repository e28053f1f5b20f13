"""What the writing on a scan is like: very small, or upside down. Rows of dots are counted, no letter is read. Pure.

A line of print, seen in a narrow strip, is a band of rows. Its core is as high as the small letters are, for they have
most of the ink. What stands out of the core are the tops of b, d, h, t and of capitals, and the tails of g, p, y. In
English and French two to four times as much ink is in tops. Capitals and numbers alone have neither and tell nothing.
Hebrew, and Russian in some faces, have more in tails, and seem to be upside down when they are not.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mail2fax.documents.pages.fax_code import Ink

_STRIPS, _WIDE = 8, 160  # looked at, and dots each, some 2 cm: print that slants by two degrees is still in bands
_INK = 3  # of 255, as the mean of a strip's row: two dots
_BANDS = re.compile(rb"\x01+")
_LOWEST, _HIGHEST = 7, 60  # rows of a line of print, 3 to 20 points
_DENSE = 20  # of 255: the fullest row of a line of print has at least as much ink
_SMALL = 8  # rows: the small letters of 6 points, with which 6, 8 and 3 look alike when every other row is left out
_TINY = 4  # rows: what has less of a core is dust, or a dotted line
_FEW = 12  # bands with small print that are worth a word; a footnote has less
_FAR = 0.25  # of the core's height: as far stand tops and tails out of it
_MIXED, _ENOUGH = 0.08, 10  # the least share of lines that have both, and number: they are of small letters
_SURE = 1.6  # times as much ink below the cores as above


@dataclass(frozen=True, slots=True)
class Writing:
    """What was found."""

    small: bool = False
    upside_down: bool = False


@dataclass(frozen=True, slots=True)
class _Line:
    """A piece of a line of print."""

    core: int  # rows
    tops: bytes  # the ink of each row above it
    tails: bytes  # and below

    @property
    def mixed(self) -> bool:
        """Whether it has tops and tails."""
        return min(len(self.tops), len(self.tails)) >= _FAR * self.core


def look(ink: Ink) -> Writing:
    """Look at a scan that was made black and white, 204 x 196 dots an inch."""
    lines = [line for strip in _strips(ink) for line in _lines(strip) if line.core >= _TINY]
    return Writing(sum(line.core <= _SMALL for line in lines) >= _FEW, _upside_down(lines))


def _upside_down(lines: Sequence[_Line]) -> bool:
    mixed = sum(line.mixed for line in lines)
    if mixed < max(_ENOUGH, _MIXED * len(lines)):
        return False
    return sum(sum(line.tails) for line in lines) > _SURE * sum(sum(line.tops) for line in lines)


def _strips(ink: Ink) -> Iterator[bytes]:
    """How much ink each row of each strip has, 0 to 255."""
    shares = ink.by_eights()
    wide = _WIDE // 8
    step = max(wide, shares.width // _STRIPS)
    for left in range(0, max(1, shares.width - wide + 1), step):
        strip = shares.crop((left, 0, min(left + wide, shares.width), shares.height))
        yield strip.reduce((strip.width, 1)).tobytes()


_INKED = bytes(ink >= _INK for ink in range(256))


def _lines(strip: bytes) -> Iterator[_Line]:
    for band in _BANDS.finditer(strip.translate(_INKED)):
        rows = strip[band.start() : band.end()]
        if _LOWEST <= len(rows) <= _HIGHEST and (most := max(rows)) >= _DENSE:
            core = [at for at, ink in enumerate(rows) if ink * 2 >= most]
            yield _Line(core[-1] - core[0] + 1, rows[: core[0]], rows[core[-1] + 1 :])
