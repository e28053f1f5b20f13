"""pdf, letter, inspection, flattening: any PDF becomes clean letter-size fax pages, or is refused with its reason."""

import io
import math
import random
import re
import shutil
import subprocess

import pikepdf
import pypdfium2
import pytest
from pikepdf import Array, Dictionary, Name, Stream, String

from mail2fax import letter, pdf, raster
from mail2fax.letter import Box, Geometry
from mail2fax.model import Permanent, Reason
from tests import pdfs

WIDGET = {"Type": Name.Annot, "Subtype": Name.Widget}


def size(sheets: pdf.Sheets) -> tuple[float, float]:
    with pikepdf.open(io.BytesIO(sheets.data)) as made:
        left, bottom, width, height = map(float, made.pages[0].MediaBox)
    assert (left, bottom) == (0, 0)
    return width, height


def drawn(data: bytes, page: int = 0):
    """The page at 36 dpi, grey."""
    with pypdfium2.PdfDocument(data) as document:
        return document[page].render(scale=0.5, grayscale=True).to_pil().convert("L")


def shown(data: bytes, page: int = 0) -> str:
    with pypdfium2.PdfDocument(data) as document:
        return document[page].get_textpage().get_text_range()


def ink(data: bytes, page: int = 0) -> int:
    """How many of the page's dots are dark."""
    return sum(drawn(data, page).histogram()[:128])


def black(data: bytes) -> tuple[int, int, int, int]:
    """The bounding box of what is drawn, in points from the upper left corner."""
    picture = drawn(data).point(lambda value: 255 if value < 128 else 0)
    return tuple(2 * edge for edge in picture.getbbox())


def refused(data: bytes, **how) -> Permanent:
    with pytest.raises(Permanent) as caught:
        pdf.fit(data, **how)
    return caught.value


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
    left, top, right, bottom = black(pdf.fit(pdfs.corner((0, 0, 500, 600), Rotate=rotation)).data)
    assert (left > 306, top > 396) == tuple(map(bool, where))
    assert right - left == bottom - top == pytest.approx(100, abs=4)


def test_landscape_is_turned_with_its_top_to_the_left():
    """A landscape letter page keeps its size: it is turned a quarter, its upper left corner at the lower left."""
    sheets = pdf.fit(pdfs.corner((0, 0, 792, 612)))
    assert sheets.notes == ("turned",)
    left, top, right, bottom = black(sheets.data)
    assert (left, bottom) == (pytest.approx(0, abs=2), pytest.approx(792, abs=2))
    assert right - left == pytest.approx(122, abs=4)
    assert top > 396


def test_only_the_crop_box_is_faxed():
    """What lies outside the CropBox was not seen by the sender and is not faxed."""
    data = pdfs.text("seen", CropBox=Array([0, 650, 612, 792]))
    made = pdf.fit(data)
    assert ink(made.data)
    assert not ink(pdf.fit(pdfs.text("unseen", CropBox=Array([0, 0, 612, 300]))).data)


def test_inherited_values_are_followed():
    """MediaBox, Rotate and Resources may stand in the page tree above the page."""
    source = pdfs.empty()
    page = pdfs.page(source, pdfs.words("inherited"))
    inherited = {"/MediaBox": Array([0, 0, 300, 400]), "/Rotate": 90, "/Resources": page.obj.Resources}
    for key, value in inherited.items():
        source.Root.Pages[key] = value
    del page.obj["/MediaBox"], page.obj["/Resources"]
    page.obj.Contents = source.make_stream(pdfs.words("inherited", x=20, y=200))
    made = pdf.fit(pdfs.saved(source))
    assert shown(made.data) == "inherited"
    left, top, right, bottom = black(made.data)
    assert bottom - top > right - left  # a line of text, standing


@pytest.mark.parametrize(
    "box",
    [(0, 0, 0, 0), (0, 0, 1e7, 1e7), (0, 0, 0.01, 0.01), (612, 792, 0, 0), (-500, -500, 112, 292), (0, 0, 204, 20000)],
)
def test_any_box_ends_as_letter(box):
    """However nonsensical a page's box is, the result is a letter page."""
    made = pdf.fit(pdfs.text("x", box=box))
    assert size(made) == (612, 792)


def test_a_till_roll_is_noted_as_tiny():
    """A page that had to be made so small that nobody can read it is noted, so that the sender is told."""
    assert "tiny" in pdf.fit(pdfs.text("x", box=(0, 0, 204, 20000))).notes
    assert pdf.fit(pdfs.text("x", box=(0, 0, 595, 842))).notes == ()
    assert pdf.fit(pdfs.text("x", box=(0, 0, 612, 1008))).notes == ("shrunk",)


