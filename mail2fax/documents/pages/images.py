"""Scans and photographs as PDF pages of their true size; `pdf.fit` then lays them on letter pages like any other.

A fax is black and white: colour becomes grey, what is transparent becomes paper, and nothing finer than 300 dpi on the
fax page is kept. One-bit scans stay as they are, dot for dot, in the code that fax machines use. Bounded: what claims
more dots than any scan has is refused before it is unpacked.
"""

import importlib
import io
import math
import warnings
import zlib
from collections.abc import Iterator
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name, Stream
from PIL import Image, ImageOps, ImageSequence

from mail2fax.documents.pages import letter, raster
from mail2fax.documents.pages.inspection import refusal
from mail2fax.documents.pages.letter import Box, Geometry
from mail2fax.model import Permanent, Reason

_MOST_DOTS = 60_000_000  # a letter page at 800 dpi
_FORMATS = ("PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP")  # Pillow reads more, with fewer eyes on them
_FINEST = 300 / 72  # dots a point on the fax page
_SCREEN_DPI = 96.0
_SCANNER_DPI = (97.0, 2400.0)  # cameras and screenshots claim 72 or 96 whatever they show
_DRAWING = 300_000  # bytes; what is larger when packed without loss is a photograph
_QUALITY = 85

# Load these parsers now, in the forkserver, rather than in every worker; no others, for a fork copies what is loaded.
Image.preinit()
for parser in ("Tiff", "WebP"):
    importlib.import_module(f"PIL.{parser}ImagePlugin")


def to_pdf(data: bytes, *, max_pages: int) -> bytes:
    """A PDF with one page a frame.

    Raises Permanent: DAMAGED, TOO_COMPLEX (too many dots) or TOO_MANY_PAGES (detail: pages, limit).
    """
    new = pikepdf.Pdf.new()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # damaged tags beside a good picture
        try:
            for frame in _frames(data, max_pages):
                new.pages.append(_page(new, frame))
        except Permanent:
            raise
        except (Image.DecompressionBombError, MemoryError):
            raise refusal(Reason.TOO_COMPLEX) from None
        except Exception as error:
            raise refusal(Reason.DAMAGED) from error
    out = io.BytesIO()
    new.save(out)
    return out.getvalue()


def _frames(data: bytes, max_pages: int) -> Iterator[Image.Image]:
    image = Image.open(io.BytesIO(data), formats=_FORMATS)
    # An animation is one picture that moves; only a TIFF is a document of pages.
    frames = ImageSequence.Iterator(image) if image.format == "TIFF" else [image]
    for number, frame in enumerate(frames, start=1):
        if number > max_pages:
            raise refusal(Reason.TOO_MANY_PAGES, pages=getattr(image, "n_frames", number), limit=max_pages)
        if math.prod(frame.size) > _MOST_DOTS:
            raise refusal(Reason.TOO_COMPLEX)
        upright = ImageOps.exif_transpose(frame)
        upright.format = frame.format
        yield upright


def _page(new: pikepdf.Pdf, frame: Image.Image) -> pikepdf.Page:
    """A page of just the frame's true size."""
    width, height = _points(frame)
    placed = letter.place(Geometry(Box(0, 0, width, height)))
    picture = _stream(new, frame, placed.scale, width, height)
    return pikepdf.Page(
        Dictionary(
            Type=Name.Page,
            MediaBox=Array([0, 0, round(width, 4), round(height, 4)]),
            Resources=Dictionary(XObject=Dictionary(Scan=picture)),
            Contents=new.make_stream(f"{width:.4f} 0 0 {height:.4f} 0 0 cm /Scan Do".encode()),
        )
    )


def _points(frame: Image.Image) -> tuple[float, float]:
    """The true size. A picture that does not say is as large as on a screen, or fills the page if that is less."""
    if dpi := _dpi(frame.info.get("dpi")):
        return frame.width / dpi[0] * 72, frame.height / dpi[1] * 72
    width, height = frame.width / _SCREEN_DPI * 72, frame.height / _SCREEN_DPI * 72
    fitting = min(letter.place(Geometry(Box(0, 0, width, height))).scale, 1.0)
    return width * fitting, height * fitting


def _dpi(claim: Any) -> tuple[float, float] | None:
    """Dots to the inch across and down, which differ in a fax: 204 across, 98 or 196 down."""
    try:
        across, down = map(float, claim)
    except (TypeError, ValueError, ArithmeticError):
        return None
    least, most = _SCANNER_DPI
    return (across, down) if least <= across <= most and least <= down <= most else None


def _stream(new: pikepdf.Pdf, frame: Image.Image, scale: float, width: float, height: float) -> Stream:
    if frame.mode == "1":
        return raster.group4(new, frame)
    grey = _grey(frame)
    most = (max(1, round(width * scale * _FINEST)), max(1, round(height * scale * _FINEST)))
    if grey.width > most[0] or grey.height > most[1]:
        grey = grey.resize((min(grey.width, most[0]), min(grey.height, most[1])), Image.Resampling.LANCZOS)
    return _grey_stream(new, grey, photograph=frame.format in {"JPEG", "MPO"})


def _grey(frame: Image.Image) -> Image.Image:
    """Eight bits of grey on white paper."""
    if frame.mode.startswith(("I", "F")):  # 16 bits and more: from its darkest to its lightest
        return _stretched(frame.convert("F")).convert("L")
    if frame.has_transparency_data:
        paper = Image.new("RGBA", frame.size, "white")
        paper.alpha_composite(frame.convert("RGBA"))
        return paper.convert("L")
    return frame.convert("L")


def _stretched(deep: Image.Image) -> Image.Image:
    darkest, lightest = deep.getextrema()
    scale = 255 / ((lightest - darkest) or 1)  # type: ignore[operator]  # one channel: two numbers
    return deep.point(lambda value: value * scale - darkest * scale)  # type: ignore[operator]


def _grey_stream(new: pikepdf.Pdf, grey: Image.Image, *, photograph: bool) -> Stream:
    keys = {"Width": grey.width, "Height": grey.height, "BitsPerComponent": 8, "ColorSpace": Name.DeviceGray}
    data = b"" if photograph else zlib.compress(grey.tobytes())
    code = Name.FlateDecode
    if photograph or len(data) > _DRAWING:
        out = io.BytesIO()
        grey.save(out, "JPEG", quality=_QUALITY)
        data, code = out.getvalue(), Name.DCTDecode
    return Stream(new, data, Type=Name.XObject, Subtype=Name.Image, Filter=code, **keys)
