"""Large scans in small, for the sketches by which a page is compared before and after.

A sketch has 25 dots to the inch. To draw it from a scan PDFium decodes every dot, twice over; the codes of JPEG and of
fax machines can be read much faster by who wants to see little. So on each page, before it is drawn, large pictures are
put in small: each from the very bytes that this page holds of it, so that a change in them shows as before.
"""

import ctypes
import io
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, Self

import pikepdf
from pikepdf import Array, Name, Stream
from PIL import Image
from pypdfium2 import raw as pdfium

from mail2fax.documents.pages import fax_code
from mail2fax.documents.pages.fax_code import Group4

_LARGE = 1_000_000  # dots; drawing fewer is not worth the trouble
_SMALL = 260  # dots of the shorter side that are kept at least: a page has 212 in a sketch
_MOST_DOTS = 200_000_000
_COLOURS = {"/DeviceGray", "/DeviceRGB", "/CalGray", "/CalRGB"}
_MASKS = ("/SMask", "/Mask", "/ImageMask", "/Decode", "/SMaskInData", "/Alternates")
_MOST_OBJECTS = 500  # of a page: a scan has few

Digest = bytes


class SmallPictures:
    """The large scans of a document."""

    def __init__(self, pdf: pikepdf.Pdf) -> None:
        self._codes = _plain_scans(pdf)
        self._last: dict[Digest, Any] = {}  # of the page that was drawn last

    @classmethod
    def of(cls, pdf: pikepdf.Pdf, size: int) -> Self | None:
        """Those of a document of so many bytes, if it can have any."""
        return cls(pdf) if size > _LARGE // 50 else None

    def put(self, page: Any) -> None:
        """Put them small on a page that PDFium has loaded."""
        if not self._codes:
            return
        shown: dict[Digest, Any] = {}
        for thing in _images(page):
            code = _raw(thing)
            digest = sha256(code).digest()
            if digest in self._codes:
                small = self._last.get(digest) or shown.get(digest) or _small(thing, code, self._codes[digest])
                if small:
                    shown[digest] = small
                    _replace(page, thing, small)
        self._last = shown


def _plain_scans(pdf: pikepdf.Pdf) -> dict[Digest, Group4 | None]:
    """The digests of all large pictures in one code, without masks and in an ordinary colour space.

    With how the code is to be read, where that is known and the same for all pictures with these bytes.
    """
    plain: dict[Digest, Group4 | None] = {}
    masked: set[Digest] = set()
    for thing in pdf.objects:
        if (
            isinstance(thing, Stream)
            and thing.get("/Subtype") == Name.Image
            and _dots(thing) >= _LARGE
            and _coded(thing)
        ):
            digest = sha256(thing.read_raw_bytes()).digest()
            if any(key in thing for key in _MASKS) or not _ordinary(thing.get("/ColorSpace")):
                masked.add(digest)
            code = fax_code.group4(thing)
            plain[digest] = code if plain.get(digest, code) == code else None
    return {digest: code for digest, code in plain.items() if digest not in masked}


def _dots(picture: Stream) -> int:
    width, height = picture.get("/Width", 0), picture.get("/Height", 0)
    return width * height if isinstance(width, int) and isinstance(height, int) else 0


def _coded(picture: Stream) -> bool:
    code: Any = picture.get("/Filter")
    if isinstance(code, Array) and len(code) == 1:
        code = code[0]
    return isinstance(code, Name) and code in {Name.CCITTFaxDecode, Name.DCTDecode}


def _ordinary(space: Any) -> bool:
    if isinstance(space, Array) and len(space) == 2 and space[0] == Name.ICCBased and isinstance(space[1], Stream):
        return space[1].get("/N") in {1, 3}
    return str(space[0] if isinstance(space, Array) and len(space) else space) in _COLOURS


def _images(page: Any) -> Iterator[Any]:
    """The picture objects of a page, those within forms too, unless there are too many to be a scan."""
    count = pdfium.FPDFPage_CountObjects(page)
    things = [pdfium.FPDFPage_GetObject(page, at) for at in range(min(count, _MOST_OBJECTS))]
    for _ in range(_MOST_OBJECTS):
        if not things:
            break
        thing = things.pop()
        kind = pdfium.FPDFPageObj_GetType(thing)
        if kind == pdfium.FPDF_PAGEOBJ_IMAGE:
            yield thing
        elif kind == pdfium.FPDF_PAGEOBJ_FORM:
            inner = min(pdfium.FPDFFormObj_CountObjects(thing), _MOST_OBJECTS)
            things += [pdfium.FPDFFormObj_GetObject(thing, at) for at in range(inner)]


def _raw(thing: Any) -> bytes:
    size = pdfium.FPDFImageObj_GetImageDataRaw(thing, None, 0)
    code: Any = (ctypes.c_ubyte * size)()
    pdfium.FPDFImageObj_GetImageDataRaw(thing, code, size)
    return bytes(code)


def _small(thing: Any, code: bytes, fax: Group4 | None) -> Image.Image | None:
    """The picture in grey, small; None when it cannot be decoded this way: then it is drawn as it is."""
    if not code.startswith(b"\xff\xd8"):
        return (_small_fax(code, fax) if fax else None) or _small_by_pdfium(thing)
    try:
        picture = Image.open(io.BytesIO(code), formats=("JPEG",))
        if picture.mode not in {"L", "RGB"} or picture.width * picture.height > _MOST_DOTS:
            return None
        shorter = min(picture.size)
        picture.draft("L", (picture.width * _SMALL // shorter, picture.height * _SMALL // shorter))
        return picture.convert("L")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _small_fax(code: bytes, fax: Group4) -> Image.Image | None:
    """None as well for a picture without ink: whether there really is none is the other engine's to say."""
    if fax.width * fax.height > _MOST_DOTS:
        return None
    try:
        small = _reduced(fax.decoded(code).convert("L"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return small if small.getextrema() != (255, 255) else None


def _small_by_pdfium(thing: Any) -> Image.Image | None:
    """A fax code has no dots to leave out, but needs to be read only once."""
    bitmap = pdfium.FPDFImageObj_GetBitmap(thing)
    if not bitmap:
        return None
    small = None
    if pdfium.FPDFBitmap_GetFormat(bitmap) == pdfium.FPDFBitmap_Gray:
        size = pdfium.FPDFBitmap_GetWidth(bitmap), pdfium.FPDFBitmap_GetHeight(bitmap)
        row = pdfium.FPDFBitmap_GetStride(bitmap)
        dots: Any = ctypes.cast(pdfium.FPDFBitmap_GetBuffer(bitmap), ctypes.POINTER(ctypes.c_ubyte * (row * size[1])))
        small = _reduced(Image.frombuffer("L", size, dots.contents, "raw", "L", row, 1))
    pdfium.FPDFBitmap_Destroy(bitmap)
    return small


def _reduced(whole: Image.Image) -> Image.Image:
    return whole.reduce(max(1, min(whole.size) // _SMALL))


def _replace(page: Any, thing: Any, small: Image.Image) -> None:
    dots = (ctypes.c_ubyte * (small.width * small.height)).from_buffer_copy(small.tobytes())  # PDFium does not copy it
    bitmap = pdfium.FPDFBitmap_CreateEx(small.width, small.height, pdfium.FPDFBitmap_Gray, dots, small.width)
    pages: Any = (pdfium.FPDF_PAGE * 1)(page)
    pdfium.FPDFImageObj_SetBitmap(pages, 1, thing, bitmap)
    pdfium.FPDFBitmap_Destroy(bitmap)
