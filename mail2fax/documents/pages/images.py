"""Scans and photographs as PDF pages of their true size; `fit.fit` then lays them on letter pages like any other.

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
from typing import Any, NamedTuple

import pikepdf
from pikepdf import Array, Dictionary, Name, Stream
from PIL import Image, ImageOps, ImageSequence

from mail2fax.documents.pages import cutting, letter, raster, true_size
from mail2fax.documents.pages.fax_code import Ink
from mail2fax.documents.pages.inspection import refusal
from mail2fax.documents.pages.letter import Box, Geometry
from mail2fax.model import Permanent, Reason

_MOST_DOTS = 60_000_000  # a letter page at 800 dpi
_FORMATS = ("PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP")  # Pillow reads more, with fewer eyes on them
_FINEST = 300 / 72  # dots a point on the fax page
_DRAWING = 300_000  # bytes; what is larger when packed without loss is a photograph
_QUALITY = 85
_MIN_IS_WHITE, _TWELVE_BITS, _SIXTEEN_BITS = 0, 4095, 65_535

# TIFF 6.0 tags. A frame may be a smaller copy of another one, or a mask for it: neither is a page.
_KIND, _OLD_KIND, _COLOURS, _WHITEST = 254, 255, 262, 281
_REDUCED, _MASK, _OLD_REDUCED = 1 << 0, 1 << 2, 2

# Load these parsers now, in the forkserver, rather than in every worker; no others, for a fork copies what is loaded.
Image.preinit()
for parser in ("Tiff", "WebP"):
    importlib.import_module(f"PIL.{parser}ImagePlugin")


class Printed(NamedTuple):
    """A file as a PDF, and what is to be said of how it became one."""

    data: bytes
    notes: tuple[str, ...] = ()


class _Picture(NamedTuple):
    """What goes on one page, upright, and its true size in points."""

    image: Image.Image
    width: float
    height: float


def to_pdf(data: bytes, *, max_pages: int) -> Printed:
    """A PDF with one page a frame, or several if it is long; the note "cut" says so.

    Raises Permanent: DAMAGED, UNSUPPORTED (detail: kind), TOO_COMPLEX (too many dots) or TOO_MANY_PAGES (detail: pages,
    limit).
    """
    new = pikepdf.Pdf.new()
    frames: list[str | None] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # damaged tags beside a good picture
        try:
            for frame in _frames(data, max_pages):
                frames.append(frame.format)
                for picture in _pictures(frame):
                    new.pages.append(_page(new, picture, photograph=frame.format in _PHOTOGRAPHS))
        except Permanent:
            raise
        except (Image.DecompressionBombError, MemoryError):
            raise refusal(Reason.TOO_COMPLEX) from None
        except Exception as error:
            raise refusal(Reason.DAMAGED) from error
    if len(new.pages) > max_pages:
        raise refusal(Reason.TOO_MANY_PAGES, pages=len(new.pages), limit=max_pages)
    out = io.BytesIO()
    new.save(out)
    return Printed(out.getvalue(), ("cut",) * (len(new.pages) > len(frames)))


_PHOTOGRAPHS = frozenset({"JPEG", "MPO", "HEIF", "AVIF"})


def _frames(data: bytes, max_pages: int) -> Iterator[Image.Image]:
    """Each picture that is a page, not unpacked yet."""
    image = Image.open(io.BytesIO(data), formats=(*_FORMATS, *_modern(data)))
    # An animation is one picture that moves; only a TIFF is a document of pages.
    frames = ImageSequence.Iterator(image) if image.format == "TIFF" else [image]
    found = 0
    for frame in frames:
        if not (_is_copy(frame) and getattr(image, "n_frames", 1) > 1):
            found += 1
            if found > max_pages:
                raise refusal(Reason.TOO_MANY_PAGES, pages=getattr(image, "n_frames", found), limit=max_pages)
            if math.prod(frame.size) > _MOST_DOTS:
                raise refusal(Reason.TOO_COMPLEX)
            yield frame


def _modern(data: bytes) -> tuple[str, ...]:
    """The parsers for what telephones make, loaded only for them. Raises Permanent: UNSUPPORTED."""
    if data[4:8] != b"ftyp":
        return ()
    if data[8:11] == b"avi":
        importlib.import_module("PIL.AvifImagePlugin")
        return ("AVIF",)
    try:
        importlib.import_module("pi_heif").register_heif_opener()
    except ImportError:
        raise refusal(Reason.UNSUPPORTED, kind="image/heic") from None
    return ("HEIF",)


def _is_copy(frame: Image.Image) -> bool:
    tags: Any = getattr(frame, "tag_v2", {})
    kind, old = tags.get(_KIND, 0), tags.get(_OLD_KIND, 0)
    return bool(isinstance(kind, int) and kind & (_REDUCED | _MASK)) or old == _OLD_REDUCED


def _pictures(frame: Image.Image) -> Iterator[_Picture]:
    """The frame upright, in pieces if it is long."""
    width, height = true_size.points(frame)
    if frame.format in {"JPEG", "MPO"}:
        _decode_small(frame, width, height)
    deep = frame.mode.startswith(("I", "F"))
    upright = ImageOps.exif_transpose(_eight_bits(frame) if deep else frame)
    if cutting.is_long(width, height):
        for piece, high in cutting.pieces(upright, width, height):
            yield _Picture(piece, width, high)
    else:
        yield _Picture(upright, width, height)


def _decode_small(frame: Image.Image, width: float, height: float) -> None:
    """Have a JPEG decoded at a half, a quarter or an eighth of its size, if that is still finer than a fax."""
    across, down = _finest(width, height)
    sideways = (width > height) != (frame.width > frame.height)
    frame.draft("L", (down, across) if sideways else (across, down))


def _finest(width: float, height: float) -> tuple[int, int]:
    """How many dots across and down of a picture of this true size can be seen on a fax."""
    if cutting.is_long(width, height):
        scale = min(letter.WIDTH / width, 1.0)
    else:
        scale = letter.place(Geometry(Box(0, 0, width, height))).scale
    return max(1, round(width * scale * _FINEST)), max(1, round(height * scale * _FINEST))


def _page(new: pikepdf.Pdf, picture: _Picture, *, photograph: bool) -> pikepdf.Page:
    """A page of just the picture's true size."""
    return pikepdf.Page(
        Dictionary(
            Type=Name.Page,
            MediaBox=Array([0, 0, round(picture.width, 4), round(picture.height, 4)]),
            Resources=Dictionary(XObject=Dictionary(Scan=_stream(new, picture, photograph=photograph))),
            Contents=new.make_stream(f"{picture.width:.4f} 0 0 {picture.height:.4f} 0 0 cm /Scan Do".encode()),
        )
    )


