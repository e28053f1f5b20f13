"""legibility: what a fax would lose is made black, what is fine is not touched, and nothing moves."""

import functools
import io
import shutil
import subprocess
from pathlib import Path

import pikepdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pikepdf import Array, Dictionary, Name, Stream
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from mail2fax.documents.legibility import ready
from mail2fax.documents.pages import fit, raster, typeset
from mail2fax.documents.pages.fax_code import Ink
from mail2fax.documents.pages.pdfium import Document
from tests.support import pdfs

GOLDEN = Path(__file__).parent / "golden"
LINE = b"0 g BT /F1 12 Tf 72 700 Td (The quick brown fox) Tj ET "


def made(content: bytes, pages: str = "auto", **resources) -> fit.Sheets:
    """A page of this content, made ready."""
    return ready.make_ready(laid(content, **resources), pages)


def laid(content: bytes, **resources) -> fit.Sheets:
    pdf = pdfs.empty()
    sheet = pdfs.page(pdf, content)
    for kind, held in resources.items():
        sheet.obj.Resources[f"/{kind}"] = held(pdf) if callable(held) else held
    return fit.fit(pdfs.saved(pdf))


def dots(sheets: fit.Sheets, page: int = 0) -> Image.Image:
    """The page as a fax receives it."""
    with Document(sheets.data) as document, document.page(page) as drawn:
        return raster.fax(drawn)


def same(one: fit.Sheets, other: fit.Sheets) -> bool:
    return ImageChops.difference(dots(one).convert("L"), dots(other).convert("L")).getbbox() is None


def alpha(level: float) -> Dictionary:
    return Dictionary(A=Dictionary(Type=Name.ExtGState, ca=level, CA=level))


@pytest.mark.parametrize(
    "content",
    [
        LINE,
        LINE + b"1 g 0 0 10 10 re f 0 0 0 RG 72 600 m 500 600 l S",
        b"0 0 0 1 k BT /F1 12 Tf 72 700 Td (Black of four inks) Tj ET",
        b"",
        b"0 g 72 600 200 40 re f 1 g BT /F1 12 Tf 80 610 Td (White on black) Tj ET",
    ],
)
def test_a_page_that_is_fine_is_not_touched(content):
    """Black and white, drawn: the very same bytes."""
    before = laid(content)
    assert ready.make_ready(before, "auto").data == before.data


@pytest.mark.parametrize(
    "colour", [b"0.4 g", b"0.8 g", b"0.1 0.2 0.8 rg", b"1 0.6 0 rg", b"0.95 0.9 0.1 rg", b"0 0 1 0 k"]
)
def test_coloured_text_becomes_black(colour):
    """To the dot as if it had been black from the beginning: not thinner, not elsewhere."""
    sheets = made(LINE.replace(b"0 g", colour))
    assert same(sheets, laid(LINE))
    assert "darkened" in sheets.notes


@pytest.mark.parametrize("width", [0, 0.1, 0.5, 2])
def test_grey_lines_become_black(width):
    """Hairlines too, drawn or as thin boxes."""
    line = b"%f w 72 500 m 500 500 l S 72 400 m 300 450 l S 72 300 400 0.4 re f"
    assert same(made(b"0.75 G 0.7 g " + line % width), laid(b"0 G 0 g " + line % width))


@pytest.mark.parametrize("tint", [b"0.85 g", b"1 1 0.6 rg", b"0.6 0.7 1 rg"])
def test_a_tint_under_text_becomes_white(tint):
    """And the text on it is as if there had been none."""
    assert same(made(tint + b" 60 690 400 30 re f " + LINE), laid(LINE))


@pytest.mark.parametrize("ground", [b"0.1 0.2 0.5 rg", b"0.9 0.6 0.2 rg", b"0.45 g"])
@pytest.mark.parametrize("words", [b"1 g", b"0.97 g"])
def test_white_on_dark_stays_white_on_black(ground, words):
    """Even on orange, of which a converter would make grey."""
    page = b" 60 690 400 30 re f "
    assert same(made(ground + page + LINE.replace(b"0 g", words)), laid(b"0 g" + page + LINE.replace(b"0 g", b"1 g")))


