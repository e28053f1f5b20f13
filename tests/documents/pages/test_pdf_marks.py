"""Marks that bring no drawing along are drawn from what they say of themselves, as readers do."""

import pytest
from pikepdf import Array, Dictionary, Name

from mail2fax.documents.pages import fit
from tests.support import pdfs

RED = Array([1, 0, 0])


def mark(kind: str, rect=(100, 500, 300, 600), **keys) -> Dictionary:
    return Dictionary(Type=Name.Annot, Subtype=Name(f"/{kind}"), Rect=Array(rect), C=RED, **keys)


def drawn(annotation: Dictionary):
    """Where the fax has ink, in points from the upper left corner, and what is said of it."""
    made = fit.fit(pdfs.annotated(annotation))
    return pdfs.drawn(made.data).point(lambda value: 255 if value < 200 else 0).getbbox(), made


MARKS = {
    "a line": (mark("Line", L=Array([110, 510, 290, 590])), (55, 101, 145, 141)),
    "a line with an arrow": (mark("Line", L=Array([110, 550, 290, 550]), LE=Array([Name.OpenArrow, Name("/None")])), (55, 118, 145, 124)),
    "a line beside what it measures": (mark("Line", L=Array([110, 510, 290, 510]), LL=40), (55, 121, 145, 141)),
    "a thick line": (mark("Line", L=Array([110, 550, 290, 550]), BS=Dictionary(W=10)), (55, 118, 145, 124)),
    "an area": (mark("Polygon", Vertices=Array([110, 510, 290, 510, 200, 590])), (55, 101, 145, 141)),
    "a filled area": (mark("Polygon", Vertices=Array([110, 510, 290, 510, 200, 590]), IC=RED), (55, 101, 145, 141)),
    "a course": (mark("PolyLine", Vertices=Array([110, 510, 200, 590, 290, 510])), (55, 101, 145, 141)),
    "a stamp": (mark("Stamp", Name=Name.NotApproved), (50, 96, 150, 146)),
    "typewriter text": (mark("FreeText", Contents="See the lower part", DA="/Helv 18 Tf 0 g"), None),
    "a framed text": (mark("FreeText", Contents="x", BS=Dictionary(W=2)), (50, 96, 150, 146)),
}  # fmt: skip


@pytest.mark.parametrize(("annotation", "where"), MARKS.values(), ids=MARKS)
def test_a_mark_without_a_drawing_is_drawn(annotation, where):
    """Lines, areas, stamps and typewriter text stand where they say, and the reply says that marks were faxed."""
    box, made = drawn(annotation)
    assert made.notes == ("flattened",)
    assert box is not None
    if where:
        assert box == pytest.approx(where, abs=4)


def test_a_line_is_drawn_though_it_has_no_frame():
    """pdfkit writes /Border [0 0 0] into every mark, and readers draw the line."""
    box, made = drawn(mark("Line", L=Array([60, 700, 140, 660]), Border=Array([0, 0, 0])))
    assert box is not None
    assert made.notes == ("flattened",)
    assert drawn(mark("Line", L=Array([60, 700, 140, 660]), BS=Dictionary(W=0)))[0] is None


def test_words_in_a_box_are_all_there():
    """In whatever script, wrapped, and made smaller rather than cut off."""
    words = "Grüße, 你好, Привет: " + "more words than fit at this size " * 6
    box, made = drawn(mark("FreeText", Contents=words, DA="/Helv 14 Tf 0 g", Q=1))
    left, top, right, bottom = box
    assert 50 <= left < right <= 150
    assert 96 <= top < bottom <= 147
    shown = " ".join(pdfs.shown(made.data).split())
    assert "Привет" in shown
    assert shown.count("more words than fit") == 6


@pytest.mark.parametrize(
    ("keys", "framed"),
    [({"Border": Array([0, 0, 0])}, False), ({"BS": Dictionary(W=0)}, False), ({}, True)],
    ids=["border", "style", "none"],
)
def test_a_text_without_a_border_has_none(keys, framed):
    """No frame where it was asked for none; one of a point where nothing is said (ISO 32000-1 table 164)."""
    text = mark("FreeText", Contents="l", Q=1, DA="/Helv 20 Tf 0 g", **keys)
    del text["/C"]  # the ground
    (left, *_), _ = drawn(text)
    assert (left < 60) == framed


@pytest.mark.parametrize(
    "annotation",
    [
        mark("Line", L=Array([1, 2])),
        mark("Line", L=Array([Name.A, 1, 2, 3])),
        mark("Polygon", Vertices=Array([])),
        mark("Polygon"),
        mark("FreeText"),
        mark("FreeText", Contents="x", rect=(0, 0, 0, 0)),
        mark("Stamp", Name=Array([])),
        mark("Stamp", rect=(5, 5, 5)),
        mark(
            "Line",
            L=Array([1, 2, 3, 4]),
            LE=Array([Name.Odd]),
            BS=Dictionary(W=Name.X, D=Array([Name.Y])),
            Border=7,
        ),
    ],
)
def test_nonsense_is_no_mark(annotation):
    """Whatever a mark says of itself, the page is faxed."""
    assert fit.fit(pdfs.annotated(annotation)).pages == 1


def test_hidden_marks_stay_hidden():
    """What the sender does not see is not drawn."""
    box, _ = drawn(mark("Line", L=Array([110, 510, 290, 590]), F=2))
    assert box is None


def field(**keys) -> Dictionary:
    return Dictionary(
        Type=Name.Annot, Subtype=Name.Widget, Rect=Array([100, 500, 300, 530]), DA="/Helv 14 Tf 0 g", T="a", **keys
    )


@pytest.mark.filterwarnings("ignore::pikepdf.PageCopyWarning")
def test_a_field_that_no_form_lists_keeps_its_value():
    """A page that another tool copied, without the form it belonged to."""
    made = fit.fit(pdfs.annotated(field(FT=Name.Tx, V="filled in")))
    assert "filled in" in pdfs.shown(made.data)


@pytest.mark.filterwarnings("ignore::pikepdf.PageCopyWarning")
def test_a_drop_down_shows_its_choice_and_no_button():
    """As on paper: the words of the choice, not PDFium's arrow to press."""
    combo = field(FT=Name.Ch, Ff=1 << 17, V="b", Opt=Array([Array(["a", "Apples"]), Array(["b", "Pears"])]))
    made = fit.fit(pdfs.annotated(combo))
    assert "Pears" in pdfs.shown(made.data)
    assert pdfs.drawn(made.data).point(lambda value: 255 if value < 200 else 0).getbbox()[2] < 130
