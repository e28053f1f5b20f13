"""Pages far longer than paper, such as a till's receipt, in pieces: the same page several times, each through a window.

The windows are crop boxes, so whatever follows (fitting, drawing, comparing) knows nothing of it. A page with marks
that are to be drawn into it is left as it is: they would be drawn into every piece.
"""

import io
import math
from collections.abc import Iterator
from dataclasses import replace

import pikepdf
from pikepdf import Array
from PIL import Image

from mail2fax.documents.pages import cutting, flattening, inspection
from mail2fax.documents.pages.inspection import Source, refusal
from mail2fax.documents.pages.letter import Box, Geometry
from mail2fax.documents.pages.pdfium import Document, Page
from mail2fax.model import Reason

_SCALE = 2.0  # dots a point: a gap between two lines is several of them
_PAPER = 240  # of 255: as light is the paper of a scan, or a tint of a whole piece;
_WHITE = 251  # what is drawn any darker on a page is made black later
_MOST_ROWS, _MOST_DOTS = 40_000, 60_000_000  # of the drawing by which blank rows are found


def in_pieces(source: Source, *, max_pages: int) -> Source:
    """The same document, its long pages in pieces; no annotation of it may be one that is drawn.

    Raises Permanent: TOO_MANY_PAGES (detail: pages, limit).
    """
    long = [index for index, page in enumerate(source.geometries) if _is_long(page)]
    if not long or not source.drawable:
        return source
    windows = _windows(source, long)
    count = len(source.geometries) + sum(len(boxes) - 1 for boxes in windows.values())
    if count > max_pages:
        raise refusal(Reason.TOO_MANY_PAGES, pages=count, limit=max_pages)
    for index in reversed(long):
        _split(source.pdf, index, windows[index])
    data = inspection.saved(source.pdf)
    pdf = pikepdf.open(io.BytesIO(data))
    return replace(source, data=data, pdf=pdf, geometries=tuple(map(inspection.geometry, pdf.pages)), annotated=False)


def _is_long(page: Geometry) -> bool:
    """Whether it is, and stands upright, as every till and browser writes it."""
    return not page.rotation and cutting.is_long(*page.upright)


def _windows(source: Source, long: list[int]) -> dict[int, list[Box]]:
    """What is to be seen of each long page on each of its pieces, in the page's own units."""
    windows = {}
    with Document(source.data) as document:
        for index in long:
            geometry = source.geometries[index]
            with document.page(index) as page:
                flattening.choose(None, page.raw)  # a note's icon is nothing that would be faxed
                drawn = page.drawn(_scale(geometry.box))
                even = cutting.EVEN if _is_scan(page) else cutting.NOISELESS
            if drawn is None:
                windows[index] = [geometry.box]
                continue
            windows[index] = list(_written_on(drawn, geometry, even)) or [geometry.box]
    return windows


def _scale(box: Box) -> float:
    """How many dots a unit a page is drawn with: a byte each, however large the page says it is."""
    return min(_SCALE, _MOST_ROWS / box.height, math.sqrt(_MOST_DOTS / (box.width * box.height)))


def _is_scan(page: Page) -> bool:
    """Whether it is pictures without words."""
    return not page.text(1) and page.undrawn_picture(pale=True)


def _written_on(drawn: Image.Image, page: Geometry, even: int) -> Iterator[Box]:
    """The pieces on which there is something: a roll of paper may have a long blank end."""
    box, row = page.box, page.box.height / drawn.height
    for top, end in cutting.bands(drawn, *page.upright, even):
        dots = drawn.crop((0, top, drawn.width, end)).histogram()
        greys = [grey for grey, count in enumerate(dots) if count]
        paper = even == cutting.EVEN or greys[-1] - greys[0] <= even
        if greys[0] < (_PAPER if paper else _WHITE):
            yield Box(box.left, box.top - end * row, box.right, box.top - top * row)


def _split(pdf: pikepdf.Pdf, index: int, windows: list[Box]) -> None:
    """The page once for each window."""
    for number, box in enumerate(windows):
        if number:
            pdf.pages.insert(index + number, pdf.pages[index])
        page = pdf.pages[index + number].obj
        page.CropBox = Array([round(corner, 4) for corner in (box.left, box.bottom, box.right, box.top)])
        if "/Annots" in page:
            del page["/Annots"]
