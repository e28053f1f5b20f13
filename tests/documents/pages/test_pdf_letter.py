"""letter and pdf: where each page stands on its fax page, whatever shape it had."""

import io
import math

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, String

from mail2fax.documents.pages import fit, letter
from mail2fax.documents.pages.letter import Box, Geometry
from tests.support import pdfs


def size(sheets: fit.Sheets) -> tuple[float, float]:
    with pikepdf.open(io.BytesIO(sheets.data)) as made:
        left, bottom, width, height = map(float, made.pages[0].MediaBox)
    assert (left, bottom) == (0, 0)
    return width, height


# -- where a page stands


@pytest.mark.parametrize(
    ("box", "rotation", "unit", "scale", "turned"),
    [
        ((0, 0, 612, 792), 0, 1, 1.0, False),
        ((0, 0, 595.28, 841.89), 0, 1, 792 / 841.89, False),  # A4: a little smaller
        ((0, 0, 612, 1008), 0, 1, 792 / 1008, False),  # legal
        ((0, 0, 792, 612), 0, 1, 1.0, True),  # landscape: turned, not shrunk
        ((0, 0, 792, 612), 90, 1, 1.0, False),  # landscape on paper, upright to the reader
        ((0, 0, 400, 300), 0, 1, 1.0, False),  # a small landscape page fits as it is
        ((0, 0, 420, 595), 0, 1, 1.0, False),  # A5 is not enlarged
        ((0, 0, 100, 50), 0, 1, 6.12, False),  # a stamp is
        ((100, 100, 406, 496), 0, 2, 1.0, False),  # UserUnit makes it letter
        ((-306, -396, 306, 396), 180, 1, 1.0, False),
        ((0, 0, 612.5, 792.4), 0, 1, 1.0, False),  # rounding is not shrinking
    ],
)
def test_a_page_is_placed(box, rotation, unit, scale, turned):
    """A page is shrunk only if it must be, turned only if that helps, enlarged only if it is a stamp, and centred."""
    page = Geometry(Box(*map(float, box)), rotation, float(unit))
    placed = letter.place(page)
    assert placed.scale == pytest.approx(scale, abs=1e-3)
    assert placed.turned is turned
    a, b, c, d, e, f = placed.matrix
    corners = [
        (a * x + c * y + e, b * x + d * y + f)
        for x in (page.box.left, page.box.right)
        for y in (page.box.bottom, page.box.top)
    ]
    for axis, length in ((0, 612), (1, 792)):
        least, most = (pick(corner[axis] for corner in corners) for pick in (min, max))
        assert least + most == pytest.approx(length, abs=0.02)
        assert least >= -0.6


def test_numbers_that_make_no_box_are_no_box():
    """Whatever four numbers a file gives, a box has its corners in order, or there is none."""
    assert letter.box((10, 20, 5, 2)) == Box(5, 2, 10, 20)
    assert letter.box((0, 0, 0, 10)) is None
    assert letter.box((0, 0, math.nan, 10)) is None
    assert letter.box((0, 0, 1)) is None
    assert letter.meet(Box(0, 0, 1, 1), Box(2, 2, 3, 3)) is None


@pytest.mark.parametrize(("degrees", "turns"), [(0, 0), (-90, 270), (450, 90), (45, 0), (91, 90), (math.inf, 0)])
def test_rotation_is_a_quarter_turn(degrees, turns):
    """/Rotate is taken as the nearest quarter turn, whatever number it is."""
    assert letter.quarter_turns(degrees) == turns


# -- what is drawn where


@pytest.mark.parametrize(
    ("rotation", "where"),
    [(0, (0, 0)), (90, (1, 0)), (180, (1, 1)), (270, (0, 1))],
)
def test_rotation_is_honoured(rotation, where):
    """A page that its reader sees turned is faxed as its reader sees it."""
    left, top, right, bottom = pdfs.black(fit.fit(pdfs.corner((0, 0, 500, 600), Rotate=rotation)).data)
    assert (left > 306, top > 396) == tuple(map(bool, where))
    assert right - left == bottom - top == pytest.approx(100, abs=4)


