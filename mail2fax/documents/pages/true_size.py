"""How large a picture is on paper: by what it says, by what a fax machine must have meant, else as on a screen.

Pure: a picture that has been opened in, points out. Nothing is unpacked.
"""

import contextlib
from typing import Any

from PIL import Image

from mail2fax.documents.pages import letter
from mail2fax.documents.pages.letter import Box, Geometry

_SCREEN_DPI = 96.0
_SCREEN_CLAIMS = (72.0, 96.0)  # what cameras and screenshots claim, whatever they show
_SCANNER_DPI = (30.0, 2400.0)
_SAME = 0.5  # dots to the inch; metric files round

# TIFF 6.0 tags
_ORIENTATION, _ACROSS, _DOWN, _UNIT = 274, 282, 283, 296
_UNIT_NONE = 1
_SIDEWAYS = range(5, 9)  # orientations that put a row upright

# ITU-T T.4 and T.30: dots in a row of a fax, all of them 8 to the millimetre, or 16; and rows to the inch.
_FAX_ROWS = {1728: 204.0, 2048: 204.0, 2432: 204.0, 3456: 408.0, 4096: 408.0, 4864: 408.0}
_STANDARD, _FINE = 98.0, 196.0
_LONGEST_STANDARD = 14.0  # inches: with so many rows as would make a longer page, it was a fine one

# A picture that is far longer than a page, and does not say how large it is, was scrolled on a telephone.
LONG = 2.5  # times as high as it is wide
_LONG_DPI = 200.0  # a dot of it is a dot of the fax: its letters are as large as in a book


def points(image: Image.Image) -> tuple[float, float]:
    """Width and height in points, as it stands upright.

    A picture that does not say is as large as on a screen, or fills the page if that is less.
    """
    sideways = orientation(image) in _SIDEWAYS
    width, height = _stored_size(image, sideways=sideways)
    if dpi := _dpi(image, width, height):
        across, down = width / dpi[0] * 72, height / dpi[1] * 72
        return (down, across) if sideways else (across, down)
    if sideways:
        width, height = height, width
    if height > LONG * width:
        across = min(width / _LONG_DPI * 72, letter.WIDTH)
        return across, across * height / width
    across, down = width / _SCREEN_DPI * 72, height / _SCREEN_DPI * 72
    fitting = min(letter.place(Geometry(Box(0, 0, across, down))).scale, 1.0)
    return across * fitting, down * fitting


def orientation(image: Image.Image) -> int:
    """How the picture is turned (TIFF 6.0 and EXIF, tag 274)."""
    with contextlib.suppress(Exception):  # damaged tags beside a good picture
        return int(_tags(image).get(_ORIENTATION) or image.getexif().get(_ORIENTATION, 1))
    return 1


def _stored_size(image: Image.Image, *, sideways: bool) -> tuple[int, int]:
    """Dots in a row and rows as they are stored, which is what the resolution is about. Pillow turns TIFFs itself."""
    turned = sideways and image.format == "TIFF"
    return (image.height, image.width) if turned else image.size


def _tags(image: Image.Image) -> Any:
    return getattr(image, "tag_v2", {})


def _dpi(image: Image.Image, width: int, height: int) -> tuple[float, float] | None:
    """Dots to the inch in a row, and rows to the inch; a fax has 204 and 98 or 196."""
    tags = _tags(image)
    if tags and _ACROSS not in tags:
        return _of_a_fax(image, width, height)
    if tags.get(_UNIT) == _UNIT_NONE:
        return _shape(image, width, height)
    return _believable(image.info.get("dpi"))


def _believable(claim: Any) -> tuple[float, float] | None:
    try:
        across, down = map(float, claim)
    except (TypeError, ValueError, ArithmeticError):
        return None
    least, most = _SCANNER_DPI
    if not (least <= across <= most and least <= down <= most):
        return None
    if abs(across - down) < _SAME and any(abs(across - screen) < _SAME for screen in _SCREEN_CLAIMS):
        return None
    return across, down


def _of_a_fax(image: Image.Image, width: int, height: int) -> tuple[float, float] | None:
    """A fax without any resolution: its width tells one, its height the other."""
    across = _FAX_ROWS.get(width)
    if across is None or image.mode != "1":
        return None
    return across, _STANDARD if height <= _LONGEST_STANDARD * _STANDARD else _FINE


def _shape(image: Image.Image, width: int, height: int) -> tuple[float, float] | None:
    """TIFF 6.0, ResolutionUnit 1: only the shape of a dot is told, so the size is a fax's or a screen's."""
    claim = _believable(image.info.get("resolution"))
    if claim is None:
        return _of_a_fax(image, width, height)
    across = _FAX_ROWS.get(width, claim[0] if claim[0] > max(_SCREEN_CLAIMS) else _SCREEN_DPI)
    return across, across * claim[1] / claim[0]
