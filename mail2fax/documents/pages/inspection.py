"""Open a PDF and judge it: can every page of it be faxed?

Two engines read each file, qpdf (through pikepdf) and PDFium. They fail on different files, so they check each other:
qpdf "repairs" a file cut at 40 % to its first page, PDFium believes a /Count that lies. A file on whose pages they
disagree is refused: a fax short of pages is worse than a bounce.

    pages: qpdf q, PDFium p, of which PDFium loads k      verdict
    q = p = k                                             good (repaired, if qpdf had to warn)
    q = k < p, no warning of qpdf                         good: /Count lies
    p = k, and q is missing or less                       repaired: PDFium writes the page tree anew
    qpdf alone opens it                                   repaired, and cannot be compared later
    anything else                                         damaged

PDFium's count is what /Count says: only loading a page proves that it is there.

A file without its end is refused as well if it speaks of objects that are not there: what they drew is lost, and both
engines go on as if nothing had been.

Pure, for a worker process. Refusals are `Permanent` with the reason a part of a mail can have.
"""

import io
import math
import re
import warnings
import zlib
from dataclasses import dataclass, replace
from typing import Any

import pikepdf
import pypdfium2
from pypdfium2 import raw as pdfium

from mail2fax.documents.pages import letter, line_ends
from mail2fax.documents.pages.letter import Geometry
from mail2fax.documents.pages.pdfium import Document, EngineError
from mail2fax.model import Permanent, Reason

_HEADER = 1024  # bytes in which %PDF- must stand (Adobe's implementation note 13 on PDF 1.7)
_END = 8192  # bytes in which the end of a file must stand; a mailing list's footer may follow
_REFERENCE = re.compile(rb"(?<![\d.])([1-9]\d{0,6}) 0 R\b")
_ANCESTORS = 100  # of a page in the page tree, when an inherited value is looked for
_MOST_UNIT = 1000.0
_CERTIFICATE = b"/Adobe.PubSec"


@dataclass(frozen=True, slots=True)
class Source:
    """A PDF that can be faxed, as it was before anything was changed in it."""

    data: bytes  # the file, or what PDFium made of it
    pdf: pikepdf.Pdf
    geometries: tuple[Geometry, ...]  # one a page
    repaired: bool
    drawable: bool  # PDFium opens it too
    annotated: bool  # there is something to be flattened


def refusal(reason: Reason, **detail: Any) -> Permanent:
    """The refusal of one part. RFC 3463: 5.6.0, a media error."""
    return Permanent(reason, "5.6.0", **detail)


def inspect(data: bytes, *, max_pages: int, careful: bool = False) -> Source:
    """Judge a PDF.

    Careful: PDFium is not asked, a worker died of it. What only PDFium could have vouched for is refused then.
    Raises Permanent: EMPTY, NOT_A_PDF, LOCKED, DAMAGED, DYNAMIC_FORM or TOO_MANY_PAGES (detail: pages, limit).
    """
    if not data or data.isspace():
        raise refusal(Reason.EMPTY)
    if b"%PDF-" not in data[:_HEADER]:
        raise refusal(Reason.NOT_A_PDF)
    pdf = _qpdf(data)
    warned = bool(pdf and pdf.get_warnings())  # they are forgotten as they are told
    restored = line_ends.undone(data) if warned or pdf is None else None
    if restored:
        (data, pdf), warned = restored, False
    if pdf and len(pdf.pages) > max_pages:
        raise refusal(Reason.TOO_MANY_PAGES, pages=len(pdf.pages), limit=max_pages)
    source = _alone(data, pdf, warned=warned) if careful else _compared(data, pdf, max_pages, warned=warned)
    if source.repaired and _cut_short(data, source.pdf):
        raise refusal(Reason.DAMAGED)
    if line_ends.changed(data, source.pdf, repaired=source.repaired):
        raise refusal(Reason.DAMAGED)
    if _dynamic_form(source.pdf):
        raise refusal(Reason.DYNAMIC_FORM)
    return replace(source, repaired=True) if restored else source


def saved(pdf: pikepdf.Pdf) -> bytes:
    """The document as it stands now, for PDFium."""
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pikepdf.PageCopyWarning)  # fields that no form lists are drawn all the same
        pdf.save(out, fix_metadata_version=False)
    return out.getvalue()


def _qpdf(data: bytes) -> pikepdf.Pdf | None:
    """Open with qpdf and walk its page tree; None when it cannot."""
    try:
        pdf = pikepdf.open(io.BytesIO(data), suppress_warnings=True)
        len(pdf.pages)
    except pikepdf.PasswordError:
        raise refusal(Reason.LOCKED) from None
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 -- whatever a parser says of hostile bytes, they are at fault
        # A certificate, or a security handler of somebody's own: nobody here has the key.
        if "encryption" in str(error).lower() or _CERTIFICATE.decode() in str(error):
            raise refusal(Reason.LOCKED) from None
        return None
    return pdf


def _alone(data: bytes, pdf: pikepdf.Pdf | None, *, warned: bool) -> Source:
    """With qpdf's word alone: it must have had nothing to repair."""
    if pdf is None or warned:
        raise refusal(Reason.DAMAGED)
    if not len(pdf.pages):
        raise refusal(Reason.EMPTY)
    return _source(data, pdf, drawable=False)