def test_a_sheer_highlight_does_not_hide_what_is_under_it():
    """It was painted over the text; as opaque white it would cover it."""
    marked = LINE + b"/A gs 1 1 0 rg 60 690 400 30 re f"
    assert same(made(marked, ExtGState=alpha(0.4)), laid(LINE))


def test_sheer_text_becomes_black():
    """Its alpha is no reason for a converter to dither it."""
    assert same(made(b"/A gs " + LINE, ExtGState=alpha(0.3)), laid(LINE))


def test_a_form_within_the_page_is_read_too():
    """With the colour that it inherits."""

    def form(pdf):
        font = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica)
        inner = Stream(
            pdf, LINE.replace(b"0 g ", b""), Type=Name.XObject, Subtype=Name.Form, BBox=Array([0, 0, 612, 792])
        )
        inner.Resources = Dictionary(Font=Dictionary(F1=font))
        return Dictionary(Inner=pdf.make_indirect(inner))

    assert same(made(b"0.7 g /Inner Do", XObject=form), made(b"0 g /Inner Do", XObject=form))


def test_a_colour_with_a_function_is_asked_for():
    """A spot colour is as light as what PDFium paints for it."""

    def spaces(pdf):
        function = Dictionary(FunctionType=2, Domain=[0, 1], C0=[1, 1, 1], C1=[1, 0.8, 0.2], N=1)
        return Dictionary(Spot=Array([Name.Separation, Name.Sun, Name.DeviceRGB, pdf.make_indirect(function)]))

    sheets = made(LINE.replace(b"0 g", b"/Spot cs 1 scn"), ColorSpace=spaces)
    assert same(sheets, laid(LINE))


def test_white_text_on_paper_stays_invisible():
    """Nobody saw it in the original."""
    hidden = LINE.replace(b"0 g", b"1 g")
    assert same(made(hidden + b"0.5 g 72 300 300 0.5 re f"), laid(b"0 g 72 300 300 0.5 re f"))


def test_areas_without_words_keep_their_order():
    """The bars of a chart: the darker one is the darker one after, and none is all black or gone."""
    shares = []
    for level in (0.8, 0.6, 0.35):
        picture = dots(made(b"%f g 100 300 80 300 re f" % level))
        share = 1 - sum(picture.crop((290, 540, 500, 1330)).convert("L").histogram()[128:]) / (210 * 790)
        shares.append(share)
    assert 0.02 < shares[0] < shares[1] < shares[2] < 0.7


def test_a_watermark_does_not_cover_the_words():
    """Large, slanting, pale: it becomes lines, and what is written over it stays legible."""
    mark = b"0.8 g BT /F1 110 Tf 0.7 0.7 -0.7 0.7 120 200 Tm (COPY) Tj ET "
    assert sum(dots(made(mark)).convert("L").histogram()[:128]) < 0.2 * sum(
        dots(laid(mark.replace(b"0.8 g", b"0 g"))).convert("L").histogram()[:128]
    )


def test_what_is_too_much_to_read_is_faxed_as_it_is():
    """A drawing of a million strokes is nobody's letter, and costs no time here."""
    before = laid(b"0.5 G " + b"1 1 m 2 2 l S " * 30_000)
    assert ready.make_ready(before, "auto").data == before.data


def test_as_is_changes_nothing_and_tells_what_is_pale():
    """The sender learns of what a fax may not show."""
    before = laid(LINE.replace(b"0 g", b"0.8 g") + LINE.replace(b"0 g", b"0.8 g"))
    after = ready.make_ready(before, "as-is")
    assert after.data == before.data
    assert after.notes == ("pale",)


def test_mono_is_one_picture_a_page():
    """Nothing is left to a converter, and it looks the same."""
    before = laid(LINE)
    after = ready.make_ready(before, "mono")
    with pikepdf.open(io.BytesIO(after.data)) as pdf:
        assert [str(page.obj.Resources.XObject.Fax0.Subtype) for page in pdf.pages] == ["/Image"]
    assert same(after, before)


