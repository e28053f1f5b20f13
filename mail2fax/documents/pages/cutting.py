"""Long pictures and pages in pieces: a scrolled screenshot, a receipt, the roll of a fax, cut where nothing is written.

Made to fit one page they could not be read. A piece ends at the last blank row of its lower quarter; where there is
none, the next piece begins a little above the cut, so that every line stands whole on one of the two pages.
"""

from collections.abc import Iterator

from PIL import Image

from mail2fax.documents.pages import letter
from mail2fax.documents.pages.true_size import LONG

_TO_CHOOSE_FROM = 0.25  # of a piece: how far up a blank row is looked for
# Lighter and darker dots of a row that differ by no more, of 255, make it blank:
EVEN = 24  # in a picture, whose paper is not all of one grey
NOISELESS = 3  # in what is drawn from a document: its pale writing is made black later
_SPECKS = 0.003  # of a row of a one-bit scan, which has none without any
_OVERLAP = 0.03  # of a page


def is_long(width: float, height: float) -> bool:
    """Whether a picture of this size would be made too small on a single page."""
    scale = min(letter.WIDTH / width, 1.0)
    return height > LONG * width and height * scale > letter.HEIGHT


def pieces(picture: Image.Image, width: float, height: float) -> Iterator[tuple[Image.Image, float]]:
    """The picture of so many points in pieces that fit a page as wide as it is, each with its height in points."""
    for top, end in bands(picture, width, height):
        yield picture.crop((0, top, picture.width, end)), (end - top) * height / picture.height


def bands(picture: Image.Image, width: float, height: float, even: int = EVEN) -> Iterator[tuple[int, int]]:
    """The first row of each piece, and the one that its end stands before."""
    most = max(1, int(letter.HEIGHT / min(letter.WIDTH / width, 1.0) / height * picture.height))
    top = 0
    while picture.height - top > most:
        cut, blank = _blank_row(picture, top, top + most, even)
        yield top, cut
        top = cut if blank else cut - round(most * _OVERLAP)
    yield top, picture.height


def _blank_row(picture: Image.Image, top: int, end: int, even: int) -> tuple[int, bool]:
    """The last blank row of the piece from `top` to `end`, as the row to cut at, and whether there is one.

    Without one it is the last that is nearly blank: a pale stripe down the page does not have dark letters cut in two.
    """
    start = max(top + 1, end - round((end - top) * _TO_CHOOSE_FROM))
    band = picture.crop((0, start, picture.width, end)).convert("L")
    dots = band.tobytes()
    nearly = end
    for number in range(band.height - 1, -1, -1):
        row = dots[number * band.width : (number + 1) * band.width]
        differ = max(row) - min(row)
        if differ <= even or (picture.mode == "1" and min(row.count(0), row.count(255)) <= len(row) * _SPECKS):
            return start + number, True
        if differ <= EVEN and nearly == end:
            nearly = start + number
    return nearly, False
