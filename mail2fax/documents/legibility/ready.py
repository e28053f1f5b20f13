"""Judge the pages of a fax, and make those ready that it would not show. A page without fault is not touched.

    content -> told (what to say) ; content -> inks -> grid (pictures) -> rewrite -> proof (draw both and compare)

What cannot be read here, or comes out unlike itself, is faxed as it is.
"""

import contextlib
import io
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal

import pikepdf
from pikepdf import Name
from PIL import Image

from mail2fax.documents.legibility import content, grid, inks, proof, told
from mail2fax.documents.legibility.marks import Drawing, Kind, Mark
from mail2fax.documents.legibility.rewrite import Writer
from mail2fax.documents.pages import fit, raster
from mail2fax.documents.pages.fax_code import Ink
from mail2fax.documents.pages.fit import Sheets
from mail2fax.documents.pages.pdfium import Document, EngineError

Pages = Literal["auto", "as-is", "mono"]


def make_ready(sheets: Sheets, pages: Pages) -> Sheets:
    """The same fax pages, legible at the far end; what was done, and what stays illegible, is among the notes."""
    with pikepdf.open(io.BytesIO(sheets.data)) as pdf, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a stream ends too early
        work = _Work(pdf, pages)
        for index in range(sheets.pages):
            work.page(index)
        data = work.proved(sheets.data) if work.replaced else sheets.data
        if pages == "mono":
            data = _pictures(pdf, data)
        work.look(data, sheets.darkness)
        words = told.gathered(work.words, sheets.pages)
        known = {word.partition(":")[0] for word in words}  # with their pages now
        notes = tuple(word for word in _notes(sheets, data, work) if word not in known) + words
        return replace(sheets, data=data, notes=notes)


def _notes(sheets: Sheets, data: bytes, work: "_Work") -> tuple[str, ...]:
    """What was noted before; of pages without ink only what holds of the new drawing, in which pale text is black."""
    if not work.replaced or not fit.BLANK.intersection(sheets.notes):
        return sheets.notes
    blank = fit.blank_note(proof.blank(data, sheets.pages))
    return tuple(word for word in sheets.notes if word not in fit.BLANK) + blank


class _Work:
    """One document on its way."""

    def __init__(self, pdf: pikepdf.Pdf, pages: Pages) -> None:
        self._pdf, self._as_it_is = pdf, pages == "as-is"
        self._reader, self._writer = content.Reader(pdf), Writer(pdf)
        self.words: dict[int, set[str]] = {}  # of each page
        self.replaced: dict[int, Any] = {}  # what stood on each page that was changed,
        self._pictures: dict[int, list[Mark]] = {}  # and its pictures
        self._dark: list[int] = []  # pages that may be all black

    def page(self, index: int) -> None:
        """Judge a page, and make it ready."""
        page = self._pdf.pages[index]
        drawn = page.obj.Resources.XObject.Fax0
        if drawn.get("/Subtype") == Name.Image:  # one of the pictures that stand in for a damaged page
            return
        left, bottom, right, top = map(float, page.mediabox)
        size = right - left, top - bottom
        try:
            drawing = self._reader.page(page, size)
            marks = list(drawing.all())
            done = set() if self._as_it_is else self._made_ready(page, drawing, marks, size)
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 -- whatever a parser says of hostile bytes: the page is faxed as it is
            return
        self.words[index] = done | told.of(marks, as_it_is=self._as_it_is)
        if told.may_be_black(marks, size):
            self._dark.append(index)
        if page.obj.Resources.XObject.Fax0.objgen != drawn.objgen:
            self.replaced[index] = drawn
            if not all(mark.made for mark in marks):  # else there is nothing to compare but pictures
                self._pictures[index] = [mark for mark in marks if mark.made]

    def _made_ready(
        self, page: pikepdf.Page, drawing: Drawing, marks: Sequence[Mark], size: tuple[float, float]
    ) -> set[str]:
        """What was done to a page: "darkened", "cleaned" (scans), "screened" (photographs); nothing when it is fine."""
        for mark in marks:
            if _is_scan(mark) and told.is_large(mark, size):
                with contextlib.suppress(pikepdf.PdfError, EngineError):
                    grid.look(mark, size[1])
        if all(mark.plain for mark in marks):
            return set()
        done = grid.make(self._pdf, _pictured(marks), size[1])
        if inks.choose(marks):
            done.add("darkened")
        page.obj.Resources.XObject.Fax0 = self._writer.form(drawing)
        return done

    def proved(self, before: bytes) -> bytes:
        """The document with its new pages, but those that look like another page than before."""
        after = fit.saved(self._pdf)
        wrong = proof.unlike(before, after, self._pictures) if self._pictures else []
        for index in wrong:
            self._pdf.pages[index].obj.Resources.XObject.Fax0 = self.replaced[index]
            self.words[index] -= {"darkened", "cleaned", "screened"}
        return fit.saved(self._pdf) if wrong else after

    def look(self, data: bytes, darkness: Sequence[float]) -> None:
        """Which pages are nearly all black: by how dark they were drawn, or drawn again if they were changed since."""
        as_drawn = [index for index in self._dark if index not in self.replaced and proof.is_black(darkness[index])]
        changed = [index for index in self._dark if index in self.replaced]
        for index in (*as_drawn, *(proof.black(data, changed) if changed else ())):
            self.words[index].add("black-page")


def _pictured(marks: Iterable[Mark]) -> list[Mark]:
    return [mark for mark in marks if mark.kind is Kind.PICTURE and not mark.plain]


def _is_scan(mark: Mark) -> bool:
    """Whether it is a picture in black and white, as scanners make them."""
    return mark.seen and mark.plain and mark.kind in {Kind.PICTURE, Kind.STENCIL} and mark.picture is not None


def _pictures(pdf: pikepdf.Pdf, data: bytes) -> bytes:
    """Each page as the other machine prints it, as a picture: nothing is left to the provider's converter."""
    with Document(data) as document:
        for index, page in enumerate(pdf.pages):
            with document.page(index) as drawn:
                _replace(pdf, page, raster.fax(drawn))
    pdf.remove_unreferenced_resources()
    return fit.saved(pdf)


def _replace(pdf: pikepdf.Pdf, page: pikepdf.Page, picture: Image.Image) -> None:
    left, bottom, right, top = map(float, page.mediabox)
    page.obj.Resources.XObject.Fax0 = pdf.make_indirect(raster.group4(pdf, Ink.of(picture)))
    page.obj.Contents = pdf.make_stream(f"q {right - left:.4f} 0 0 {top - bottom:.4f} 0 0 cm /Fax0 Do Q".encode())
