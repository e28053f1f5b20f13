"""Pages as PDFium draws them: to compare two, to stand in for one that is damaged, and to show what a fax receives."""

import io
import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pikepdf
from pikepdf import Dictionary, Name, Stream
from PIL import Image, ImageChops, ImageFilter
from pypdfium2 import raw as pdfium

from mail2fax.documents.pages import fax_code, letter
from mail2fax.documents.pages.fax_code import Ink
from mail2fax.documents.pages.letter import Geometry
from mail2fax.documents.pages.pdfium import Document, Page

# A fine-mode fax, ITU-T T.4: 1,728 dots of 1/204 inch across (letter is 1,734 of them), 1/196 inch apart down.
FAX_WIDTH, FAX_HEIGHT = 1728, 2156
FAX_DPI = (204, 196)

_SKETCH = 25 / 72  # pixels a point: 25 dpi, enough to see a lost line
_PALE = 16  # of 255: at this size even a full stop is darker
_SOME_INK = 0.3  # of 255, as the mean of a page
_UNLIKE = 70  # of 255, the largest difference after blurring


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a page looked before and after."""

    difference: int  # 0 to 255, where they differ most
    darkest: int  # 0 to 255, the darkest dot of both; 0 is white
    ink_before: float  # 0 to 255, mean darkness
    ink_after: float

    @property
    def lost(self) -> bool:
        """Whether ink is missing: nearly all of it, or much at one place."""
        if self.ink_before > _SOME_INK and self.ink_after < self.ink_before / 4:
            return True
        return self.difference > _UNLIKE and self.ink_after < self.ink_before * 0.8

    @property
    def blank(self) -> bool:
        """Whether there is nothing to see."""
        return self.darkest < _PALE


def sketch(page: Page, geometry: Geometry) -> Image.Image:
    """A small grey drawing of a page where it stands on the fax page."""
    return _drawing(page, geometry, _SKETCH)


def compare(before: Image.Image, after: Image.Image) -> Comparison:
    """Blur both a little, so that a shift of half a pixel is no difference."""
    darkest, ink = _ink(before)
    if not ImageChops.difference(before, after).getbbox():
        # As nearly always. What follows would cost more than drawing both.
        return Comparison(0, darkest, ink, ink)
    soft = ImageFilter.BoxBlur(2)
    most: Any = ImageChops.difference(before.filter(soft), after.filter(soft)).filter(soft).getextrema()[1]
    darkest_after, ink_after = _ink(after)
    return Comparison(most, max(darkest, darkest_after), ink, ink_after)


def _ink(picture: Image.Image) -> tuple[int, float]:
    """The darkest dot of a grey picture, and the mean of all: 0 is white, 255 black."""
    dots = picture.histogram()
    darkest = next(grey for grey, count in enumerate(dots) if count)
    return 255 - darkest, 255 - sum(map(operator.mul, dots, range(256))) / sum(dots)


def stand_in(page: Page, geometry: Geometry) -> Image.Image:
    """A picture of the fax page at the resolution of a fax, one bit a dot."""
    grey = _drawing(page, geometry, FAX_DPI[0] / 72)
    return grey.resize((grey.width, round(grey.height * FAX_DPI[1] / FAX_DPI[0])), Image.Resampling.BOX).convert("1")


def _drawing(page: Page, geometry: Geometry, scale: float) -> Image.Image:
    placed = letter.place(geometry)
    sheet = Image.new("L", (round(letter.WIDTH * scale), round(letter.HEIGHT * scale)), 255)
    # PDFium leaves UserUnit out of account, so it is part of the scale.
    drawn = page.drawn(placed.scale * geometry.unit * scale)
    if drawn is None:  # PDFium takes a nonsensical box at its word
        return sheet
    if placed.turned:
        drawn = drawn.transpose(Image.Transpose.ROTATE_90)
    sheet.paste(drawn, ((sheet.width - drawn.width) // 2, (sheet.height - drawn.height) // 2))
    return sheet


def fax(page: Page, height: int = FAX_HEIGHT) -> Image.Image:
    """The page as a fax machine receives it, in so many lines.

    Drawn straight into the fax's oblong dots without smoothing, so that letters stay solid; what is grey then is a
    photograph, and is dithered.
    """
    how = (
        pdfium.FPDF_ANNOT
        | pdfium.FPDF_GRAYSCALE
        | pdfium.FPDF_PRINTING
        | pdfium.FPDF_RENDER_NO_SMOOTHTEXT
        | pdfium.FPDF_RENDER_NO_SMOOTHPATH
    )
    return page.dots(FAX_WIDTH, height, how).convert("1")


def preview(pdf: bytes) -> bytes:
    """PNG of the first page as a fax receives it, 204 x 196 dpi, one bit a dot: 5 to 60 kB."""
    with Document(pdf) as document, document.page(0) as page:
        return _png(fax(page))


def printed(pdf: bytes) -> Iterator[tuple[str, bytes]]:
    """Each page as the other machine prints it: "page-1-fine" and "page-1-normal", as PNG of the same size.

    Normal is 98 lines an inch, each of them printed twice as high.
    """
    with Document(pdf) as document:
        for index in range(document.count):
            with document.page(index) as page:
                yield f"page-{index + 1}-fine", _png(fax(page))
                normal = fax(page, FAX_HEIGHT // 2)
                yield f"page-{index + 1}-normal", _png(normal.resize((FAX_WIDTH, FAX_HEIGHT), Image.Resampling.NEAREST))


def _png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG", dpi=FAX_DPI, optimize=True)
    return out.getvalue()


def group4(pdf: pikepdf.Pdf, ink: Ink) -> Stream:
    """Ink as an image XObject in ITU-T T.6 (Group 4), the densest code a fax page has."""
    return Stream(
        pdf,
        fax_code.coded(ink),
        Type=Name.XObject,
        Subtype=Name.Image,
        Width=ink.width,
        Height=ink.height,
        BitsPerComponent=1,
        ColorSpace=Name.DeviceGray,
        Filter=Name.CCITTFaxDecode,
        DecodeParms=Dictionary(K=-1, Columns=ink.width, Rows=ink.height),
    )
