"""What a content stream has set so far: the graphics state and the path that is being made. ISO 32000-1 section 8.4."""

from dataclasses import dataclass, field
from typing import Any

from pikepdf import Name

from mail2fax.documents.legibility.geometry import Point
from mail2fax.documents.legibility.marks import Colour
from mail2fax.documents.pages.letter import Box, Matrix

_INK = Colour()  # what a page begins with: black


@dataclass(slots=True)
class State:
    """The graphics state, as far as it matters here."""

    matrix: Matrix
    clip: Box
    fill: Colour = _INK
    stroke: Colour = _INK
    fill_space: Any = Name.DeviceGray
    stroke_space: Any = Name.DeviceGray
    fill_alpha: float = 1.0
    stroke_alpha: float = 1.0
    veiled: bool = False
    width: float = 1.0
    size: float = 0.0
    wide: bool = False  # a font of two bytes a letter
    stretch: float = 1.0
    leading: float = 0.0
    rise: float = 0.0
    mode: int = 0

    def copy(self) -> "State":
        """The same, to go on from; a quarter of what `replace` takes, which counts for forms of hundreds of fields."""
        return State(
            self.matrix, self.clip, self.fill, self.stroke, self.fill_space, self.stroke_space, self.fill_alpha,
            self.stroke_alpha, self.veiled, self.width, self.size, self.wide, self.stretch, self.leading, self.rise,
            self.mode,
        )  # fmt: skip


@dataclass(slots=True)
class Path:
    """The path that is being made, on the page."""

    shapes: list[list[Point]] = field(default_factory=list)
    rectangles: int = 0
    clips: bool = False

    def points(self) -> list[Point]:
        """Every corner."""
        return [point for shape in self.shapes for point in shape]

    def is_upright(self, matrix: Matrix) -> bool:
        """Whether a path is one rectangle along the sides of the page."""
        if len(self.shapes) != 1:
            return False
        (shape,) = self.shapes
        if self.rectangles:
            return min(abs(matrix[0]), abs(matrix[1])) < 1e-6 * max(abs(matrix[0]), abs(matrix[1]), 1e-9)
        corners = {(round(x, 2), round(y, 2)) for x, y in shape}
        xs, ys = {x for x, _ in corners}, {y for _, y in corners}
        return len(xs) == len(ys) == 2 and len(corners) == 4
