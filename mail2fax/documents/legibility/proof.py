"""Compare pages before and after they were made ready: what is large and dark stays, what is paper stays white."""

from collections.abc import Iterable, Mapping, Sequence

from PIL import Image, ImageChops, ImageFilter, ImageStat

from mail2fax.documents.legibility.marks import Mark
from mail2fax.documents.pages import raster
from mail2fax.documents.pages.pdfium import Document

_SCALE = 25 / 72  # dots a point
_DARK, _LIGHT = 215, 30  # of 255: what was as dark may not become as light,
_PALE, _SOLID = 12, 240  # nor what was as pale as solid
_BLACK = 0.65  # how dark a page is at least that is nearly all black


def unlike(before: bytes, after: bytes, pages: Mapping[int, Sequence[Mark]]) -> list[int]:
    """Which of these pages lost something dark, or became dark where they were white.

    Each page with its pictures, which are not looked at: the table around a photographed letter is to go.
    """
    found = []
    with Document(before) as old, Document(after) as new:
        for index, pictures in pages.items():
            with old.page(index) as one, new.page(index) as other:
                first, second = one.drawn(_SCALE), other.drawn(_SCALE)
            if first and second and _differ(_darkness(first, pictures), _darkness(second, pictures)):
                found.append(index)
    return found


def is_black(darkness: float) -> bool:
    """Whether a page so dark (0 white to 1) is nearly all black: minutes on the line, and the other side's toner."""
    return darkness > _BLACK


def black(data: bytes, pages: Iterable[int]) -> list[int]:
    """Draw these pages: which of them are nearly all black."""
    found = []
    with Document(data) as document:
        for index in pages:
            with document.page(index) as page:
                drawn = page.drawn(_SCALE)
            if drawn and is_black(1 - ImageStat.Stat(drawn).mean[0] / 255):
                found.append(index)
    return found


def blank(data: bytes, count: int) -> list[bool]:
    """Draw so many pages: whether there is nothing to see on each."""
    found = []
    with Document(data) as document:
        for index in range(count):
            with document.page(index) as page:
                drawn = page.drawn(_SCALE)
            found.append(drawn is None or raster.compare(drawn, drawn).blank)
    return found


def _darkness(drawn: Image.Image, pictures: Iterable[Mark]) -> Image.Image:
    """How dark the neighbourhood of each dot is, 0 white to 255 black."""
    for box in (mark.box for mark in pictures):
        left, top = round(box.left * _SCALE), drawn.height - round(box.top * _SCALE)
        drawn.paste(255, (left, top, round(box.right * _SCALE), drawn.height - round(box.bottom * _SCALE)))
    return ImageChops.invert(drawn.filter(ImageFilter.BoxBlur(1)))


def _differ(first: Image.Image, second: Image.Image) -> bool:
    lost = ImageChops.multiply(_from(first, _DARK), _up_to(second, _LIGHT))
    gained = ImageChops.multiply(_up_to(first, _PALE), _from(second, _SOLID))
    return bool(lost.getbbox() or gained.getbbox())


def _from(grey: Image.Image, least: int) -> Image.Image:
    return grey.point([255 * (step >= least) for step in range(256)])


def _up_to(grey: Image.Image, most: int) -> Image.Image:
    return grey.point([255 * (step <= most) for step in range(256)])
