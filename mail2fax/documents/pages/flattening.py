"""Make what stands on a page as annotations (filled form fields, stamps, highlights) part of the page itself.

Faxed is what the sender saw on the page: every field and markup that is not hidden, whether or not it is marked for
printing. Not faxed is what is no ink: pop-ups, sticky notes, link frames, icons of attached files and sounds, buttons
that are not for paper. PDFium does it, because qpdf loses filled values (combo boxes without an appearance, text
outside its one encoding); qpdf does it where PDFium died of the file.
"""

import io
from dataclasses import dataclass

import pikepdf
import pypdfium2
from pypdfium2 import raw as pdfium

from mail2fax.documents.pages.inspection import inherited, saved

# ISO 32000-1 table 165
_HIDDEN = 1 << 1
_PRINT = 1 << 2
_NO_VIEW = 1 << 5
_PUSH_BUTTON = 1 << 16  # table 226

_NO_INK = {
    "/Popup": pdfium.FPDF_ANNOT_POPUP,
    "/Link": pdfium.FPDF_ANNOT_LINK,
    "/Text": pdfium.FPDF_ANNOT_TEXT,
    "/Sound": pdfium.FPDF_ANNOT_SOUND,
    "/Movie": pdfium.FPDF_ANNOT_MOVIE,
    "/Screen": pdfium.FPDF_ANNOT_SCREEN,
    "/FileAttachment": pdfium.FPDF_ANNOT_FILEATTACHMENT,
    "/3D": pdfium.FPDF_ANNOT_THREED,
    "/RichMedia": pdfium.FPDF_ANNOT_RICHMEDIA,
    "/TrapNet": pdfium.FPDF_ANNOT_TRAPNET,
}
_NO_INK_NUMBERS = frozenset(_NO_INK.values())
_INHERITED = ("/Resources", "/MediaBox", "/CropBox", "/Rotate")


@dataclass(frozen=True, slots=True)
class Marks:
    """What stands on the pages as annotations."""

    ink: bool = False  # something that is to be drawn
    notes: bool = False  # sticky notes with words in them, which are not


def marks(pdf: pikepdf.Pdf) -> Marks:
    """Look through the annotations of a document."""
    ink = notes = False
    for page in pdf.pages:
        listed = page.obj.get("/Annots")
        for mark in listed if isinstance(listed, pikepdf.Array) else ():
            if isinstance(mark, pikepdf.Dictionary):
                flags, kind = mark.get("/F", 0), str(mark.get("/Subtype"))
                shown = not (isinstance(flags, int) and flags & (_HIDDEN | _NO_VIEW))
                ink = ink or (shown and kind not in _NO_INK)
                notes = notes or (shown and kind == "/Text" and bool(str(mark.get("/Contents", "")).strip()))
    return Marks(ink, notes)


def flatten(pdf: pikepdf.Pdf) -> pikepdf.Pdf:
    """The same pages with their annotations drawn in, by PDFium. Page boxes may differ afterwards."""
    with pypdfium2.PdfDocument(_self_contained(pdf)) as document:
        document.init_forms()
        for index in range(len(document)):
            page = document[index]
            _flatten(document.formenv, page)
            page.close()
        out = io.BytesIO()
        document.save(out)
    return pikepdf.open(out, suppress_warnings=True)


def _self_contained(pdf: pikepdf.Pdf) -> bytes:
    """Every page with its inherited values written into it.

    FPDFPage_Flatten gives a page resources of its own, which hide inherited ones: the text would lose its fonts.
    """
    for page in pdf.pages:
        for key in _INHERITED:
            if key not in page.obj and (value := inherited(page.obj, key)) is not None:
                page.obj[key] = value
    return saved(pdf)


def _flatten(form: pypdfium2.PdfFormEnv | None, page: pypdfium2.PdfPage) -> None:
    if pdfium.FPDFPage_GetAnnotCount(page) > 0:
        _draw_small(form, page)
        choose(form, page)
        pdfium.FPDFPage_Flatten(page, pdfium.FLAT_PRINT)


def choose(form: pypdfium2.PdfFormEnv | None, page: pypdfium2.PdfPage) -> None:
    """Flag the page's annotations such that what is to be faxed is drawn, and nothing else."""
    for index in range(pdfium.FPDFPage_GetAnnotCount(page)):
        annotation = pdfium.FPDFPage_GetAnnot(page, index)
        if annotation:
            pdfium.FPDFAnnot_SetFlags(annotation, _flags(form, annotation))
            pdfium.FPDFPage_CloseAnnot(annotation)


def _draw_small(form: pypdfium2.PdfFormEnv | None, page: pypdfium2.PdfPage) -> None:
    """Drawing a page, however small, makes PDFium generate the appearances that are missing."""
    bitmap = pypdfium2.PdfBitmap.new_native(8, 8, pdfium.FPDFBitmap_BGR)
    where = (bitmap, page, 0, 0, 8, 8, 0, pdfium.FPDF_ANNOT)
    pdfium.FPDF_RenderPageBitmap(*where)
    if form:
        pdfium.FPDF_FFLDraw(form, *where)
    bitmap.close()


def _flags(form: pypdfium2.PdfFormEnv | None, annotation: pdfium.FPDF_ANNOTATION) -> int:
    """The annotation's flags such that FLAT_PRINT draws what is to be faxed, and only that."""
    flags = int(pdfium.FPDFAnnot_GetFlags(annotation))
    kind = pdfium.FPDFAnnot_GetSubtype(annotation)
    button = bool(
        form
        and kind == pdfium.FPDF_ANNOT_WIDGET
        and pdfium.FPDFAnnot_GetFormFieldType(form, annotation) == pdfium.FPDF_FORMFIELD_PUSHBUTTON
    )
    return _for_paper(flags, ink=kind not in _NO_INK_NUMBERS, button=button)


def _for_paper(flags: int, *, ink: bool, button: bool) -> int:
    if not ink or (button and not flags & _PRINT):
        return flags | _HIDDEN
    return flags if flags & (_HIDDEN | _NO_VIEW) else flags | _PRINT


def flatten_by_qpdf(pdf: pikepdf.Pdf) -> None:
    """The same in place and by qpdf: faithful only where fields bring their appearances along."""
    for page in pdf.pages:
        annotations = page.obj.get("/Annots")
        if isinstance(annotations, pikepdf.Array):
            for annotation in annotations:
                if isinstance(annotation, pikepdf.Dictionary):
                    _mark(annotation)
        elif annotations is not None:
            del page.obj["/Annots"]
    pdf.generate_appearance_streams()  # does nothing unless the form asks for it (NeedAppearances)
    pdf.flatten_annotations("print")


def _mark(annotation: pikepdf.Dictionary) -> None:
    kind = str(annotation.get("/Subtype", ""))
    flags = annotation.get("/F", 0)
    field = inherited(annotation, "/Ff") or 0
    button = (
        kind == "/Widget"
        and inherited(annotation, "/FT") == pikepdf.Name.Btn
        and isinstance(field, int)
        and bool(field & _PUSH_BUTTON)
    )
    annotation["/F"] = _for_paper(flags if isinstance(flags, int) else 0, ink=kind not in _NO_INK, button=button)
