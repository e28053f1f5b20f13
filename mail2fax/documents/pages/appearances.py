"""Appearances for marks that have none and that PDFium draws none for: lines, polygons, stamps, typewriter text.

Until PDF 2.0 a mark did not need to bring its drawing along (ISO 32000-1 table 164); readers made one from what the
mark says of itself, and programs rely on that. PDFium does so for boxes, circles, ink, highlights and form fields.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name, Stream

from mail2fax.documents.pages import letter, typeset
from mail2fax.documents.pages.inspection import inherited
from mail2fax.documents.pages.letter import Box

Point = tuple[float, float]

_MOST_MARKS = 2000  # of a document; each costs a little
_MOST_POINTS = 20_000  # of one mark
_HIDDEN = 1 << 1  # ISO 32000-1 table 165
_COMBO = 1 << 17  # table 230
_PAINT = {0: "", 1: "{} G", 3: "{} RG", 4: "{} K"}  # by the number of a colour's components
_SIZE = re.compile(r"([\d.]+)\s+Tf")
_COLOUR = re.compile(r"((?:[\d.]+\s+){1,4})(g|rg|k)\b")
_USUAL_WIDTH = 1.0  # points of a line, where nothing is said
_TEXT_SIZE = 12.0
_CAPITAL = 0.74  # of the height: about the width of a bold capital letter
_ARROW = math.radians(30)


def complete(pdf: pikepdf.Pdf) -> bool:
    """Draw the marks that have no drawing, and make of lone widgets a form. Whether that changed anything."""
    changed = False
    form = _dictionary(pdf.Root.get("/AcroForm"))
    fields = form.get("/Fields") if form is not None else None
    listed = {field.objgen for field in fields if isinstance(field, Dictionary)} if isinstance(fields, Array) else set()
    for _, mark in zip(range(_MOST_MARKS), _bare(pdf), strict=False):
        kind = str(mark.get("/Subtype"))
        if kind == "/Widget":
            changed = _widget(pdf, mark, listed) or changed
        elif draw := _DRAWN.get(kind):
            changed = _drawn(pdf, mark, draw) or changed
    return changed


def _bare(pdf: pikepdf.Pdf) -> Iterator[Dictionary]:
    """The annotations without an appearance that are not hidden."""
    for page in pdf.pages:
        marks = page.obj.get("/Annots")
        for mark in marks if isinstance(marks, Array) else ():
            if isinstance(mark, Dictionary) and "/N" not in (_dictionary(mark.get("/AP")) or {}):
                flags = mark.get("/F", 0)
                if not (isinstance(flags, int) and flags & _HIDDEN):
                    yield mark


def _dictionary(value: object) -> Dictionary | None:
    return value if isinstance(value, Dictionary) else None


def _drawn(pdf: pikepdf.Pdf, mark: Dictionary, draw: "Callable[[pikepdf.Pdf, Dictionary, Box], Stream | None]") -> bool:
    box = letter.box(_numbers(mark.get("/Rect")))
    form = draw(pdf, mark, box) if box else None
    if form is None or box is None:
        return False
    mark.AP = Dictionary(N=pdf.make_indirect(form))
    return True


def _form(pdf: pikepdf.Pdf, mark: Dictionary, box: Box, content: str, **resources: Any) -> Stream:
    """An appearance in the page's own coordinates; the mark's Rect grows or shrinks to what is drawn."""
    corners = Array([round(corner, 3) for corner in (box.left, box.bottom, box.right, box.top)])
    mark.Rect = corners
    opacity = mark.get("/CA", 1)
    state = Dictionary(GS=Dictionary(CA=opacity, ca=opacity))
    form = Stream(pdf, f"/GS gs\n{content}".encode("cp1252", "replace"), Type=Name.XObject, Subtype=Name.Form)
    form.BBox = corners
    form.Resources = Dictionary(ExtGState=state, **resources)
    return form


def _line(pdf: pikepdf.Pdf, mark: Dictionary, _: Box) -> Stream | None:
    ends = _numbers(mark.get("/L"))
    if len(ends) != 4:
        return None
    first, last = (ends[0], ends[1]), (ends[2], ends[3])
    (lead,) = _numbers([mark.get("/LL", 0)]) or (0.0,)
    across = math.atan2(last[1] - first[1], last[0] - first[0]) + math.pi / 2
    points = [_from(first, across, lead), _from(last, across, lead)]
    leaders = [[first, points[0]], [last, points[1]]] if lead else []
    return _stroked(pdf, mark, [points, *leaders], closed=False)


def _polygon(pdf: pikepdf.Pdf, mark: Dictionary, _: Box) -> Stream | None:
    numbers = _numbers(mark.get("/Vertices"))[: 2 * _MOST_POINTS]
    points = list(zip(numbers[::2], numbers[1::2], strict=False))
    if len(points) < 2:
        return None
    return _stroked(pdf, mark, [points], closed=mark.get("/Subtype") == Name.Polygon)


def _stroked(pdf: pikepdf.Pdf, mark: Dictionary, paths: Sequence[Sequence[Point]], *, closed: bool) -> Stream | None:
    """The paths; the first one has the mark's line endings, or is a closed area."""
    width, dash = _border(mark)
    if not (width or closed or "/BS" in mark):  # /Border is about frames: some programs write 0 into every mark
        width = _USUAL_WIDTH
    stroke, fill = _colour(mark.get("/C", Array([0]))), _colour(mark.get("/IC")).lower()
    if not (stroke and width) and not fill:
        return None
    ends = [] if closed else list(_endings(mark, paths[0], width))
    paint = {(True, True): "B", (True, False): "S", (False, True): "f"}[bool(stroke and width), bool(fill)]
    lines = [stroke, fill, f"{width:.2f} w", dash]
    lines += [_path(paths[0]) + ("h " + paint if closed else "S"), *(_path(path) + "S" for path in paths[1:])]
    lines += [_path(points) + {"line": "S", "area": "h " + paint}[how] for points, how in ends]
    drawn = [point for path in (*paths, *(points for points, _ in ends)) for point in path]
    return _form(pdf, mark, _around(drawn, width), "\n".join(filter(None, lines)))