@pytest.mark.parametrize(
    ("contents", "note"),
    [
        ([LINE.replace(b"12 Tf", b"5 Tf") * 2, LINE], "small-print:1"),
        ([LINE, b"", LINE], "blank:2"),
        ([b"0.2 g 0 0 612 792 re f 1 g BT /F1 12 Tf 72 700 Td (White on dark all over) Tj ET", LINE], "black-page:1"),
        ([LINE, b"BT /F1 12 Tf -1 0 0 -1 300 300 Tm (Turned on its head) Tj ET"], "upside-down:2"),
    ],
)
def test_what_stays_illegible_is_told(contents, note):
    """With the page it is about."""
    pdf = pdfs.empty()
    for content in contents:
        pdfs.page(pdf, content)
    assert note in ready.make_ready(fit.fit(pdfs.saved(pdf)), "auto").notes


def _marks():
    level = st.sampled_from([0.0, 0.2, 0.5, 0.7, 0.85])
    text = st.tuples(st.just("text"), level, st.integers(6, 14))
    line = st.tuples(st.just("line"), level, st.sampled_from([0, 1, 3]))
    return st.lists(st.one_of(text, line), min_size=1, max_size=8)


@settings(max_examples=40, deadline=None)
@given(pages=st.lists(_marks(), min_size=1, max_size=3))
def test_nothing_moves_and_nothing_gets_thinner(pages):
    """Never mirrored, cut, or a page more or less: each page is, dot for dot, the same page drawn in black."""

    def drawn(marks, *, black):
        content = b""
        for row, (kind, level, size) in enumerate(marks):
            grey = 0.0 if black else level
            y = 720 - 80 * row
            if kind == "text":
                content += b"%f g BT /F1 %d Tf %d %d Td (Rows of words, R%d) Tj ET " % (
                    grey,
                    size,
                    60 + 13 * row,
                    y,
                    row,
                )
            else:
                content += b"%f G %f w %d %d m 420 %d l S " % (grey, size, 60 + 7 * row, y, y - 30)
        return content

    sheets = []
    for black in (False, True):
        pdf = pdfs.empty()
        for marks in pages:
            pdfs.page(pdf, drawn(marks, black=black))
        sheets.append(fit.fit(pdfs.saved(pdf)))
    after = ready.make_ready(sheets[0], "auto")
    assert after.pages == len(pages)
    for number in range(len(pages)):
        assert (
            ImageChops.difference(dots(after, number).convert("L"), dots(sheets[1], number).convert("L")).getbbox()
            is None
        )


# Pictures


def jpeg(pdf: pikepdf.Pdf, picture: Image.Image) -> Stream:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=90)
    space = Name.DeviceGray if picture.mode == "L" else Name.DeviceRGB
    stream = Stream(pdf, out.getvalue(), Type=Name.XObject, Subtype=Name.Image, Filter=Name.DCTDecode)
    stream.Width, stream.Height, stream.BitsPerComponent, stream.ColorSpace = picture.width, picture.height, 8, space
    return stream


def pictured(picture: Image.Image, place=(612, 0, 0, 792, 0, 0), content: bytes = b"") -> fit.Sheets:
    pdf = pdfs.empty()
    stream = jpeg(pdf, picture)
    sheet = pdfs.page(pdf, b"q %f %f %f %f %f %f cm /P Do Q " % place + content)
    sheet.obj.Resources.XObject = Dictionary(P=stream)
    return ready.make_ready(fit.fit(pdfs.saved(pdf)), "auto")


def written(paper="white", ink="black") -> Image.Image:
    """A page of strokes, the first line at the top and only on the left half."""
    picture = Image.new("RGB", (1275, 1650), paper)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((100, 100, 500, 106), fill=ink)
    for row in range(20):
        for letter in range(40):
            x, y = 100 + letter * 26, 200 + row * 60
            draw.line((x, y, x + 12, y + 24), fill=ink, width=3)
            draw.line((x + 12, y, x, y + 24), fill=ink, width=3)
    return picture