def _stream(new: pikepdf.Pdf, picture: _Picture, *, photograph: bool) -> Stream:
    if picture.image.mode == "1":
        return raster.group4(new, Ink.of(picture.image))
    grey = _grey(picture.image)
    most = _finest(picture.width, picture.height)
    if grey.width > most[0] or grey.height > most[1]:
        grey = grey.resize((min(grey.width, most[0]), min(grey.height, most[1])), Image.Resampling.LANCZOS)
    return _grey_stream(new, grey, photograph=photograph)


def _grey(frame: Image.Image) -> Image.Image:
    """Eight bits of grey on white paper."""
    if frame.mode == "LAB":
        return frame.getchannel(0)  # how light it is
    if frame.has_transparency_data:
        paper = Image.new("RGBA", frame.size, "white")
        paper.alpha_composite(frame.convert("RGBA"))
        return paper.convert("L")
    return frame.convert("L")


def _eight_bits(deep: Image.Image) -> Image.Image:
    """Sixteen bits of grey and more. White stays white: what is pale, or blank, was meant so."""
    tags: Any = getattr(deep, "tag_v2", {})
    said = tags.get(_WHITEST)
    numbers = deep.convert("F")
    lightest = float(numbers.getextrema()[1])  # type: ignore[arg-type]  # one channel: two numbers
    white = _white(lightest, said[0] if isinstance(said, tuple) else said)
    scale = 255 / white
    made = numbers.point(lambda value: value * scale + 0).convert("L")
    return ImageOps.invert(made) if tags.get(_COLOURS) == _MIN_IS_WHITE else made


def _white(lightest: float, said: Any) -> float:
    """The number that stands for white, by the picture's lightest dot and what it says (TIFF 6.0, MaxSampleValue)."""
    if isinstance(said, int) and lightest <= said <= _SIXTEEN_BITS:
        return float(said) or 1.0
    if lightest <= 1:  # fractions
        return 1.0
    return next((float(most) for most in (_TWELVE_BITS, _SIXTEEN_BITS) if lightest <= most), lightest)


def _grey_stream(new: pikepdf.Pdf, grey: Image.Image, *, photograph: bool) -> Stream:
    keys = {"Width": grey.width, "Height": grey.height, "BitsPerComponent": 8, "ColorSpace": Name.DeviceGray}
    data = b"" if photograph else zlib.compress(grey.tobytes())
    code = Name.FlateDecode
    if photograph or len(data) > _DRAWING:
        out = io.BytesIO()
        grey.save(out, "JPEG", quality=_QUALITY)
        data, code = out.getvalue(), Name.DCTDecode
    return Stream(new, data, Type=Name.XObject, Subtype=Name.Image, Filter=code, **keys)
