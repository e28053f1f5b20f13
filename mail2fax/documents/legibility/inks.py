"""Which ink each mark of a page gets, so that a fax shows it. Pure: marks in, their inks set.

Text and lines become black, or white where what lies under them becomes black. A tint under text becomes white, or
black where more of the text on it is lighter than the tint: white words on a dark heading stay white. What carries no
text keeps its weight as an even pattern of lines, which costs a fax next to nothing.
"""

from collections.abc import Sequence

from mail2fax.documents.legibility.geometry import Point
from mail2fax.documents.legibility.marks import WHITE, Ink, Kind, Mark
from mail2fax.documents.pages import letter

_PAPER = 0.93  # what is lighter, and carries nothing, is paper
_LIGHT, _MEDIUM, _DENSE = 0.72, 0.5, 0.22  # the least light of each pattern; below is black
_HIDDEN = 0.985  # text as light as paper, on paper: it was not meant to be seen
_SAME = 0.04  # text that differs less from what is under it was not meant to be seen either
_LINE = 3.5  # points: a filled box as thin as this is a line
_GLYPH = 40.0  # points: filled shapes no larger than this are letters that were made outlines, ticks, dots
_BAND = 5.0  # points: a line as thick as this is an area, such as a street
_WATERMARK = 40.0  # points: text as large as this, light or slanting, is a stamp behind the page's words
_PLACE = 60.0  # points: an area that measures as much each way, and has few words on it, is a place on a map or plan,
_FEW = 0.07  # of its surface under letters;
_GROUND = 0.5  # unless it is as much of the page: then it is the page's ground
_LETTER = 60.0  # square points of a letter
_MOST_COMPARED = 400_000  # marks times areas


def choose(marks: Sequence[Mark]) -> bool:
    """Set the inks. Returns whether text, lines or tints were changed."""
    seen = [mark for mark in marks if mark.seen]
    grounds = _grounds(seen)
    _weigh(seen, grounds)
    for mark in seen:
        ground = grounds.get(mark)
        if any(colour.tile for colour in mark.colours):
            continue  # hatching, as a rule
        if mark.kind is Kind.TEXT:
            _text(mark, ground)
        elif mark.kind is Kind.STENCIL:
            mark.fill_ink = _written(mark, mark.fill.light if mark.fill else 0, ground)
        elif mark.kind is Kind.PATH:
            _path(mark, ground)
    return any(not mark.plain and mark.kind is not Kind.PICTURE for mark in seen)


def is_area(mark: Mark) -> bool:
    """Whether things stand on it, rather than it on things."""
    if mark.kind in {Kind.SHADING, Kind.PICTURE}:
        return True
    return mark.kind is Kind.PATH and mark.fill is not None and not _small(mark)


def _small(mark: Mark) -> bool:
    """Whether a filled path is a line, or a letter that was made an outline."""
    if min(mark.box.width, mark.box.height) <= _LINE:
        return True
    if mark.rectangular:
        return False
    heights = (max(y for _, y in shape) - min(y for _, y in shape) for shape in mark.shapes if shape)
    return max(heights, default=0) <= _GLYPH and (len(mark.shapes) > 1 or mark.box.width <= _GLYPH)


def _grounds(marks: Sequence[Mark]) -> dict[Mark, Mark]:
    """The area that each mark stands on; none is paper."""
    areas: list[Mark] = []
    found = {}
    patience = _MOST_COMPARED
    for mark in marks:
        point = _middle(mark)
        if patience > 0:
            patience -= len(areas)
            if under := next((area for area in reversed(areas) if area.covers(point)), None):
                found[mark] = under
        if is_area(mark):
            areas.append(mark)
    return found


def _middle(mark: Mark) -> Point:
    """A point of a mark by which to say what it stands on. Of text its first letter: its length is a guess."""
    if mark.kind is Kind.TEXT:
        (start, right, _, up), *_ = mark.shapes
        first = min(1.0, 1 / max(mark.letters, 1)) / 2
        x, y = start[0] + (right[0] - start[0]) * first, start[1] + (right[1] - start[1]) * first
        return x + (up[0] - start[0]) * 0.4, y + (up[1] - start[1]) * 0.4
    if mark.kind is Kind.PATH and mark.shapes and mark.fill is None:
        shape = mark.shapes[0]
        (x1, y1), (x2, y2) = shape[0], shape[min(1, len(shape) - 1)]
        return (x1 + x2) / 2, (y1 + y2) / 2
    return (mark.box.left + mark.box.right) / 2, (mark.box.bottom + mark.box.top) / 2


