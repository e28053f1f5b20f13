"""Pictures on the dots of a fax: drawn where they stand on the page, made black and white, and put back dot for dot."""

import io
import math
from collections.abc import Sequence
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name
from PIL import Image
from pypdfium2 import raw as pdfium

from mail2fax.documents.legibility import pictures, writing
from mail2fax.documents.legibility.geometry import then
from mail2fax.documents.legibility.marks import Made, Mark
from mail2fax.documents.legibility.pictures import Kind
from mail2fax.documents.pages import letter, raster
from mail2fax.documents.pages.fax_code import Ink
from mail2fax.documents.pages.letter import Box
from mail2fax.documents.pages.pdfium import Document
from mail2fax.documents.pages.raster import FAX_HEIGHT, FAX_WIDTH

_ACROSS, _DOWN = FAX_WIDTH / letter.WIDTH, FAX_HEIGHT / letter.HEIGHT  # dots a point
_LEAST = 4  # dots each way; what is smaller is no picture
_PART = 6  # dots; a picture that is clipped by as much is drawn
_PAINTS = frozenset({"/Decode", "/SMask", "/Mask", "/Matte"})  # what changes how a picture is painted
_NOTHING = 2e-5  # share of black dots: dust on a blank sheet
_ALIKE = 0.93  # of the dots of a fax: a picture of 200 dpi has as many each way
_FINE = 1.25  # times a fax's dots: enough of them to take plain means
_INSET = 0.02  # dots
_SLANT = 1e-3  # of its size: as much may an upright picture be turned


def make(pdf: pikepdf.Pdf, marks: Sequence[Mark], height: float) -> set[str]:
    """Give the pictures of a page their black and white ones, and say what they are.

    "cleaned" is paper, with "photographed" if a camera took it; "screened" a photograph; nothing is left as it is.
    Raises PdfError or EngineError for a picture that cannot be drawn.
    """
    said: set[str] = set()
    even: list[tuple[Mark, Image.Image]] = []
    for mark in marks:
        dots = _dots(mark.box, height)
        if dots[2] - dots[0] < _LEAST or dots[3] - dots[1] < _LEAST:
            continue
        grey = _plain_jpeg(mark, dots, height) or _drawn(mark, dots, height)
        kind = pictures.kind(grey)
        if kind is Kind.EVEN:
            even.append((mark, grey))
        else:
            said |= _made(pdf, mark, grey, height, paper=kind is Kind.PAPER)
    sheets = [mark for mark in marks if mark.is_paper]
    for mark, grey in even:
        said |= _made(pdf, mark, grey, height, paper=any(_is_strip(mark, sheet) for sheet in sheets))
    return said


def _is_strip(mark: Mark, sheet: Mark) -> bool:
    """Whether it is a strip of a sheet of paper that came in several pictures."""
    return max(abs(mark.box.left - sheet.box.left), abs(mark.box.right - sheet.box.right)) < 1


def _made(pdf: pikepdf.Pdf, mark: Mark, grey: Image.Image, height: float, *, paper: bool) -> set[str]:
    """Give one picture its black and white one."""
    left, top, right, bottom = dots = _dots(mark.box, height)
    size = right - left, bottom - top
    if paper:
        found = pictures.strokes(grey, size)
        ink, corner = found.ink, found.corner
        said = {"cleaned", "photographed"} if found.uneven else {"cleaned"}
        mark.writing = writing.look(ink)
    else:
        ink, corner, said = Ink.of(pictures.screened(grey, size)), (0, 0), {"screened"}
    _weigh(mark, ink, size)
    stream = raster.group4(pdf, ink)
    del stream.ColorSpace
    stream.ImageMask = True
    ground = None if _lets_through(mark) else _box(dots, height)
    x, y = left + corner[0], top + corner[1]
    where = _box((x, y, x + ink.width, y + ink.height), height)
    mark.made = Made(pdf.make_indirect(stream), where, ground)
    return said


def look(mark: Mark, height: float) -> None:
    """See what is on a picture that is black and white already. Raises as `make` does."""
    left, top, right, bottom = dots = _dots(mark.box, height)
    size = right - left, bottom - top
    ink = Ink.of(_drawn(mark, dots, height).convert("1", dither=Image.Dither.NONE))
    _weigh(mark, ink, size)
    mark.writing = writing.look(ink)


