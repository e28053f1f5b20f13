"""flattening: what the sender saw on the page is faxed, filled fields and stamps as well; what is no ink is not."""

import pytest
from pikepdf import Array, Dictionary, Name, Stream, String

from mail2fax.documents.pages import fit
from tests.support import pdfs

WIDGET = {"Type": Name.Annot, "Subtype": Name.Widget}


# -- annotations and forms


def text_field(value: str, **keys) -> bytes:
    """A filled form field without an appearance, as some programs leave it."""
    field = Dictionary(
        **WIDGET,
        FT=Name.Tx,
        T=String("name"),
        V=String(value),
        Rect=Array([72, 700, 300, 730]),
        DA=String("/F1 18 Tf 0 g"),
        **keys,
    )

    def form(source, made):
        font = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica)
        return Dictionary(
            Fields=Array([made]),
            DR=Dictionary(Font=Dictionary(F1=font)),
            DA=String("/F1 18 Tf 0 g"),
            NeedAppearances=True,
        )

    return pdfs.annotated(field, AcroForm=form)


def test_filled_fields_are_faxed():
    """What was typed into a form is part of the page, although the file has no appearance for it, and no field is left."""
    made = fit.fit(text_field("Müller"))
    assert "flattened" in made.notes
    assert pdfs.ink(made.data) > 20
    assert "Müller" in pdfs.shown(made.data)
    assert b"/Annots" not in made.data
    assert b"AcroForm" not in made.data


@pytest.mark.parametrize("flags", [0, 4])
def test_stamps_are_faxed_whether_marked_for_printing_or_not(flags):
    """A stamp that the sender sees on the page is faxed."""
    stamp = Dictionary(Type=Name.Annot, Subtype=Name.Stamp, Rect=Array([72, 600, 272, 700]), F=flags)
    assert pdfs.ink(fit.fit(pdfs.annotated(stamp, b"0 0 200 100 re f")).data) > 4000


@pytest.mark.parametrize(
    ("kind", "flags"), [("Stamp", 2), ("Stamp", 32), ("Text", 4), ("Popup", 4), ("Link", 4), ("FileAttachment", 4)]
)
def test_what_is_no_ink_is_not_faxed(kind, flags):
    """Hidden annotations, sticky notes, pop-ups, link frames and paper clips are not faxed."""
    note = Dictionary(
        Type=Name.Annot, Subtype=Name("/" + kind), Rect=Array([72, 600, 272, 700]), F=flags, Contents=String("x")
    )
    assert pdfs.ink(fit.fit(pdfs.annotated(note, b"0 0 200 100 re f")).data) == 0


@pytest.mark.parametrize(("flags", "faxed"), [(0, False), (4, True)])
def test_buttons_are_faxed_if_they_are_for_paper(flags, faxed):
    """A push button is faxed only if its author meant it for paper."""
    button = Dictionary(**WIDGET, FT=Name.Btn, Ff=1 << 16, T=String("b"), Rect=Array([72, 600, 272, 700]), F=flags)
    data = pdfs.annotated(button, b"0 0 200 100 re f", AcroForm=lambda _, made: Dictionary(Fields=Array([made])))
    assert bool(pdfs.ink(fit.fit(data).data)) is faxed
    assert bool(pdfs.ink(fit.fit(data, careful=True).data)) is faxed


def test_flattening_keeps_inherited_fonts():
    """PDFium gives a flattened page resources of its own: the page's text keeps its fonts all the same."""
    source = pdfs.empty()
    page = pdfs.page(source, pdfs.words("inherited"))
    source.Root.Pages.Resources = page.obj.Resources
    del page.obj["/Resources"]
    stamp = Stream(source, b"0 0 50 50 re f", Type=Name.XObject, Subtype=Name.Form, BBox=Array([0, 0, 50, 50]))
    page.obj.Annots = Array(
        [Dictionary(Type=Name.Annot, Subtype=Name.Stamp, Rect=Array([0, 0, 50, 50]), F=4, AP=Dictionary(N=stamp))]
    )
    assert b"/BaseFont /Helvetica" in fit.fit(pdfs.saved(source)).data


def test_the_careful_way_keeps_what_has_an_appearance():
    """Where PDFium's form filling died, qpdf flattens."""
    stamp = Dictionary(Type=Name.Annot, Subtype=Name.Stamp, Rect=Array([72, 600, 272, 700]))
    made = fit.fit(pdfs.annotated(stamp, b"0 0 200 100 re f"), careful=True)
    assert pdfs.ink(made.data) > 4000
    assert made.notes == ("flattened",)


def test_only_what_is_drawn_is_spoken_of():
    """A link is nothing to speak of; a sticky note that is not faxed is."""
    link = Dictionary(Type=Name.Annot, Subtype=Name.Link, Rect=Array([0, 0, 50, 50]))
    note = Dictionary(Type=Name.Annot, Subtype=Name.Text, Rect=Array([0, 0, 50, 50]), Contents="Call back")
    box = Dictionary(Type=Name.Annot, Subtype=Name.Square, Rect=Array([0, 0, 50, 50]), C=Array([0]))
    assert "flattened" not in fit.fit(pdfs.annotated(link)).notes
    assert "unmarked" in fit.fit(pdfs.annotated(note)).notes
    assert fit.fit(pdfs.annotated(box)).notes == ("flattened",)