def test_a_document_without_ink_is_noted_as_blank():
    """White on white arrives as white paper: the sender is told."""
    assert pdf.fit(pdfs.text("")).notes == ("blank",)
    assert pdf.fit(pdfs.text(".")).notes == ()


def test_page_size_keep_leaves_the_size():
    """With page_size = "keep" a page keeps its size and is cleaned all the same."""
    made = pdf.fit(pdfs.text("kept", box=(10, 10, 605, 852), Rotate=90, AA=Dictionary()), page_size="keep")
    assert size(made) == (842, 595)
    assert shown(made.data) == "kept"
    assert b"/AA" not in made.data


def test_hidden_layers_stay_hidden():
    """What its author has switched off is not faxed, also after joining; what is on is."""
    source = pdfs.empty()
    groups = [source.make_indirect(Dictionary(Type=Name.OCG, Name=String(name))) for name in ("on", "off")]
    page = pdfs.page(source, b"/OC /On BDC 0 0 100 100 re f EMC /OC /Off BDC 400 600 100 100 re f EMC")
    page.obj.Resources.Properties = Dictionary(On=groups[0], Off=groups[1])
    source.Root.OCProperties = Dictionary(OCGs=Array(groups), D=Dictionary(OFF=Array([groups[1]])))
    made = pdf.fit(pdfs.saved(source)).data
    for data in (made, pdf.join([pdfs.text("first"), made])):
        page = 0 if data is made else 1
        picture = drawn(data, page).point(lambda value: 255 if value < 128 else 0)
        left, _, right, bottom = picture.getbbox()
        assert (left, bottom) == (0, 396)
        assert right == pytest.approx(50, abs=2)


# -- what is left out


def test_nothing_but_drawing_is_left():
    """No script, action, attached file, metadata, tag or link of the original is handed to the provider."""
    source = pdfs.empty()
    page = pdfs.page(source, pdfs.words("clean"))
    script = Dictionary(S=Name.JavaScript, JS=String("app.alert(1)"))
    source.Root.OpenAction = script
    source.Root.AA = Dictionary(WC=script)
    source.Root.Names = Dictionary(JavaScript=Dictionary(Names=Array([String("x"), script])))
    source.Root.Metadata = Stream(source, b"<x:xmpmeta/>", Type=Name.Metadata, Subtype=Name.XML)
    source.docinfo["/Author"] = "Somebody"
    source.attachments["secret.txt"] = b"secret"
    page.obj.AA = Dictionary(O=script)
    page.obj.Annots = Array(
        [
            Dictionary(
                Type=Name.Annot,
                Subtype=Name.Link,
                Rect=Array([0, 0, 9, 9]),
                A=Dictionary(S=Name.URI, URI=String("http://x.example")),
            )
        ]
    )
    picture = Stream(source, b"\0" * 100, Type=Name.XObject, Subtype=Name.Image, Width=10, Height=10)
    picture.BitsPerComponent, picture.ColorSpace = 8, Name.DeviceGray
    picture.Metadata = Stream(source, b"<x:xmpmeta/>", Type=Name.Metadata)
    picture.OPI = Dictionary(F=String("/etc/passwd"))
    page.obj.Resources.XObject = Dictionary(I=picture)
    made = pdf.fit(pdfs.saved(source))
    for word in (b"JavaScript", b"/AA", b"OpenAction", b"Metadata", b"Author", b"secret", b"Annots", b"URI", b"OPI"):
        assert word not in made.data
    assert shown(made.data) == "clean"
    with pikepdf.open(io.BytesIO(made.data)) as result:
        assert set(result.pages[0].obj.keys()) == {"/Type", "/MediaBox", "/Resources", "/Contents", "/Parent"}


def test_a_stream_in_another_file_is_not_read():
    """A content stream that points at a file of the server's draws nothing and is not passed on."""
    data = pdfs.by_hand(
        [
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Count 1/Kids[3 0 R]>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R>>",
            pdfs.stream(b"", b"/F(/etc/passwd)"),
        ]
    )
    made = pdf.fit(data)
    assert b"passwd" not in made.data
    assert "blank" in made.notes


