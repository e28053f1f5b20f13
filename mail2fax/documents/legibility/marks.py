"""The words between reading a page's content and writing it anew: what is painted, where, how light. Pure.

All places are on the fax page: points, the origin at its lower left corner.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from mail2fax.documents.legibility.geometry import Point
from mail2fax.documents.legibility.writing import Writing
from mail2fax.documents.pages.letter import Box, Matrix

WHITE, BLACK = 1.0, 0.0
_FULL = 0.5  # share of black dots: paper has less
_NEARLY = 0.015  # no converter dithers what is nearer than this to black or white


class Kind(Enum):
    """What paints."""

    TEXT = "text"
    PATH = "path"  # filled, drawn along its lines, or both
    PICTURE = "picture"
    STENCIL = "stencil"  # a picture of one bit that is painted in the fill colour
    SHADING = "shading"  # a gradient


class Ink(Enum):
    """How a mark is to be painted."""

    AS_IT_IS = "as it is"
    BLACK = "black"
    WHITE = "white"
    NOTHING = "nothing"
    LIGHT = "light"  # an even pattern that grows denser
    MEDIUM = "medium"
    DENSE = "dense"


@dataclass(frozen=True, slots=True)
class Colour:
    """A colour of the graphics state."""

    light: float = BLACK  # luminance as a converter sees it, 0 black to 1 white
    said: tuple[Any, ...] = ()  # the instructions that set it
    tile: bool = False  # a pattern: what it draws is its own affair

    @property
    def plain(self) -> bool:
        """Whether it is black or white."""
        return not _NEARLY < self.light < WHITE - _NEARLY


@dataclass(frozen=True, slots=True)
class Made:
    """What a picture became: a stencil of its black dots."""

    stencil: Any  # pikepdf.Stream
    where: Box  # it stands
    ground: Box | None  # what it makes white before; None when it lets through what lies under it


@dataclass(slots=True, eq=False)
class Mark:
    """One painting instruction."""

    kind: Kind
    box: Box
    fill: Colour | None = None  # None: it does not fill
    stroke: Colour | None = None
    shapes: Sequence[Sequence[Point]] = ()  # of a path: its corners, one list a subpath
    rectangular: bool = False
    width: float = 0.0  # of a stroke, points
    size: float = 0.0  # of text, points
    letters: int = 0
    turn: int = 0  # degrees: which way text runs, 0 is from left to right, 90 upwards
    seen: bool = True  # False: invisible text, or outside of what is clipped
    veiled: bool = False  # painted through a soft mask or with another blend mode: its true colour is not known
    sheer: bool = False  # painted with an alpha below 1
    placed: Matrix = (1, 0, 0, 1, 0, 0)  # the user space; of a picture, from its unit square to the page
    picture: Any = None  # pikepdf.Stream
    ink: float | None = None  # of a picture that was looked at: the share of black dots
    empty: bool = False  # a picture in which there is nothing to see
    made: Made | None = None
    writing: Writing | None = None  # on a picture of paper
    fill_ink: Ink = Ink.AS_IT_IS
    stroke_ink: Ink = Ink.AS_IT_IS

    @property
    def is_paper(self) -> bool:
        """Whether it is a picture of something written, on a ground that is white now."""
        return self.writing is not None and (self.ink or 0) < _FULL

    @property
    def colours(self) -> Iterator[Colour]:
        """The colours that it paints with."""
        return (colour for colour in (self.fill, self.stroke) if colour)

    @property
    def plain(self) -> bool:
        """Whether a fax shows it as it is: black or white, or not at all."""
        if not self.seen:
            return True
        if self.kind is Kind.PICTURE:
            return self.picture is None or self.picture.get("/BitsPerComponent") == 1
        return self.kind is not Kind.SHADING and all(colour.plain for colour in self.colours)

    def covers(self, point: Point) -> bool:
        """Whether a filled path, picture or gradient lies under this point."""
        x, y = point
        box = self.box
        if not (box.left <= x <= box.right and box.bottom <= y <= box.top):
            return False
        if self.rectangular or not self.shapes:
            return True
        return bool(sum(_crosses(shape, x, y) for shape in self.shapes) % 2)


def _crosses(shape: Sequence[Point], x: float, y: float) -> int:
    """How often a ray from the point to the right meets the outline."""
    met = 0
    for (x1, y1), (x2, y2) in zip(shape, [*shape[1:], shape[0]], strict=True):
        if (y1 > y) != (y2 > y) and x < (x2 - x1) * (y - y1) / (y2 - y1) + x1:
            met += 1
    return met


@dataclass(slots=True, eq=False)
class Drawing:
    """A content stream: of the page, or of a form XObject used on it."""

    stream: Any  # pikepdf.Stream
    resources: Any  # pikepdf.Dictionary
    base: Matrix  # its space on the page
    instructions: Sequence[Any]
    marks: dict[int, Mark] = field(default_factory=dict)  # by instruction
    forms: dict[int, "Drawing"] = field(default_factory=dict)

    def all(self) -> Iterator[Mark]:
        """Every mark, in the order of painting."""
        for index in sorted(self.marks.keys() | self.forms.keys()):
            if form := self.forms.get(index):
                yield from form.all()
            else:
                yield self.marks[index]
