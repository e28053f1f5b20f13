"""PDFium's functions, as far as a fax needs them: open a document, load a page, draw it.

pypdfium2 has classes for all of that, which track each other, name themselves and end by themselves. A worker is a
fresh process, and every function that it calls costs it a copied page of memory or two; so the way that every document
goes is kept short.
"""

import ctypes
import math
from typing import Any, Self

from PIL import Image
from pypdfium2 import raw as pdfium

_WHITE = 0xFFFFFFFF
_MOST_OBJECTS = 10_000  # of a page that are looked at


class EngineError(Exception):
    """PDFium cannot do it."""

    def __init__(self) -> None:
        self.code: int = pdfium.FPDF_GetLastError()  # FPDF_ERR_…
        super().__init__(f"PDFium's error {self.code}")


class Document:
    """A PDF as PDFium sees it. It is closed, after its pages, at the end of its `with`."""

    def __init__(self, data: bytes, *, forms: bool = False) -> None:
        """Open it. Forms: with PDFium's form filling, if it is a form. Raises EngineError."""
        self._data = data  # PDFium reads these very bytes
        self._raw: Any = pdfium.FPDF_LoadMemDocument64(data, len(data), None)
        self.count: int = pdfium.FPDF_GetPageCount(self._raw)  # what /Count says
        if self.count < 1:
            raise EngineError
        self.form: Any = None
        if forms and pdfium.FPDF_GetFormType(self._raw) != pdfium.FORMTYPE_NONE:
            self._filling = pdfium.FPDF_FORMFILLINFO(version=2)
            self.form = pdfium.FPDFDOC_InitFormFillEnvironment(self._raw, self._filling)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.form:
            pdfium.FPDFDOC_ExitFormFillEnvironment(self.form)
        pdfium.FPDF_CloseDocument(self._raw)

    def page(self, index: int) -> "Page":
        """Load a page. Raises EngineError."""
        raw = pdfium.FPDF_LoadPage(self._raw, index)
        if not raw:
            raise EngineError
        return Page(raw, self.form)

    def loads(self, index: int) -> bool:
        """Whether a page is there."""
        if raw := pdfium.FPDF_LoadPage(self._raw, index):
            pdfium.FPDF_ClosePage(raw)
        return bool(raw)


class Page:
    """A page of a document. It is closed at the end of its `with`."""

    def __init__(self, raw: Any, form: Any) -> None:
        self.raw = raw
        self._form = form
        if form:
            pdfium.FORM_OnAfterLoadPage(raw, form)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._form:
            pdfium.FORM_OnBeforeClosePage(self.raw, self._form)
        pdfium.FPDF_ClosePage(self.raw)

    def undrawn_picture(self, *, pale: bool = False) -> bool:
        """Whether there is a picture on it, also within forms, that cannot be decoded; pale: or any at all."""
        things = [pdfium.FPDFPage_GetObject(self.raw, at) for at in range(pdfium.FPDFPage_CountObjects(self.raw))]
        for _ in range(_MOST_OBJECTS):
            if not things:
                break
            thing = things.pop()
            kind = pdfium.FPDFPageObj_GetType(thing)
            if kind == pdfium.FPDF_PAGEOBJ_FORM:
                inner = range(pdfium.FPDFFormObj_CountObjects(thing))
                things += [pdfium.FPDFFormObj_GetObject(thing, at) for at in inner]
            elif kind == pdfium.FPDF_PAGEOBJ_IMAGE:
                bitmap = pdfium.FPDFImageObj_GetBitmap(thing)
                if pale or not bitmap:
                    return True
                pdfium.FPDFBitmap_Destroy(bitmap)
        return False

    def text(self, most: int) -> str:
        """The page's words, so many characters at most."""
        letters: Any = (ctypes.c_ushort * (most + 1))()
        words = pdfium.FPDFText_LoadPage(self.raw)
        count = pdfium.FPDFText_GetText(words, 0, most, letters)
        pdfium.FPDFText_ClosePage(words)
        return bytes(letters)[: max(0, 2 * (count - 1))].decode("utf-16-le", "replace")

    def drawn(self, scale: float) -> Image.Image | None:
        """The page in grey, so many dots a point; None when it has no size."""
        width, height = pdfium.FPDF_GetPageWidthF(self.raw), pdfium.FPDF_GetPageHeightF(self.raw)
        if not (width and height):
            return None
        return self.dots(math.ceil(width * scale), math.ceil(height * scale), pdfium.FPDF_ANNOT | pdfium.FPDF_GRAYSCALE)

    def dots(self, width: int, height: int, how: int) -> Image.Image:
        """The page in grey, so many dots wide and high, drawn as the flags say. Raises EngineError: too many dots."""
        dots: Any = (ctypes.c_ubyte * (width * height))()
        bitmap = pdfium.FPDFBitmap_CreateEx(width, height, pdfium.FPDFBitmap_Gray, dots, width)
        if not pdfium.FPDFBitmap_FillRect(bitmap, 0, 0, width, height, _WHITE):
            raise EngineError
        where = (bitmap, self.raw, 0, 0, width, height, 0, how)
        pdfium.FPDF_RenderPageBitmap(*where)
        if self._form:
            pdfium.FPDF_FFLDraw(self._form, *where)
        pdfium.FPDFBitmap_Destroy(bitmap)
        return Image.frombuffer("L", (width, height), dots, "raw", "L", width, 1)