def _path(points: Sequence[Point]) -> str:
    return "".join(f"{x:.2f} {y:.2f} {'l' if number else 'm'} " for number, (x, y) in enumerate(points))


def _around(points: Sequence[Point], margin: float) -> Box:
    across, up = zip(*points, strict=True)
    return Box(min(across) - margin, min(up) - margin, max(across) + margin, max(up) + margin)


def _endings(mark: Dictionary, points: Sequence[Point], width: float) -> Iterator[tuple[list[Point], str]]:
    """Arrow heads and the like at both ends (ISO 32000-1 table 176), each a line or an area."""
    named = mark.get("/LE")
    names = [str(name) for name in named] if isinstance(named, Array) else []
    for name, at, towards in zip(names, (points[0], points[-1]), (points[1], points[-2]), strict=False):
        back = math.atan2(towards[1] - at[1], towards[0] - at[0])
        size = max(width, 0.5)
        if name.endswith("Arrow"):
            back += math.pi if name.startswith("/R") else 0
            head = [_from(at, back - _ARROW, 9 * size), at, _from(at, back + _ARROW, 9 * size)]
            yield head, "area" if "Closed" in name else "line"
        elif name in _SHAPES:
            corners, turned = _SHAPES[name]
            turns = (2 * math.pi * (number + turned) / corners for number in range(corners))
            yield [_from(at, turn, 4 * size) for turn in turns], "area"
        elif name in {"/Butt", "/Slash"}:
            lean = back + (math.pi / 2 if name == "/Butt" else math.pi / 3)
            yield [_from(at, lean, 4 * size), _from(at, lean + math.pi, 4 * size)], "line"


_SHAPES = {"/Square": (4, 0.5), "/Diamond": (4, 0.0), "/Circle": (24, 0.0)}  # corners, and where the first one is


def _from(at: Point, direction: float, distance: float) -> Point:
    return at[0] + distance * math.cos(direction), at[1] + distance * math.sin(direction)


def _stamp(pdf: pikepdf.Pdf, mark: Dictionary, box: Box) -> Stream | None:
    """The stamp's name in a frame (ISO 32000-1 table 181; without one it is a draft)."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", str(mark.get("/Name", "/Draft"))[1:]).upper()
    if not words:
        return None
    size = max(1.0, min(box.height * 0.7, box.width * 0.92 / (len(words) * _CAPITAL)))
    paint = _colour(mark.get("/C", Array([0]))) or "0 G"
    left, up = box.left + (box.width - len(words) * _CAPITAL * size) / 2, box.bottom + (box.height - 0.7 * size) / 2
    shown = words.encode("cp1252", "replace").decode("cp1252").translate({ord(c): "\\" + c for c in "\\()"})
    content = (
        f"{paint} {paint.lower()} 2 w {_rectangle(box, 1)} S\n"
        f"BT /F {size:.2f} Tf {left:.2f} {up:.2f} Td ({shown}) Tj ET"
    )
    bold = Dictionary(
        Type=Name.Font, Subtype=Name.Type1, BaseFont=Name("/Helvetica-Bold"), Encoding=Name.WinAnsiEncoding
    )
    return _form(pdf, mark, box, content, Font=Dictionary(F=bold))


def _rectangle(box: Box, within: float = 0.0) -> str:
    sides = (box.left + within, box.bottom + within, box.width - 2 * within, box.height - 2 * within)
    return " ".join(f"{side:.2f}" for side in sides) + " re"


def _free_text(pdf: pikepdf.Pdf, mark: Dictionary, box: Box) -> Stream | None:
    """The mark's words in its box, in the size and colour of its default appearance."""
    words = str(mark.get("/Contents", "")).strip()
    said = str(mark.get("/DA", ""))
    size = _SIZE.search(said)
    ink = _COLOUR.search(said)
    width, dash = _border(mark)
    frame = f"{width:.2f} w {dash} {_rectangle(box, width / 2)} S\n" if width else ""
    ground = _colour(mark.get("/C")).lower()
    fill = f"{ground} {_rectangle(box)} f\n" if ground else ""
    callout = _numbers(mark.get("/CL"))
    lead = _path(list(zip(callout[::2], callout[1::2], strict=False))) + "S\n" if len(callout) >= 4 else ""
    if not words:
        return None
    text = _set(pdf, words, box, size=float(size[1]) if size else 0.0, ink=ink, align=mark.get("/Q", 0))
    grown = _around([(box.left, box.bottom), (box.right, box.top), *zip(callout[::2], callout[1::2], strict=False)], 1)
    content = f"{fill}{frame}{lead}q 1 0 0 1 {box.left:.2f} {box.bottom:.2f} cm /T Do Q"
    return _form(pdf, mark, grown if lead else box, content, XObject=Dictionary(T=text))