@pytest.mark.parametrize(
    ("paper", "ink"), [("white", "black"), ("#e8d8a0", "#504030"), ("#b0b0b0", "#606060"), ("#fff", "#9090c0")]
)
def test_a_scan_gets_white_paper_and_black_strokes(paper, ink):
    """Yellow, grey, or written in pale ink: the same page."""
    found = dots(pictured(written(paper, ink))).convert("L")
    whole = sum(found.histogram()[:128]) / (1728 * 2156)
    assert 0.02 < whole < 0.1
    assert found.crop((0, 1980, 1728, 2156)).getextrema() == (255, 255)  # below the last line: paper
    assert found.crop((140, 128, 670, 142)).histogram()[0] > 0.5 * 530 * 6  # the line at the top left, not mirrored
    assert found.crop((1000, 100, 1728, 200)).getextrema() == (255, 255)


def test_light_that_falls_off_leaves_no_shadow():
    """A letter under a lamp: dark paper in one corner is paper. It is told that it was a photograph."""
    light = Image.linear_gradient("L").point(lambda grey: 70 + grey * 180 // 255).resize((1275, 1650)).convert("RGB")
    sheets = pictured(ImageChops.multiply(written(), light))
    found = dots(sheets).convert("L")
    assert found.crop((0, 1980, 1728, 2156)).getextrema() == (255, 255)
    assert found.crop((0, 0, 1728, 110)).getextrema() == (255, 255)
    assert set(sheets.notes) == {"cleaned", "photographed"}


@functools.cache
def letter() -> Image.Image:
    """A letter of two dozen lines, as a scanner sees it."""
    lines = "".join(f"The tenant agrees to keep the garden and the fence clean, number {n}.\n\n" for n in range(24))
    with Document(typeset.plain("letter.txt", lines, max_pages=1)) as document, document.page(0) as page:
        return page.drawn(200 / 72)


def _small(page: Image.Image) -> Image.Image:
    whole = Image.new("L", page.size, 255)
    whole.paste(page.resize((page.width // 2, page.height // 2)), (100, 100))
    return whole


@pytest.mark.parametrize("mode", ["L", "1"])
@pytest.mark.parametrize(
    ("done", "words"),
    [
        (lambda page: page, set()),
        (lambda page: page.rotate(180), {"upside-down"}),
        (_small, {"small-print"}),
        (lambda page: page.point([255] * 256), {"blank"}),
    ],
)
def test_a_scan_is_looked_at(mode, done, words):
    """One that is upside down, of very small print or blank is told, in black and white too, which stays as it is."""
    pdf = pdfs.empty()
    scan = done(letter())
    for picture in (scan, letter()):
        stream = (
            pdf.make_indirect(raster.group4(pdf, Ink.of(picture.convert("1")))) if mode == "1" else jpeg(pdf, picture)
        )
        sheet = pdfs.page(pdf, b"612 0 0 792 0 0 cm /P Do")
        sheet.obj.Resources.XObject = Dictionary(P=stream)
    found = set(ready.make_ready(fit.fit(pdfs.saved(pdf)), "auto").notes)
    assert found - {"cleaned"} == {f"{word}:1" for word in words}


def test_white_words_on_a_dark_picture_stay_white_on_black():
    """A poster is no sheet of paper: its ground does not become white."""
    poster = ImageChops.invert(written()).point(lambda grey: 40 + grey * 200 // 255)
    found = dots(pictured(poster)).convert("L")
    assert sum(found.histogram()[:128]) > 0.8 * 1728 * 2156
    assert found.crop((140, 128, 670, 142)).histogram()[255] > 0.5 * 530 * 6


def test_a_grey_bar_that_is_a_picture_stays_to_be_seen():
    """It is no empty sheet."""
    found = dots(pictured(Image.new("L", (500, 20), 150), (400, 0, 0, 16, 100, 500))).convert("L")
    assert found.crop((300, 760, 1400, 790)).histogram()[0] > 0.2 * 1100 * 30


def test_a_photograph_keeps_its_tones():
    """A scene becomes dots, as dark on the whole as it was; no line of it is cut."""
    scene = Image.radial_gradient("L").resize((900, 600)).convert("L")
    scene = ImageChops.add(scene, Image.linear_gradient("L").resize((900, 600)), 2)
    ImageDraw.Draw(scene).ellipse((200, 100, 500, 400), fill=60)
    sheets = pictured(scene.filter(ImageFilter.GaussianBlur(12)), (400, 0, 0, 300, 100, 300))
    assert sheets.notes == ("screened",)
    found = dots(sheets).convert("L")
    dark, light = found.crop((600, 900, 700, 1000)), found.crop((300, 1250, 330, 1300))
    assert sum(dark.histogram()[:128]) / 10_000 > sum(light.histogram()[:128]) / 1_500


@pytest.mark.parametrize(
    "place", [(612, 0, 0, 792, 0, 0), (-612, 0, 0, 792, 612, 0), (0, 792, -612, 0, 612, 0), (300, 0, 0, -400, 100, 600)]
)
def test_a_picture_stays_as_it_was_placed(place):
    """Mirrored, turned or shrunk by its matrix: the ink is where it was."""
    before = pdfs.empty()
    out = io.BytesIO()
    written().save(out, "JPEG", quality=95)
    stream = Stream(before, out.getvalue(), Type=Name.XObject, Subtype=Name.Image, Filter=Name.DCTDecode)
    stream.Width, stream.Height, stream.BitsPerComponent, stream.ColorSpace = 1275, 1650, 8, Name.DeviceRGB
    sheet = pdfs.page(before, b"%f %f %f %f %f %f cm /P Do" % place)
    sheet.obj.Resources.XObject = Dictionary(P=stream)
    old = dots(fit.fit(pdfs.saved(before))).convert("L").reduce(8)
    new = dots(pictured(written(), place)).convert("L").reduce(8)
    soft = ImageFilter.BoxBlur(3)
    assert ImageChops.difference(old.filter(soft), new.filter(soft)).getextrema()[1] < 70


def test_words_on_a_scan_become_black():
    """What was typed in grey over yellowed paper, which is white now."""
    typed = LINE.replace(b"0 g", b"0.6 g").replace(b"72 700", b"72 20")
    found = dots(pictured(written("#e8d8a0", "#504030"), content=typed)).convert("L")
    words = dots(laid(LINE.replace(b"72 700", b"72 20"))).convert("L")
    below = (0, 2050, 1728, 2156)
    assert ImageChops.difference(found.crop(below), words.crop(below)).getbbox() is None


def test_a_sheet_in_strips_is_one_sheet():
    """Some scanners' PDFs have a page in several pictures: those with nothing on them are paper, too."""
    pdf = pdfs.empty()
    whole = written("#e8d8a0", "#504030")
    whole.paste("#e8d8a0", (0, 0, 1275, 165))
    sheet = pdfs.page(pdf, b"")
    strips, content = Dictionary(), b""
    for number in range(10):
        strips[f"/S{number}"] = jpeg(pdf, whole.crop((0, 165 * number, 1275, 165 * (number + 1))))
        content += b"q 612 0 0 79.2 0 %f cm /S%d Do Q " % (792 - 79.2 * (number + 1), number)
    sheet.obj.Resources.XObject, sheet.obj.Contents = strips, pdf.make_stream(content)
    sheets = ready.make_ready(fit.fit(pdfs.saved(pdf)), "auto")
    assert sheets.notes == ("cleaned",)
    assert dots(sheets).convert("L").crop((0, 1980, 1728, 2156)).getextrema() == (255, 255)


@pytest.mark.skipif(not shutil.which("gs"), reason="ghostscript, which HylaFAX converts with, is not installed")
@pytest.mark.parametrize("place", [(612, 0, 0, 792, 0, 0), (400, 0, 0, 517, 100.3, 150.7)])
def test_a_converter_puts_every_dot_where_it_is(place, tmp_path):
    """As HylaFAX calls it: no row or column is drawn twice or left out."""
    sheets = pictured(written(), place)
    (tmp_path / "fax.pdf").write_bytes(sheets.data)
    command = ("gs", "-q", "-dBATCH", "-dNOPAUSE", "-sDEVICE=tiffg4", "-r203.29x196", "-g1728x2156", "-dFIXEDMEDIA")
    subprocess.run([*command, "-sOutputFile=fax.tif", "fax.pdf"], cwd=tmp_path, check=True, timeout=60)
    with Image.open(tmp_path / "fax.tif") as arrived:
        assert ImageChops.difference(arrived.convert("L"), dots(sheets).convert("L")).getbbox() is None


def test_a_logo_lets_through_what_is_behind_it():
    """A picture with a mask is painted as ink alone."""

    def logo(pdf):
        shape = Stream(pdf, bytes([255] * 50 + [0] * 50), Type=Name.XObject, Subtype=Name.Image)
        picture = Stream(pdf, bytes([90] * 100), Type=Name.XObject, Subtype=Name.Image)
        for one in (shape, picture):
            one.Width, one.Height, one.BitsPerComponent, one.ColorSpace = 10, 10, 8, Name.DeviceGray
        picture.SMask = pdf.make_indirect(shape)
        return Dictionary(P=pdf.make_indirect(picture))

    found = dots(made(LINE + b"q 300 0 0 300 60 500 cm /P Do Q", XObject=logo)).convert("L")
    words = dots(laid(LINE)).convert("L").crop((180, 220, 1000, 260))
    assert words.getextrema() == (0, 255)
    assert found.crop((200, 700, 700, 790)).getextrema()[1] == 255


# The page with everything, as it is printed


def everything() -> bytes:
    """Greys, colours, hairlines, tints, white on dark, a chart and a watermark."""
    content = b"0.85 g BT /F1 120 Tf 0.7 0.7 -0.7 0.7 150 150 Tm (COPY) Tj ET "
    for row, level in enumerate((0, 0.3, 0.5, 0.7, 0.85)):
        content += b"%f g BT /F1 11 Tf 60 %d Td (Grey of %d, 0123456789) Tj ET " % (level, 740 - 18 * row, level * 100)
    for row, colour in enumerate((b"0.9 0.1 0.1", b"0.1 0.3 0.8", b"1 0.6 0", b"0.9 0.9 0.1")):
        content += b"%s rg BT /F1 11 Tf 320 %d Td (Of a colour, 0123456789) Tj ET " % (colour, 740 - 18 * row)
    content += b"0.1 0.2 0.5 rg 60 600 490 26 re f 1 g BT /F1 12 Tf 70 608 Td (A dark heading) Tj ET "
    for row in range(4):
        content += b"%f g 60 %d 490 20 re f " % (0.88 if row % 2 else 1, 576 - 20 * row)
        content += b"0.2 g BT /F1 10 Tf 70 %d Td (Row %d of a table) Tj ET " % (582 - 20 * row, row)
    content += b"0.7 G 0.2 w " + b"".join(b"60 %d m 550 %d l S " % (480 - 20 * n, 480 - 20 * n) for n in range(4))
    for bar, level in enumerate((0.9, 0.75, 0.55, 0.3, 0.1)):
        content += b"%f g %d 120 60 %d re f " % (level, 60 + 80 * bar, 80 + 40 * bar)
    return content


def test_the_page_with_everything_is_printed_as_before():
    """The golden page: a person looked at it. Removed, it is written anew, to be looked at again."""
    printed = dots(made(everything()))
    golden = GOLDEN / "everything.png"
    if not golden.exists():
        golden.parent.mkdir(exist_ok=True)
        printed.save(golden, optimize=True)
    with Image.open(golden) as expected:
        assert ImageChops.difference(printed.convert("L"), expected.convert("L")).getbbox() is None


def test_pale_text_that_was_made_black_is_not_called_nothing():
    """A page is blank if it is so as it will be faxed."""
    pale = pdfs.empty()
    for content in LINE.replace(b"0 g", b"0.95 g"), b"", LINE.replace(b"0 g", b"0.9 g"):
        pdfs.page(pale, content)
    assert ready.make_ready(fit.fit(pdfs.saved(pale)), "auto").notes == ("blank:2", "darkened:1,3")
    assert made(LINE.replace(b"0 g", b"0.95 g")).notes == ("darkened",)
    assert made(LINE.replace(b"0 g", b"0.95 g"), "as-is").notes == ("all-blank",)
    assert made(b"").notes == made(LINE.replace(b"0 g", b"0.999 g")).notes == ("all-blank",)