def _weigh(marks: Sequence[Mark], grounds: dict[Mark, Mark]) -> None:
    """Choose the ink of each area by the text that stands on it."""
    darker: dict[Mark, float] = {}
    lighter: dict[Mark, float] = {}
    for mark, ground in grounds.items():
        weight = mark.letters if mark.kind is Kind.TEXT else 1 if not is_area(mark) else 0
        if not (weight and mark.fill and ground.fill):
            continue
        difference = mark.fill.light - ground.fill.light
        if abs(difference) > _SAME:
            side = lighter if difference > 0 else darker
            side[ground] = side.get(ground, 0) + weight
    for mark in marks:
        if mark.fill and is_area(mark) and not (mark.veiled or mark.fill.tile):
            mark.fill_ink = _area(mark, mark.fill.light, lighter.get(mark, 0), darker.get(mark, 0))


def _place(mark: Mark, darker: float) -> bool:
    """Whether an area is one of a map."""
    surface = mark.box.width * mark.box.height
    if min(mark.box.width, mark.box.height) < _PLACE or surface > _GROUND * letter.WIDTH * letter.HEIGHT:
        return False
    return darker * _LETTER <= _FEW * surface


def _area(mark: Mark, light: float, lighter: float, darker: float) -> Ink:
    if lighter > darker:
        return Ink.BLACK
    if light < _PAPER and not mark.sheer and _place(mark, darker):
        return Ink.LIGHT if darker else tint(light)
    if darker or light >= _PAPER:
        # What was sheer let through what it lay on; as opaque white it would hide that.
        return Ink.NOTHING if mark.sheer else Ink.WHITE
    return Ink.LIGHT if mark.sheer and light > _DENSE else tint(light)


def tint(light: float) -> Ink:
    """The pattern for an area that carries no text."""
    if light >= _PAPER:
        return Ink.WHITE
    for least, ink in ((_LIGHT, Ink.LIGHT), (_MEDIUM, Ink.MEDIUM), (_DENSE, Ink.DENSE)):
        if light >= least:
            return ink
    return Ink.BLACK


def _text(mark: Mark, ground: Mark | None) -> None:
    light = min(colour.light for colour in mark.colours) if any(mark.colours) else 0.0
    stamp = ground is None and _watermark(mark, light)
    ink = tint(max(light, _LIGHT)) if stamp else _written(mark, light, ground)
    mark.fill_ink = mark.stroke_ink = ink


def _watermark(mark: Mark, light: float) -> bool:
    return mark.size >= _WATERMARK and light >= (0.4 if mark.turn % 90 else 0.6)


def _written(mark: Mark, light: float, ground: Mark | None) -> Ink:
    """The ink of something to be read."""
    if mark.veiled:
        return Ink.BLACK
    if ground is None or ground.fill is None:
        if ground is not None and not ground.is_paper:  # on a photograph
            return Ink.BLACK if light < 0.5 else Ink.WHITE
        return Ink.WHITE if light >= _HIDDEN else Ink.BLACK
    if ground.fill_ink is Ink.AS_IT_IS:
        return Ink.AS_IT_IS
    hidden = abs(light - ground.fill.light) <= _SAME
    on_black = ground.fill_ink in {Ink.BLACK, Ink.DENSE}
    return Ink.WHITE if on_black != hidden else Ink.BLACK


def _path(mark: Mark, ground: Mark | None) -> None:
    if mark.fill and not is_area(mark):
        mark.fill_ink = _written(mark, mark.fill.light, ground)
    if mark.stroke:
        mark.stroke_ink = _line(mark, ground)


def _line(mark: Mark, ground: Mark | None) -> Ink:
    """The ink of what is drawn along a path."""
    light = mark.stroke.light if mark.stroke else WHITE
    if light >= _HIDDEN:
        return Ink.WHITE
    if mark.width >= _BAND:
        ink = tint(light)
        return ink if ink is not Ink.WHITE or light >= _PAPER + 0.03 else Ink.LIGHT
    if ground and ground.fill and ground.fill_ink in {Ink.BLACK, Ink.DENSE} and not mark.fill:
        return Ink.WHITE if light > ground.fill.light else Ink.BLACK
    return Ink.BLACK