def test_the_result_is_for_any_reader():
    """PDF 1.7, no object or cross-reference streams, no encryption, and the same bytes for the same file."""
    source = pikepdf.open(io.BytesIO(pdfs.text("Hello", "again")))
    locked = pdfs.saved(
        source, encryption=pikepdf.Encryption(owner="boss", user="", allow=pikepdf.Permissions(print_lowres=False))
    )
    made = pdf.fit(locked)
    assert made.data.startswith(b"%PDF-1.7")
    assert b"ObjStm" not in made.data
    assert b"/XRef" not in made.data
    assert b"/Encrypt" not in made.data
    assert re.search(rb"\nxref\n", made.data)
    assert pdf.fit(locked).data == made.data


@pytest.mark.skipif(not shutil.which("qpdf"), reason="no qpdf")
def test_a_broken_picture_does_not_reach_the_converter(tmp_path):
    """A stream that cannot be decoded is taken out, and the file passes qpdf --check; a sound one beside it stays."""
    source = pdfs.empty()
    page = pdfs.page(source, pdfs.words("sound") + b"q 100 0 0 100 0 0 cm /I Do Q")
    broken = Stream(source, b"no deflated data", Type=Name.XObject, Subtype=Name.Image, Width=10, Height=10)
    broken.Filter, broken.BitsPerComponent, broken.ColorSpace = Name.FlateDecode, 8, Name.DeviceGray
    page.obj.Resources.XObject = Dictionary(I=broken)
    made = pdf.fit(pdfs.saved(source))
    file = tmp_path / "made.pdf"
    file.write_bytes(made.data)
    checked = subprocess.run(["qpdf", "--check", file], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert ink(made.data) > 20


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
    made = pdf.fit(text_field("Müller"))
    assert "flattened" in made.notes
    assert ink(made.data) > 20
    assert "Müller" in shown(made.data)
    assert b"/Annots" not in made.data
    assert b"AcroForm" not in made.data


@pytest.mark.parametrize("flags", [0, 4])
def test_stamps_are_faxed_whether_marked_for_printing_or_not(flags):
    """A stamp that the sender sees on the page is faxed."""
    stamp = Dictionary(Type=Name.Annot, Subtype=Name.Stamp, Rect=Array([72, 600, 272, 700]), F=flags)
    assert ink(pdf.fit(pdfs.annotated(stamp, b"0 0 200 100 re f")).data) > 4000


@pytest.mark.parametrize(
    ("kind", "flags"), [("Stamp", 2), ("Stamp", 32), ("Text", 4), ("Popup", 4), ("Link", 4), ("FileAttachment", 4)]
)
def test_what_is_no_ink_is_not_faxed(kind, flags):
    """Hidden annotations, sticky notes, pop-ups, link frames and paper clips are not faxed."""
    note = Dictionary(
        Type=Name.Annot, Subtype=Name("/" + kind), Rect=Array([72, 600, 272, 700]), F=flags, Contents=String("x")
    )
    assert ink(pdf.fit(pdfs.annotated(note, b"0 0 200 100 re f")).data) == 0


@pytest.mark.parametrize(("flags", "faxed"), [(0, False), (4, True)])
def test_buttons_are_faxed_if_they_are_for_paper(flags, faxed):
    """A push button is faxed only if its author meant it for paper."""
    button = Dictionary(**WIDGET, FT=Name.Btn, Ff=1 << 16, T=String("b"), Rect=Array([72, 600, 272, 700]), F=flags)
    data = pdfs.annotated(button, b"0 0 200 100 re f", AcroForm=lambda _, made: Dictionary(Fields=Array([made])))
    assert bool(ink(pdf.fit(data).data)) is faxed
    assert bool(ink(pdf.fit(data, careful=True).data)) is faxed


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
    assert b"/BaseFont /Helvetica" in pdf.fit(pdfs.saved(source)).data


def test_the_careful_way_keeps_what_has_an_appearance():
    """Where PDFium's form filling died, qpdf flattens."""
    stamp = Dictionary(Type=Name.Annot, Subtype=Name.Stamp, Rect=Array([72, 600, 272, 700]))
    made = pdf.fit(pdfs.annotated(stamp, b"0 0 200 100 re f"), careful=True)
    assert ink(made.data) > 4000
    assert made.notes == ("flattened",)


# -- verdicts


def test_a_file_that_needs_a_password_is_locked():
    """A user password locks a file out; the sender is told that it is locked, not that it is damaged."""
    source = pikepdf.open(io.BytesIO(pdfs.text("secret")))
    assert refused(pdfs.saved(source, encryption=pikepdf.Encryption(owner="a", user="b"))).reason is Reason.LOCKED


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.EMPTY),
        (b"\r\n", Reason.EMPTY),
        (b"<html>no</html>", Reason.NOT_A_PDF),
        (b"%PDF-1.4\n%%EOF", Reason.DAMAGED),
        (pdfs.by_hand([b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 0/Kids[]>>"]), Reason.DAMAGED),
        (pdfs.by_hand([b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 1/Kids[2 0 R]>>"]), Reason.DAMAGED),
    ],
)
def test_what_is_no_document_is_refused(data, reason):
    """Nothing, something else, and a PDF without a page each have their reason."""
    assert refused(data).reason is reason
    assert refused(data, careful=True).reason is reason


def test_a_file_cut_short_is_refused_unless_nothing_is_lost():
    """A PDF that lost pages on its way is refused; one that lost only its end is repaired."""
    whole = pdfs.text(*"abcd")
    assert refused(whole[: len(whole) // 2]).reason is Reason.DAMAGED
    made = pdf.fit(whole[:-30])
    assert made.pages == 4
    assert made.notes == ("repaired",)


def test_junk_around_a_file_is_survived():
    """Bytes before %PDF- (a scanner's) and after the end (a list's footer) do no harm."""
    made = pdf.fit(b"HTTP/1.1 200 OK\r\n\r\n" + pdfs.text("a", "b") + b"\n-- \nsent to a list" * 20)
    assert made.pages == 2


def test_a_count_that_lies_is_not_believed():
    """/Count says 9, one page exists: one page is faxed."""
    assert pdf.fit(pdfs.text("one").replace(b"/Count 1", b"/Count 9")).pages == 1


def test_too_many_pages_are_refused_with_their_number():
    """The refusal names how many pages there are and how many are allowed."""
    verdict = refused(pdfs.text(*"abc"), max_pages=2)
    assert (verdict.reason, verdict.detail) == (Reason.TOO_MANY_PAGES, {"pages": 3, "limit": 2})
    assert pdf.fit(pdfs.text(*"abc"), max_pages=3).pages == 3


@pytest.mark.parametrize(("dynamic", "faxed"), [(True, False), (False, True)])
def test_a_form_only_adobe_can_draw_is_refused(dynamic, faxed):
    """Of a dynamic XFA form the pages hold nothing but "Please wait": refused. A static one has its pages."""
    source = pdfs.empty()
    pdfs.page(source, pdfs.words("Please wait..."))
    source.Root.AcroForm = Dictionary(Fields=Array([]), XFA=Stream(source, b"<xdp:xdp/>"))
    if dynamic:
        source.Root.NeedsRendering = True
    data = pdfs.saved(source)
    if faxed:
        assert pdf.fit(data).pages == 1
    else:
        assert refused(data).reason is Reason.DYNAMIC_FORM


def test_a_page_whose_content_is_damaged_becomes_a_picture():
    """Where qpdf cannot decode a page, what PDFium can still draw of it is faxed as a picture, and said so."""
    source = pdfs.empty()
    numbers = random.Random(0)
    squares = b"".join(b"%d %d 40 40 re f\n" % (numbers.randrange(600), numbers.randrange(780)) for _ in range(900))
    pdfs.page(source, squares)
    data = bytearray(pdfs.saved(source, compress_streams=True))
    start, end = data.index(b"stream\n") + 7, data.index(b"\nendstream")
    middle = (start + end) // 2
    data[middle : middle + 40] = b"\xff" * 40
    made = pdf.fit(bytes(data))
    assert "rastered" in made.notes
    assert ink(made.data) > 20_000


def test_documents_are_joined_in_order():
    """Several documents become one, all pages, in the order of the mail."""
    parts = [pdf.fit(pdfs.text(*names)).data for names in ("ab", "c", "de")]
    joined = pdf.join(parts)
    with pypdfium2.PdfDocument(joined) as document:
        assert [document[n].get_textpage().get_text_range() for n in range(5)] == list("abcde")
    assert pdf.join(parts[:1]) is parts[0]


# -- as a fax


def test_the_preview_is_what_a_fax_receives():
    """Page 1 at 204 x 196 dpi, one bit a dot, as a small PNG."""
    png = raster.preview(pdf.fit(pdfs.text("Preview")).data)
    picture = raster.Image.open(io.BytesIO(png))
    assert (picture.format, picture.mode, picture.size) == ("PNG", "1", (1728, 2156))
    assert len(png) < 10_000
    left, _, _, bottom = picture.convert("L").point(lambda value: 255 - value).getbbox()
    assert left == pytest.approx(72 / 612 * 1728, abs=10)
    assert bottom == pytest.approx((792 - 700) / 792 * 2156, abs=15)