def _weigh(mark: Mark, ink: Ink, size: tuple[int, int]) -> None:
    """Say how much ink is on a picture of this size, whatever part of it is given."""
    mark.ink = ink.dots() / (size[0] * size[1])
    mark.empty = mark.ink < _NOTHING


def _box(dots: tuple[int, int, int, int], height: float) -> Box:
    """Where these dots lie on the page: a little less, for a converter paints every dot that a picture touches."""
    left, top, right, bottom = dots
    return Box(
        (left + _INSET) / _ACROSS,
        height - (bottom - _INSET) / _DOWN,
        (right - _INSET) / _ACROSS,
        height - (top + _INSET) / _DOWN,
    )


def _dots(box: Box, height: float) -> tuple[int, int, int, int]:
    """The dots that a box touches, from the page's upper left corner. It begins on an even row, as its screen does."""
    left, right = math.floor(box.left * _ACROSS + 0.01), math.ceil(box.right * _ACROSS - 0.01)
    top, bottom = math.floor((height - box.top) * _DOWN + 0.01), math.ceil((height - box.bottom) * _DOWN - 0.01)
    return left, top - top % 2, right, bottom


def _drawn(mark: Mark, dots: tuple[int, int, int, int], height: float) -> Image.Image:
    """The picture alone on white paper, in grey."""
    left, top, right, bottom = dots
    wide, high = right - left, bottom - top
    # A page on which a point is a dot, with its lower left corner at these dots'.
    a, b, c, d, e, f = then(mark.placed, (_ACROSS, 0, 0, _DOWN, -left, bottom - height * _DOWN))
    new = pikepdf.Pdf.new()
    page = Dictionary(
        Type=Name.Page,
        MediaBox=Array([0, 0, wide, high]),
        Resources=Dictionary(XObject=Dictionary(P=new.copy_foreign(mark.picture))),
        Contents=new.make_stream(f"{a:.6f} {b:.6f} {c:.6f} {d:.6f} {e:.6f} {f:.6f} cm /P Do".encode()),
    )
    new.pages.append(pikepdf.Page(page))
    out = io.BytesIO()
    new.save(out, compress_streams=False, stream_decode_level=pikepdf.StreamDecodeLevel.none)
    with Document(out.getvalue()) as document, document.page(0) as drawn:
        return drawn.dots(wide, high, pdfium.FPDF_GRAYSCALE)


def _plain_jpeg(mark: Mark, dots: tuple[int, int, int, int], height: float) -> Image.Image | None:
    """The same of an upright JPEG in grey or RGB, as nearly every scan is: its colours need not be decoded.

    One that has nearly as many dots keeps them.
    """
    picture: Any = mark.picture
    a, b, c, d, e, f = mark.placed
    left, top, right, bottom = dots
    known = {"/DCTDecode": {"/DeviceGray", "/DeviceRGB"}}.get(str(picture.get("/Filter")), set())
    upright = a > 0 and d > 0 and abs(b) < _SLANT * a and abs(c) < _SLANT * d
    whole = abs(e * _ACROSS - left) + abs((e + a) * _ACROSS - right) + abs((height - f) * _DOWN - bottom) < _PART
    if not (upright and whole and str(picture.get("/ColorSpace")) in known) or _PAINTS & set(picture.keys()):
        return None
    jpeg = Image.open(io.BytesIO(picture.read_raw_bytes()), formats=["JPEG"])
    jpeg.draft("L", (right - left, bottom - top))
    size = right - left, bottom - top
    jpeg.load()
    grey = jpeg if jpeg.mode == "L" else jpeg.convert("L")
    if all(_ALIKE * wanted < given < wanted / _ALIKE for wanted, given in zip(size, grey.size, strict=True)):
        return grey
    fine = grey.width >= _FINE * size[0]
    return grey.resize(size, Image.Resampling.BOX if fine else Image.Resampling.BILINEAR)


def _lets_through(mark: Mark) -> bool:
    """Whether what lies under a picture shows beside or through it."""
    picture: Any = mark.picture
    a, b, c, d, _, _ = mark.placed
    slanting = min(abs(a) + abs(d), abs(b) + abs(c)) > _SLANT * max(abs(a) + abs(d), abs(b) + abs(c))
    return slanting or mark.sheer or mark.veiled or "/SMask" in picture or "/Mask" in picture