def test_landscape_is_turned_with_its_top_to_the_left():
    """A landscape letter page keeps its size: it is turned a quarter, its upper left corner at the lower left."""
    sheets = fit.fit(pdfs.corner((0, 0, 792, 612)))
    assert sheets.notes == ("turned",)
    left, top, right, bottom = pdfs.black(sheets.data)
    assert (left, bottom) == (pytest.approx(0, abs=2), pytest.approx(792, abs=2))
    assert right - left == pytest.approx(122, abs=4)
    assert top > 396


def test_only_the_crop_box_is_faxed():
    """What lies outside the CropBox was not seen by the sender and is not faxed."""
    data = pdfs.text("seen", CropBox=Array([0, 650, 612, 792]))
    made = fit.fit(data)
    assert pdfs.ink(made.data)
    assert not pdfs.ink(fit.fit(pdfs.text("unseen", CropBox=Array([0, 0, 612, 300]))).data)


def test_inherited_values_are_followed():
    """MediaBox, Rotate and Resources may stand in the page tree above the page."""
    source = pdfs.empty()
    page = pdfs.page(source, pdfs.words("inherited"))
    inherited = {"/MediaBox": Array([0, 0, 300, 400]), "/Rotate": 90, "/Resources": page.obj.Resources}
    for key, value in inherited.items():
        source.Root.Pages[key] = value
    del page.obj["/MediaBox"], page.obj["/Resources"]
    page.obj.Contents = source.make_stream(pdfs.words("inherited", x=20, y=200))
    made = fit.fit(pdfs.saved(source))
    assert pdfs.shown(made.data) == "inherited"
    left, top, right, bottom = pdfs.black(made.data)
    assert bottom - top > right - left  # a line of text, standing


@pytest.mark.parametrize(
    "box",
    [(0, 0, 0, 0), (0, 0, 1e7, 1e7), (0, 0, 0.01, 0.01), (612, 792, 0, 0), (-500, -500, 112, 292), (0, 0, 204, 20000)],
)
def test_any_box_ends_as_letter(box):
    """However nonsensical a page's box is, the result is a letter page."""
    made = fit.fit(pdfs.text("x", box=box))
    assert size(made) == (612, 792)


def test_a_banner_is_noted_as_tiny():
    """A page that had to be made so small that nobody can read it is noted, so that the sender is told."""
    assert "tiny" in fit.fit(pdfs.text("x", box=(0, 0, 20000, 1004))).notes
    assert fit.fit(pdfs.text("x", box=(0, 0, 595, 842))).notes == ()
    assert fit.fit(pdfs.text("x", box=(0, 0, 612, 1008))).notes == ("shrunk",)


def test_pages_without_ink_are_noted():
    """White on white arrives as white paper: the sender is told, of one page among others too."""
    assert fit.fit(pdfs.text("a", "", "b")).notes == ("blank",)
    assert fit.fit(pdfs.text("")).notes == ("all-blank",)
    assert fit.fit(pdfs.text(".")).notes == ()


def test_page_size_keep_leaves_the_size():
    """With page_size = "keep" a page keeps its size and is cleaned all the same."""
    made = fit.fit(pdfs.text("kept", box=(10, 10, 605, 852), Rotate=90, AA=Dictionary()), page_size="keep")
    assert size(made) == (842, 595)
    assert pdfs.shown(made.data) == "kept"
    assert b"/AA" not in made.data


def test_hidden_layers_stay_hidden():
    """What its author has switched off is not faxed, also after joining; what is on is."""
    source = pdfs.empty()
    groups = [source.make_indirect(Dictionary(Type=Name.OCG, Name=String(name))) for name in ("on", "off")]
    page = pdfs.page(source, b"/OC /On BDC 0 0 100 100 re f EMC /OC /Off BDC 400 600 100 100 re f EMC")
    page.obj.Resources.Properties = Dictionary(On=groups[0], Off=groups[1])
    source.Root.OCProperties = Dictionary(OCGs=Array(groups), D=Dictionary(OFF=Array([groups[1]])))
    made = fit.fit(pdfs.saved(source)).data
    for data in (made, fit.join([pdfs.text("first"), made])):
        page = 0 if data is made else 1
        picture = pdfs.drawn(data, page).point(lambda value: 255 if value < 128 else 0)
        left, _, right, bottom = picture.getbbox()
        assert (left, bottom) == (0, 396)
        assert right == pytest.approx(50, abs=2)
