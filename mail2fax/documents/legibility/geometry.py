"""Points, boxes and matrices on a page. Pure."""

import math
from collections.abc import Iterable
from typing import Any

from mail2fax.documents.pages.letter import Box, Matrix

Point = tuple[float, float]

UPRIGHT: Matrix = (1, 0, 0, 1, 0, 0)


def then(first: Matrix, second: Matrix) -> Matrix:
    """One matrix that does the one and then the other."""
    a, b, c, d, e, f = first
    p, q, r, s, t, u = second
    return (a * p + b * r, a * q + b * s, c * p + d * r, c * q + d * s, e * p + f * r + t, e * q + f * s + u)


def apply(matrix: Matrix, x: float, y: float) -> Point:
    """Where a point comes to lie."""
    a, b, c, d, e, f = matrix
    return a * x + c * y + e, b * x + d * y + f


def inverse(matrix: Matrix) -> Matrix | None:
    """What undoes a matrix; None for one that makes everything a line."""
    a, b, c, d, e, f = matrix
    size = a * d - b * c
    if abs(size) < 1e-12:
        return None
    return (d / size, -b / size, -c / size, a / size, (c * f - d * e) / size, (b * e - a * f) / size)


def around(points: Iterable[Point]) -> Box:
    """The smallest upright box with all points in it."""
    xs, ys = zip(*points, strict=True)
    return Box(min(xs), min(ys), max(xs), max(ys))


def scale(matrix: Matrix) -> float:
    """How many times larger a matrix makes things."""
    return math.sqrt(abs(matrix[0] * matrix[3] - matrix[1] * matrix[2]))


def placed(box: Box, matrix: Matrix) -> Box:
    """The upright box around a box that was placed by a matrix."""
    corners = ((box.left, box.bottom), (box.right, box.bottom), (box.right, box.top), (box.left, box.top))
    return around(apply(matrix, *corner) for corner in corners)


def met(one: Box, other: Box) -> Box:
    """What two boxes have in common; of negative width or height when that is nothing."""
    return Box(
        max(one.left, other.left), max(one.bottom, other.bottom), min(one.right, other.right), min(one.top, other.top)
    )


def numbers(operands: Any) -> list[float]:
    """Operands as numbers. Raises TypeError or ValueError for others."""
    return [float(operand) for operand in operands]


def number(value: Any, instead: float = math.nan) -> float:
    """A number, or something instead where there is none."""
    try:
        return float(value)
    except (TypeError, ValueError, ArithmeticError):
        return instead


def six(operands: Any) -> Matrix:
    """A matrix of six operands. Raises as `numbers` does."""
    a, b, c, d, e, f = numbers(operands)
    return (a, b, c, d, e, f)


def matrix_of(said: Any) -> Matrix:
    """A matrix as an array says it; the one that changes nothing where it says none."""
    try:
        return six(said) if said is not None else UPRIGHT
    except (TypeError, ValueError, ArithmeticError):
        return UPRIGHT
