"""Read a page's content: every mark it paints, with its place, size and colour. ISO 32000-1 sections 8 and 9.

The places of text are estimates (what a letter measures is the font's secret); they serve to find what lies under it.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name, Stream

from mail2fax.documents.legibility import colours
from mail2fax.documents.legibility.colours import Spaces
from mail2fax.documents.legibility.geometry import (
    UPRIGHT,
    Point,
    apply,
    around,
    matrix_of,
    met,
    number,
    numbers,
    placed,
    scale,
    six,
    then,
)
from mail2fax.documents.legibility.marks import Colour, Drawing, Kind, Mark
from mail2fax.documents.legibility.state import Path, State
from mail2fax.documents.pages import letter
from mail2fax.documents.pages.letter import Box

_MOST = 60_000  # instructions of a page; what has more is a drawing that nobody made by hand
_DEEP = 8  # forms within forms
_LETTER_WIDTH, _LETTER_HEIGHT = 0.5, 0.7  # of a letter, in its size
_INVISIBLE = 3  # text rendering mode
_MOST_BYTES = 4_000_000  # of one content stream


class TooMuch(Exception):  # noqa: N818 -- a fact about the page
    """It is too large, or not as it should be, to be read here."""


class Reader:
    """Reads pages of one document."""

    def __init__(self, document: pikepdf.Pdf) -> None:
        self._spaces = Spaces(document)
        self._parsed: dict[tuple[int, int], Sequence[Any]] = {}
        self._read = 0

    def page(self, page: pikepdf.Page, size: tuple[float, float]) -> Drawing:
        """A page that was laid by `fit`. Raises TooMuch."""
        self._read = 0
        self._parsed.clear()
        form: Any = page.obj.Resources.XObject.Fax0
        outer = pikepdf.parse_content_stream(page)
        matrix = next(tuple(map(float, one.operands)) for one in outer if str(one.operator) == "cm")
        state = State(matrix=matrix, clip=Box(0, 0, *size))  # type: ignore[arg-type]  # six of them
        return self.form(form, state, Dictionary(), 0)

    def form(self, form: Stream, state: State, inherited: Any, depth: int) -> Drawing:
        """One form XObject and all within."""
        if depth > _DEEP:
            raise TooMuch
        matrix = matrix_of(form.get("/Matrix"))
        inner = state.copy()
        inner.matrix = then(matrix, state.matrix)
        box = form.get("/BBox")
        if isinstance(box, Array) and (bounds := letter.box(map(number, box))):
            inner.clip = met(inner.clip, placed(bounds, inner.matrix))
        drawing = Drawing(form, form.get("/Resources", inherited), inner.matrix, self._instructions(form))
        _Walk(self, drawing, inner, depth).all()
        return drawing

    def light(self, space: Any, components: Sequence[float]) -> float:
        """How light a colour is."""
        return self._spaces.light(space, components)

    def gradient(self, shading: Any) -> float:
        """How light a gradient is."""
        return self._spaces.gradient(shading)

    def _instructions(self, form: Stream) -> Sequence[Any]:
        known = self._parsed.get(form.objgen) if form.is_indirect else None
        if known is None:
            if len(form.get_stream_buffer()) > _MOST_BYTES:
                raise TooMuch
            known = pikepdf.parse_content_stream(form)
            if form.is_indirect:
                self._parsed[form.objgen] = known
        self._read += len(known)
        if self._read > _MOST:
            raise TooMuch
        return known


class _Walk:
    """One content stream, instruction by instruction."""

    def __init__(self, reader: Reader, drawing: Drawing, state: State, depth: int) -> None:
        self._reader, self._drawing, self._state, self._depth = reader, drawing, state, depth
        self._stack: list[State] = []
        self._path = Path()
        self._text = self._line = UPRIGHT
        self._at = 0

    def all(self) -> None:
        """Walk through."""
        for at, instruction in enumerate(self._drawing.instructions):
            self._at = at
            operator = str(instruction.operator)
            if act := _ACTS.get(operator):
                try:
                    act(self, instruction.operands, instruction)
                except (TypeError, ValueError, IndexError, ArithmeticError, AttributeError):
                    continue  # a converter leaves out what makes no sense as well

    def _mark(self, mark: Mark) -> None:
        state = self._state
        mark.veiled = state.veiled
        box = met(mark.box, state.clip)
        mark.seen = mark.seen and box.width > -1 and box.height > -1
        if mark.kind is not Kind.TEXT:
            mark.box = box
        self._drawing.marks[self._at] = mark

    # The graphics state

    def save(self, *_: Any) -> None:
        self._stack.append(self._state.copy())

    def restore(self, *_: Any) -> None:
        if self._stack:
            self._state = self._stack.pop()

    def concat(self, operands: Any, _: Any) -> None:
        self._state.matrix = then(six(operands), self._state.matrix)

    def line_width(self, operands: Any, _: Any) -> None:
        self._state.width = float(operands[0])

    def extended(self, operands: Any, _: Any) -> None:
        """The operator gs: what it sets of transparency."""
        found = self._resource("/ExtGState", operands[0])
        state = self._state
        if not isinstance(found, Dictionary):
            return
        state.fill_alpha = number(found.get("/ca"), state.fill_alpha)
        state.stroke_alpha = number(found.get("/CA"), state.stroke_alpha)
        state.width = number(found.get("/LW"), state.width)
        mask = found.get("/SMask")
        blend = found.get("/BM")
        if mask is not None or blend is not None:
            state.veiled = isinstance(mask, Dictionary)

    # Colours

    def device(self, operands: Any, instruction: Any, *, fill: bool) -> None:
        self._colour(Colour(colours.light(numbers(operands)), (instruction,)), fill=fill)

    def space(self, operands: Any, instruction: Any, *, fill: bool) -> None:
        space = self._resource("/ColorSpace", operands[0]) or operands[0]
        if fill:
            self._state.fill_space = space
        else:
            self._state.stroke_space = space
        self._colour(Colour(Spaces.first(space), (instruction,)), fill=fill)

    def components(self, operands: Any, instruction: Any, *, fill: bool) -> None:
        state = self._state
        said = (state.fill if fill else state.stroke).said[:1]
        pattern = operands[-1] if len(operands) and isinstance(operands[-1], Name) else None
        if pattern is not None:
            light = self._pattern_light(pattern)
        else:
            light = self._reader.light(state.fill_space if fill else state.stroke_space, numbers(operands))
        colour = Colour(tile=True) if light is None else Colour(light)
        self._colour(replace(colour, said=(*said, instruction)), fill=fill)

    def _pattern_light(self, name: Any) -> float | None:
        """Of a gradient the middle of its ends; what a tile draws is left to it."""
        pattern = self._resource("/Pattern", name)
        if isinstance(pattern, Dictionary) and not isinstance(pattern, Stream):
            return self._reader.gradient(pattern.get("/Shading"))
        return None

    def _colour(self, colour: Colour, *, fill: bool) -> None:
        if fill:
            self._state.fill = colour
        else:
            self._state.stroke = colour

    # Paths

    def move(self, operands: Any, _: Any) -> None:
        self._path.shapes.append([self._point(operands, 0)])

    def to(self, operands: Any, _: Any) -> None:
        self._path.shapes[-1] += [self._point(operands, at) for at in range(0, len(operands), 2)]

    def rectangle(self, operands: Any, _: Any) -> None:
        x, y, width, height = numbers(operands)
        corners = ((x, y), (x + width, y), (x + width, y + height), (x, y + height))
        self._path.shapes.append([apply(self._state.matrix, *corner) for corner in corners])
        self._path.rectangles += 1

    def _point(self, operands: Any, at: int) -> Point:
        return apply(self._state.matrix, float(operands[at]), float(operands[at + 1]))

    def clip(self, *_: Any) -> None:
        self._path.clips = True

    def paint(self, *, fill: bool, stroke: bool) -> None:
        state, path = self._state, self._path
        points = path.points()
        if points and (fill or stroke):
            width = state.width * scale(state.matrix) if stroke else 0.0
            box = around(points)
            if stroke:
                box = Box(box.left - width / 2, box.bottom - width / 2, box.right + width / 2, box.top + width / 2)
            self._mark(
                Mark(
                    Kind.PATH,
                    box,
                    self._seen(state.fill, state.fill_alpha) if fill else None,
                    self._seen(state.stroke, state.stroke_alpha) if stroke else None,
                    path.shapes,
                    rectangular=path.is_upright(state.matrix),
                    width=width,
                    sheer=(fill and state.fill_alpha < 1) or (stroke and state.stroke_alpha < 1),
                )
            )
        if path.clips and points:
            state.clip = met(state.clip, around(points))
        self._path = Path()

    @staticmethod
    def _seen(colour: Colour, alpha: float) -> Colour:
        """A colour on white paper, when it is sheer."""
        return colour if alpha >= 1 else replace(colour, light=1 - (1 - colour.light) * max(alpha, 0.0))

    def shade(self, operands: Any, _: Any) -> None:
        shading = self._resource("/Shading", operands[0])
        colour = self._seen(Colour(self._reader.gradient(shading)), self._state.fill_alpha)
        sheer = self._state.fill_alpha < 1
        self._mark(Mark(Kind.SHADING, self._state.clip, colour, sheer=sheer, placed=self._state.matrix))

    # Text

    def begin(self, *_: Any) -> None:
        self._text = self._line = UPRIGHT

    def font(self, operands: Any, _: Any) -> None:
        font = self._resource("/Font", operands[0])
        self._state.wide = isinstance(font, Dictionary) and font.get("/Subtype") == Name.Type0
        self._state.size = float(operands[1])

    def next_line(self, operands: Any, _: Any) -> None:
        self._line = self._text = then((1, 0, 0, 1, float(operands[0]), float(operands[1])), self._line)

    def next_line_led(self, operands: Any, _: Any) -> None:
        self._state.leading = -float(operands[1])
        self.next_line(operands, _)

    def leading(self, operands: Any, _: Any) -> None:
        self._state.leading = float(operands[0])

    def text_matrix(self, operands: Any, _: Any) -> None:
        self._line = self._text = six(operands)

    def feed(self, *_: Any) -> None:
        self._line = self._text = then((1, 0, 0, 1, 0, -self._state.leading), self._line)

    def stretch(self, operands: Any, _: Any) -> None:
        self._state.stretch = float(operands[0]) / 100

    def rise(self, operands: Any, _: Any) -> None:
        self._state.rise = float(operands[0])

    def mode(self, operands: Any, _: Any) -> None:
        self._state.mode = int(operands[0])

    def show(self, operands: Any, _: Any) -> None:
        words = operands[-1]
        strings = words if isinstance(words, Array) else [words]
        self._show(sum(len(bytes(word)) for word in strings if isinstance(word, pikepdf.String)))

    def show_next(self, operands: Any, _: Any) -> None:
        self.feed()
        self.show(operands, _)

    def _show(self, count: int) -> None:
        state = self._state
        letters = count // 2 if state.wide else count
        if not letters:
            return
        matrix = then(self._text, state.matrix)
        size = abs(state.size)
        across, up = letters * size * _LETTER_WIDTH * state.stretch, size * _LETTER_HEIGHT
        corners = ((0.0, state.rise), (across, state.rise), (across, state.rise + up), (0.0, state.rise + up))
        shape = [apply(matrix, *corner) for corner in corners]
        fills, strokes = state.mode % 4 in {0, 2}, state.mode % 4 in {1, 2}
        self._mark(
            Mark(
                Kind.TEXT,
                around(shape),
                self._seen(state.fill, state.fill_alpha) if fills else None,
                self._seen(state.stroke, state.stroke_alpha) if strokes else None,
                [shape],
                width=state.width * scale(state.matrix),
                size=size * math.hypot(matrix[2], matrix[3]),
                letters=letters,
                turn=round(math.degrees(math.atan2(matrix[1], matrix[0]))) % 360,
                seen=state.mode % 4 != _INVISIBLE,
                sheer=(fills and state.fill_alpha < 1) or (strokes and state.stroke_alpha < 1),
            )
        )
        self._text = then((1, 0, 0, 1, across, 0), self._text)

    # What is drawn elsewhere

    def do(self, operands: Any, _: Any) -> None:
        found = self._resource("/XObject", operands[0])
        if not isinstance(found, Stream):
            return
        if found.get("/Subtype") == Name.Form:
            self._drawing.forms[self._at] = self._reader.form(
                found, self._state, self._drawing.resources, self._depth + 1
            )
        elif found.get("/Subtype") == Name.Image:
            self._picture(found, stencil=bool(found.get("/ImageMask", False)))

    def inline(self, _: Any, instruction: Any) -> None:
        """BI: a small picture within the content."""
        picture = instruction.operands[0]
        self._picture(None, stencil=bool(picture.image_mask))

    def _picture(self, picture: Any, *, stencil: bool) -> None:
        state = self._state
        box = placed(Box(0, 0, 1, 1), state.matrix)
        fill = self._seen(state.fill, state.fill_alpha) if stencil else None
        kind = Kind.STENCIL if stencil else Kind.PICTURE
        self._mark(Mark(kind, box, fill, placed=state.matrix, picture=picture, sheer=state.fill_alpha < 1))

    def _resource(self, kind: str, name: Any) -> Any:
        held = self._drawing.resources
        found = held.get(kind) if isinstance(held, Dictionary) else None
        return found.get(str(name)) if isinstance(found, Dictionary) else None


def _painting(*, fill: bool, stroke: bool) -> Any:
    return lambda walk, _operands, _instruction: walk.paint(fill=fill, stroke=stroke)


def _colouring(act: Any, *, fill: bool) -> Any:
    return lambda walk, operands, instruction: act(walk, operands, instruction, fill=fill)


_ACTS: dict[str, Any] = {
    "q": _Walk.save, "Q": _Walk.restore, "cm": _Walk.concat, "w": _Walk.line_width, "gs": _Walk.extended,
    "m": _Walk.move, "l": _Walk.to, "c": _Walk.to, "v": _Walk.to, "y": _Walk.to, "re": _Walk.rectangle,
    "W": _Walk.clip, "W*": _Walk.clip, "n": _painting(fill=False, stroke=False),
    **dict.fromkeys(("f", "F", "f*"), _painting(fill=True, stroke=False)),
    **dict.fromkeys(("S", "s"), _painting(fill=False, stroke=True)),
    **dict.fromkeys(("B", "B*", "b", "b*"), _painting(fill=True, stroke=True)),
    **dict.fromkeys(("g", "rg", "k"), _colouring(_Walk.device, fill=True)),
    **dict.fromkeys(("G", "RG", "K"), _colouring(_Walk.device, fill=False)),
    "cs": _colouring(_Walk.space, fill=True), "CS": _colouring(_Walk.space, fill=False),
    **dict.fromkeys(("sc", "scn"), _colouring(_Walk.components, fill=True)),
    **dict.fromkeys(("SC", "SCN"), _colouring(_Walk.components, fill=False)),
    "sh": _Walk.shade, "Do": _Walk.do, "INLINE IMAGE": _Walk.inline,
    "BT": _Walk.begin, "Tf": _Walk.font, "Td": _Walk.next_line, "TD": _Walk.next_line_led, "Tm": _Walk.text_matrix,
    "T*": _Walk.feed, "TL": _Walk.leading, "Tz": _Walk.stretch, "Ts": _Walk.rise, "Tr": _Walk.mode,
    "Tj": _Walk.show, "TJ": _Walk.show, "'": _Walk.show_next, '"': _Walk.show_next,
}  # fmt: skip
