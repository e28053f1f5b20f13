"""Where a page of any size stands on a letter-size fax page. Pure: numbers in, numbers out.

A page keeps its true size where it fits, is made smaller where it does not, and is never made larger, except a stamp
that nobody could read. All lengths are points, 1/72 inch.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

Matrix = tuple[float, float, float, float, float, float]  # a b c d e f of ISO 32000-1 section 8.3.3

WIDTH, HEIGHT = 612.0, 792.0  # 8.5 x 11 inches

_STAMP = 144.0  # a page with both sides under two inches is a stamp,
_STAMP_SCALE = 8.0  # and may grow eight times
_TURN_GAIN = 1.05  # turning a page must make it this much larger to be worth a turned head
_SAME = 0.003  # scales this near to 1 are rounding: an exact page stays exact
_LEAST = 0.001  # points; thinner boxes are none


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle with its corners in order."""

    left: float
    bottom: float
    right: float
    top: float

    @property
    def width(self) -> float:
        """Points across."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Points up."""
        return self.top - self.bottom


LETTER = Box(0.0, 0.0, WIDTH, HEIGHT)


@dataclass(frozen=True, slots=True)
class Geometry:
    """What a page says of its own shape."""

    box: Box = LETTER  # what is visible: MediaBox meets CropBox
    rotation: int = 0  # degrees clockwise: 0, 90, 180 or 270
    unit: float = 1.0  # UserUnit: how many points one of its units is

    @property
    def upright(self) -> tuple[float, float]:
        """Width and height in points as a reader sees the page."""
        width, height = self.box.width * self.unit, self.box.height * self.unit
        return (height, width) if self.rotation % 180 else (width, height)


@dataclass(frozen=True, slots=True)
class Placement:
    """How a page is laid on the fax page."""

    matrix: Matrix
    scale: float  # below 1: the page was made smaller
    turned: bool  # a landscape page, turned so that its top is at the left edge


def box(corners: Iterable[float]) -> Box | None:
    """The rectangle of four numbers in whatever order the corners came, or None if they make none."""
    numbers = list(corners)
    if len(numbers) != 4 or not all(map(math.isfinite, numbers)):
        return None
    left, right = sorted((numbers[0], numbers[2]))
    bottom, top = sorted((numbers[1], numbers[3]))
    return _real(Box(left, bottom, right, top))


def meet(one: Box, other: Box) -> Box | None:
    """What two rectangles have in common."""
    return _real(
        Box(
            max(one.left, other.left),
            max(one.bottom, other.bottom),
            min(one.right, other.right),
            min(one.top, other.top),
        )
    )


def _real(box: Box) -> Box | None:
    return box if box.width >= _LEAST and box.height >= _LEAST else None


def quarter_turns(degrees: float) -> int:
    """The nearest multiple of 90, from 0 to 270. ISO 32000-1 table 30 allows no other; files hold others."""
    return round(degrees / 90) * 90 % 360 if math.isfinite(degrees) else 0


def place(page: Geometry) -> Placement:
    """Upright, scaled down to letter size if it must be, in the middle."""
    width, height = page.upright
    matrix = _upright(page)
    scale = _fitting(width, height)
    turned = scale < 1 and width > height and _fitting(height, width) > scale * _TURN_GAIN
    if turned:
        matrix = _then(matrix, _turn(270, width, height))
        width, height = height, width
        scale = _fitting(width, height)
    if scale > 1:
        scale = 1.0 if max(width, height) > _STAMP else min(scale, _STAMP_SCALE)
    if abs(scale - 1) < _SAME:
        scale = 1.0
    matrix = _then(matrix, (scale, 0, 0, scale, (WIDTH - width * scale) / 2, (HEIGHT - height * scale) / 2))
    return Placement(_rounded(matrix), scale, turned)


def keep(page: Geometry) -> Placement:
    """Upright and in its true size on a page of just that size, for page_size = "keep"."""
    return Placement(_rounded(_upright(page)), 1.0, turned=False)


def _upright(page: Geometry) -> Matrix:
    matrix = _then(
        (1, 0, 0, 1, -page.box.left, -page.box.bottom), _turn(page.rotation, page.box.width, page.box.height)
    )
    return _then(matrix, (page.unit, 0, 0, page.unit, 0, 0))


def _fitting(width: float, height: float) -> float:
    return min(WIDTH / width, HEIGHT / height)


def _turn(degrees: int, width: float, height: float) -> Matrix:
    """Turn a page clockwise and put its new lower left corner at the origin."""
    turns: dict[int, Matrix] = {
        0: (1, 0, 0, 1, 0, 0),
        90: (0, -1, 1, 0, 0, width),
        180: (-1, 0, 0, -1, width, height),
        270: (0, 1, -1, 0, height, 0),
    }
    return turns[degrees]


def _then(first: Matrix, second: Matrix) -> Matrix:
    a, b, c, d, e, f = first
    p, q, r, s, t, u = second
    return (a * p + b * r, a * q + b * s, c * p + d * r, c * q + d * s, e * p + f * r + t, e * q + f * s + u)


def _rounded(matrix: Matrix) -> Matrix:
    a, b, c, d, e, f = (round(number, 8) + 0.0 for number in matrix)  # + 0.0 makes -0.0 a plain 0
    return (a, b, c, d, e, f)