def _compared(data: bytes, pdf: pikepdf.Pdf | None, max_pages: int, *, warned: bool) -> Source:
    """The table above."""
    listed = len(pdf.pages) if pdf else 0
    document = _pdfium(data)
    if document is None:
        if pdf is None or not listed:
            if _CERTIFICATE in data:
                raise refusal(Reason.LOCKED)
            raise refusal(Reason.DAMAGED if pdf is None or warned else Reason.EMPTY)
        return _source(data, pdf, repaired=True, drawable=False)
    with document:
        claimed = document.count
        if pdf and listed == claimed and not warned and not _annotated(pdf):
            # The ordinary file. That PDFium loads each page is seen when `fit.fit` draws it; one is damaged otherwise.
            return _source(data, pdf)
        loaded = sum(document.loads(index) for index in range(min(claimed, max_pages + 1)))
    if pdf and listed and listed == loaded and (listed == claimed or not warned):
        return _source(data, pdf, repaired=warned)
    if loaded > max_pages:
        raise refusal(Reason.TOO_MANY_PAGES, pages=claimed, limit=max_pages)
    if loaded and loaded == claimed and listed < loaded:
        data = _rebuilt(data)
        return _source(data, pikepdf.open(io.BytesIO(data), suppress_warnings=True), repaired=True)
    raise refusal(Reason.DAMAGED)


def _pdfium(data: bytes) -> Document | None:
    """The file as PDFium sees it; None when it cannot open it."""
    try:
        return Document(data)
    except EngineError as error:
        if error.code in {pdfium.FPDF_ERR_PASSWORD, pdfium.FPDF_ERR_SECURITY}:
            raise refusal(Reason.LOCKED) from None
        return None


def _rebuilt(data: bytes) -> bytes:
    """The same pages under a page tree of PDFium's making, for trees that qpdf calls loops."""
    with pypdfium2.PdfDocument(data) as old, pypdfium2.PdfDocument.new() as new:
        new.import_pages(old)
        out = io.BytesIO()
        new.save(out)
    return out.getvalue()


def _cut_short(data: bytes, pdf: pikepdf.Pdf) -> bool:
    """Whether the end of the file is missing, and with it objects that the rest refers to."""
    if b"startxref" in data[-_END:]:
        return False
    return any(pdf.get_object(int(number), 0) is None for number in set(_REFERENCE.findall(data)))


def _source(data: bytes, pdf: pikepdf.Pdf, *, repaired: bool = False, drawable: bool = True) -> Source:
    return Source(data, pdf, tuple(map(geometry, pdf.pages)), repaired, drawable, _annotated(pdf))


def _annotated(pdf: pikepdf.Pdf) -> bool:
    return any("/Annots" in page.obj for page in pdf.pages)


def geometry(page: pikepdf.Page) -> Geometry:
    """What a page says of its shape, inherited or its own; US letter where it says nothing sensible."""
    media = _box(page, "/MediaBox") or letter.LETTER
    crop = _box(page, "/CropBox")
    return Geometry(
        box=letter.meet(media, crop) or media if crop else media,
        rotation=letter.quarter_turns(_number(inherited(page.obj, "/Rotate"), 0)),
        unit=unit if 0 < (unit := _number(page.obj.get("/UserUnit"), 1)) <= _MOST_UNIT else 1.0,
    )


def inherited(dictionary: pikepdf.Object, key: str) -> Any:
    """The value of a page or field, its own or its nearest ancestor's; None when there is none."""
    holder: Any = dictionary
    for _ in range(_ANCESTORS):
        if not isinstance(holder, pikepdf.Dictionary):
            return None
        if (value := holder.get(key)) is not None:
            return value
        holder = holder.get("/Parent")
    return None


def whole(drawing: Any) -> bool:
    """Whether all that was packed into a stream, or several, comes out. Readers pass over a wrong sum."""
    if isinstance(drawing, pikepdf.Array):
        return all(map(whole, drawing))
    try:
        line_ends.unpacks(drawing.read_raw_bytes())
    except zlib.error as error:
        return "incorrect data check" in str(error)
    except (AttributeError, TypeError, pikepdf.PdfError):
        return False
    return True


def _box(page: pikepdf.Page, key: str) -> letter.Box | None:
    corners = inherited(page.obj, key)
    if not isinstance(corners, pikepdf.Array):
        return None
    return letter.box(_number(corner, math.nan) for corner in corners)


def _number(value: Any, instead: float) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, ArithmeticError):  # a name, a dictionary, none at all
        return instead


def _dynamic_form(pdf: pikepdf.Pdf) -> bool:
    """Whether the pages are a stand-in ("Please wait...") for a form that only Adobe's own reader can draw (XFA)."""
    form = pdf.Root.get("/AcroForm")
    if not isinstance(form, pikepdf.Dictionary) or "/XFA" not in form:
        return False
    waiting: Any = pdf.Root.get("/NeedsRendering")
    fields = form.get("/Fields")
    # Forms older than PDF 1.7, which brought that key, are told by their single page and by having no fields.
    return waiting is True or (len(pdf.pages) == 1 and not (isinstance(fields, pikepdf.Array) and len(fields)))
