"""Write a page's content anew with the inks that were chosen. Nothing moves: only colours change.

Colours are set where something is painted with another one than before, and nowhere else.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import pikepdf
from pikepdf import Array, ContentStreamInstruction, Dictionary, Name, Operator, Stream

from mail2fax.documents.legibility.geometry import inverse, then
from mail2fax.documents.legibility.marks import Drawing, Ink, Kind, Made, Mark
from mail2fax.documents.pages import letter
from mail2fax.documents.pages.letter import Matrix
from mail2fax.documents.pages.raster import FAX_HEIGHT, FAX_WIDTH

_SETS_FILL = frozenset({"g", "rg", "k", "cs", "sc", "scn"})
_SETS_STROKE = frozenset({"G", "RG", "K", "CS", "SC", "SCN"})
_FILLS = {"B": "S", "B*": "S", "b": "s", "b*": "s"}  # what is left of it without the filling
# Each pattern is lines along the page, for such a line costs a fax a few bits: (every so many rows, of which black)
_LINES = {Ink.LIGHT: (20, 1), Ink.MEDIUM: (10, 2), Ink.DENSE: (6, 3)}
_DOT: tuple[float, float] = (letter.WIDTH / FAX_WIDTH, letter.HEIGHT / FAX_HEIGHT)  # points
_DIGITS = 10
_INSET = 0.1  # of a dot: a converter blackens every dot that a shape touches


class Writer:
    """Writes the drawings of one document."""

    def __init__(self, pdf: pikepdf.Pdf) -> None:
        self._pdf = pdf
        self._made: dict[Any, Stream] = {}

    def form(self, drawing: Drawing) -> Stream:
        """The drawing as a new form XObject."""
        resources = _copied(drawing.resources)
        body = _Body(self, drawing, resources)
        instructions = list(body.instructions())
        content = pikepdf.unparse_content_stream(instructions)
        _drop_unused(resources, instructions)
        key = (drawing.stream.objgen, content, resources.unparse())
        if key not in self._made:
            new = Stream(self._pdf, content)
            for name, value in drawing.stream.items():
                if name not in {"/Length", "/Filter", "/DecodeParms", "/Resources"}:
                    new[name] = value
            new.Resources = resources
            self._made[key] = self._pdf.make_indirect(new)
        return self._made[key]

    def pattern(self, ink: Ink, base: Matrix) -> Stream:
        """A tile of lines that lie on the rows of a fax, whatever space it is used in."""
        every, black = _LINES[ink]
        key = (ink, base)
        if key not in self._made:
            lines = f"0 {_INSET} {every} {black - 2 * _INSET} re f".encode()
            grid = then((_DOT[0], 0, 0, _DOT[1], 0, 0), inverse(base) or (1, 0, 0, 1, 0, 0))
            self._made[key] = self._pdf.make_indirect(
                Stream(
                    self._pdf,
                    lines,
                    Type=Name.Pattern,
                    PatternType=1,
                    PaintType=1,
                    TilingType=1,
                    BBox=Array([0, 0, every, every]),
                    XStep=every,
                    YStep=every,
                    Resources=Dictionary(),
                    Matrix=Array([round(number, 8) for number in grid]),
                )
            )
        return self._made[key]


class _Body:
    """One content stream on its way."""

    def __init__(self, writer: Writer, drawing: Drawing, resources: Any) -> None:
        self._writer, self._drawing, self._resources = writer, drawing, resources
        self._now: dict[bool, Any] = {True: None, False: None}  # what the fill and the stroke are set to
        self._stack: list[dict[bool, Any]] = []
        self._names = 0

    def instructions(self) -> Iterator[Any]:
        for at, instruction in enumerate(self._drawing.instructions):
            operator = str(instruction.operator)
            if operator in _SETS_FILL or operator in _SETS_STROKE:
                continue
            if operator == "q":
                self._stack.append(dict(self._now))
            elif operator == "Q" and self._stack:
                self._now = self._stack.pop()
            if operator == "gs":
                yield self._opaque(instruction)
            elif form := self._drawing.forms.get(at):  # it sets its own colours, whatever it would inherit
                yield _said("Do", self._name("/XObject", self._writer.form(form)))
            elif mark := self._drawing.marks.get(at):
                yield from self._mark(mark, instruction, operator)
            else:
                yield instruction

    def _mark(self, mark: Mark, instruction: Any, operator: str) -> Iterator[Any]:
        if mark.kind is Kind.PICTURE:
            yield from self._picture(mark, instruction)
            return
        if mark.kind is Kind.SHADING:
            yield from self._shading(mark, instruction)
            return
        if mark.fill and mark.fill_ink is Ink.NOTHING:
            operator = _FILLS.get(operator, "n")
            yield from self._set(mark, fill=False) if mark.stroke else ()
            yield _said(operator)
            return
        if mark.fill:
            yield from self._set(mark, fill=True)
        if mark.stroke:
            yield from self._set(mark, fill=False)
        yield instruction

    def _set(self, mark: Mark, *, fill: bool) -> Iterator[Any]:
        """The instructions that set a colour, if it is not set already."""
        ink, colour = (mark.fill_ink, mark.fill) if fill else (mark.stroke_ink, mark.stroke)
        if ink is Ink.AS_IT_IS:
            self._now[fill] = None
            yield from colour.said if colour and colour.said else (_said("g" if fill else "G", 0),)
        elif self._now[fill] is not ink:
            self._now[fill] = ink
            yield from self._ink(ink, fill=fill)

    def _ink(self, ink: Ink, *, fill: bool) -> Iterator[Any]:
        if ink in _LINES:
            yield _said("cs" if fill else "CS", Name.Pattern)
            name = self._name("/Pattern", self._writer.pattern(ink, self._drawing.base))
            yield _said("scn" if fill else "SCN", name)
        else:
            yield _said("g" if fill else "G", 1 if ink is Ink.WHITE else 0)

    def _shading(self, mark: Mark, instruction: Any) -> Iterator[Any]:
        """A gradient under text becomes one ink all over what it covers."""
        if mark.fill_ink is Ink.AS_IT_IS:
            yield instruction
            return
        if mark.fill_ink is Ink.NOTHING:
            return
        yield _said("q")
        yield from self._ink(mark.fill_ink, fill=True)
        box = mark.box
        if back := inverse(mark.placed):
            yield _said("cm", *back)
        yield _said("re", box.left, box.bottom, box.width, box.height)
        yield _said("f")
        yield _said("Q")

    def _picture(self, mark: Mark, instruction: Any) -> Iterator[Any]:
        back = inverse(mark.placed)
        if mark.made is None or back is None:
            yield instruction
            return
        for box, ink in ((mark.made.ground, Ink.WHITE), (mark.made.where, Ink.BLACK)):
            if box:
                yield _said("q")
                yield _said("cm", *then((box.width, 0, 0, box.height, box.left, box.bottom), back))
                yield from self._ink(ink, fill=True)
                yield from self._square() if ink is Ink.WHITE else self._stencil(mark.made)
                yield _said("Q")

    @staticmethod
    def _square() -> Iterator[Any]:
        yield _said("re", 0, 0, 1, 1)
        yield _said("f")

    def _stencil(self, made: Made) -> Iterator[Any]:
        yield _said("Do", self._name("/XObject", made.stencil))

    def _opaque(self, instruction: Any) -> Any:
        """The same graphics state without transparency: ink is black or none."""
        states = self._resources.get("/ExtGState")
        state = states.get(str(instruction.operands[0])) if isinstance(states, Dictionary) else None
        if not isinstance(state, Dictionary) or not ({"/ca", "/CA"} & set(state.keys())):
            return instruction
        new = Dictionary(dict(state.items()))
        for key in ("/ca", "/CA"):
            if key in new:
                new[key] = 1
        return _said("gs", self._name("/ExtGState", new))

    def _name(self, kind: str, thing: Any) -> Any:
        """A name for a new resource."""
        if kind not in self._resources:
            self._resources[kind] = Dictionary()
        held = self._resources[kind]
        for name, known in held.items():
            if name.startswith("/Fax") and known == thing:
                return Name(name)
        while (name := f"/Fax{self._names}") in held:
            self._names += 1
        held[name] = thing
        return Name(name)


def _said(operator: str, *operands: Any) -> ContentStreamInstruction:
    # A float would be written with six digits after the point: half a row too little for a picture's matrix.
    exact = [round(Decimal(one), _DIGITS) if isinstance(one, float) else one for one in operands]
    return ContentStreamInstruction(exact, Operator(operator))


def _drop_unused(resources: Any, instructions: Iterable[Any]) -> None:
    """Leave out pictures that are not drawn any more: they are most of a document's bytes."""
    held = resources.get("/XObject")
    if isinstance(held, Dictionary):
        drawn = {str(one.operands[0]) for one in instructions if str(one.operator) == "Do" and len(one.operands)}
        for name in set(held.keys()) - drawn:
            del held[name]


def _copied(resources: Any) -> Dictionary:
    """Resources that may be added to without changing what others use."""
    new = Dictionary()
    if isinstance(resources, Dictionary):
        for kind, held in resources.items():
            new[kind] = (
                Dictionary(dict(held.items()))
                if isinstance(held, Dictionary) and not isinstance(held, Stream)
                else held
            )
    return new