def _set(
    pdf: pikepdf.Pdf, words: str, box: Box, *, size: float, ink: re.Match[str] | None, align: Any
) -> pikepdf.Object:
    grey = _grey([float(number) for number in ink[1].split()]) if ink else 0.0
    sides = {1: "center", 2: "right"}
    page = typeset.note(
        words, width=box.width, height=box.height, size=size or _TEXT_SIZE, grey=grey, align=sides.get(align, "left")
    )
    with pikepdf.open(page) as made:
        return pdf.copy_foreign(made.pages[0].as_form_xobject())


def _grey(colour: Sequence[float]) -> float:
    """How light a colour of one, three or four components is, from 0 to 1."""
    if len(colour) == 4:
        return max(0.0, 1 - sum(colour[:3]) / 3 - colour[3])
    return min(1.0, sum(colour) / len(colour)) if colour else 0.0


def _border(mark: Dictionary) -> tuple[float, str]:
    """Width of a mark's lines, and the operator for its dashes (ISO 32000-1 section 12.5.4)."""
    style, old = _dictionary(mark.get("/BS")), mark.get("/Border")
    width, dashes = _USUAL_WIDTH, None
    if style is not None:
        width = next(iter(_numbers([style.get("/W", 1)])), _USUAL_WIDTH)
        dashes = style.get("/D", Array([3])) if style.get("/S") == Name.D else None
    elif isinstance(old, Array) and len(old) >= 3:
        width = next(iter(_numbers([old[2]])), _USUAL_WIDTH)
        dashes = old[3] if len(old) > 3 else None
    lengths = [length for length in _numbers(dashes) if length > 0]
    return width, f"[{' '.join(f'{length:.2f}' for length in lengths)}] 0 d" if lengths else ""


def _colour(value: object) -> str:
    """The operator that strokes in an annotation's colour; "" when it is transparent, or none."""
    parts = _numbers(value)
    return _PAINT.get(len(parts), "").format(" ".join(f"{part:.3f}" for part in parts))


def _numbers(value: object) -> list[float]:
    found: list[float] = []
    for number in value if isinstance(value, Array | list) else ():
        try:
            found.append(float(number))
        except (TypeError, ValueError, ArithmeticError):
            return []
    return found if all(map(math.isfinite, found)) else []


_DRAWN: Mapping[str, Callable[[pikepdf.Pdf, Dictionary, Box], Stream | None]] = {
    "/Line": _line,
    "/Polygon": _polygon,
    "/PolyLine": _polygon,
    "/Stamp": _stamp,
    "/FreeText": _free_text,
}


def _widget(pdf: pikepdf.Pdf, widget: Dictionary, known: set[tuple[int, int]]) -> bool:
    """A field that no form lists gets one; a drop-down shows its choice as a text does, without a button to press."""
    listed = widget.objgen not in known and _listed(pdf, widget)
    if inherited(widget, "/FT") != Name.Ch or not _flags(widget) & _COMBO:
        return listed
    value = inherited(widget, "/V")
    options = inherited(widget, "/Opt")
    for option in options if isinstance(options, Array) else ():
        if isinstance(option, Array) and len(option) == 2 and option[0] == value:
            value = option[1]
    widget.FT, widget.Ff = Name.Tx, 0
    if value is not None:
        widget.V = value
    return True


def _flags(widget: Dictionary) -> int:
    flags = inherited(widget, "/Ff")
    return flags if isinstance(flags, int) else 0


def _listed(pdf: pikepdf.Pdf, widget: Dictionary) -> bool:
    """See that the document's form knows the field, with a font to show it in. Whether that had to be done."""
    if not widget.is_indirect or "/Parent" in widget or "/FT" not in widget:
        return False
    form = _dictionary(pdf.Root.get("/AcroForm"))
    if form is None:
        plain = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica, Encoding=Name.WinAnsiEncoding)
        fonts = Dictionary(Font=Dictionary(Helv=pdf.make_indirect(plain)))
        form = pdf.Root.AcroForm = Dictionary(Fields=Array([]), DR=fonts, DA="/Helv 0 Tf 0 g")
    fields = form.get("/Fields")
    if not isinstance(fields, Array):
        fields = form.Fields = Array([])
    fields.append(widget)
    return True
