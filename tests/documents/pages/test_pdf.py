"""pdf and inspection: what is left out, which files are refused and why, joining, and the preview."""

import io
import random
import re
import shutil
import subprocess

import pikepdf
import pypdfium2
import pytest
from pikepdf import Array, Dictionary, Name, Stream, String

from mail2fax.documents.pages import fit, inspection, raster
from mail2fax.model import Permanent, Reason
from tests.support import pdfs


def refused(data: bytes, **how) -> Permanent:
    with pytest.raises(Permanent) as caught:
        fit.fit(data, **how)
    return caught.value


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
    made = fit.fit(pdfs.saved(source))
    for word in (b"JavaScript", b"/AA", b"OpenAction", b"Metadata", b"Author", b"secret", b"Annots", b"URI", b"OPI"):
        assert word not in made.data
    assert pdfs.shown(made.data) == "clean"
    with pikepdf.open(io.BytesIO(made.data)) as result:
        assert set(result.pages[0].obj.keys()) == {"/Type", "/MediaBox", "/Resources", "/Contents", "/Parent"}


def test_a_stream_in_another_file_is_not_read():
    """A content stream that points at a file of the server's draws nothing and is not passed on."""
    data = pdfs.by_hand(
        [
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Count 1/Kids[3 0 R]>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents[4 0 R 5 0 R]>>",
            pdfs.stream(b"", b"/F(/etc/passwd)"),
            pdfs.stream(b"72 72 72 72 re f"),
        ]
    )
    made = fit.fit(data)
    assert b"passwd" not in made.data
    assert pdfs.black(made.data) == (72, 648, 144, 720)


def test_the_result_is_for_any_reader():
    """PDF 1.7, no object or cross-reference streams, no encryption, and the same bytes for the same file."""
    source = pikepdf.open(io.BytesIO(pdfs.text("Hello", "again")))
    locked = pdfs.saved(
        source, encryption=pikepdf.Encryption(owner="boss", user="", allow=pikepdf.Permissions(print_lowres=False))
    )
    made = fit.fit(locked)
    assert made.data.startswith(b"%PDF-1.7")
    assert b"ObjStm" not in made.data
    assert b"/XRef" not in made.data
    assert b"/Encrypt" not in made.data
    assert re.search(rb"\nxref\n", made.data)
    assert fit.fit(locked).data == made.data


@pytest.mark.skipif(not shutil.which("qpdf"), reason="no qpdf")
def test_a_broken_picture_does_not_reach_the_converter(tmp_path):
    """A stream that cannot be decoded is taken out, and the file passes qpdf --check; a sound one beside it stays."""
    source = pdfs.empty()
    page = pdfs.page(source, pdfs.words("sound") + b"q 100 0 0 100 0 0 cm /I Do Q")
    broken = Stream(source, b"no deflated data", Type=Name.XObject, Subtype=Name.Image, Width=10, Height=10)
    broken.Filter, broken.BitsPerComponent, broken.ColorSpace = Name.FlateDecode, 8, Name.DeviceGray
    page.obj.Resources.XObject = Dictionary(I=broken)
    made = fit.fit(pdfs.saved(source))
    file = tmp_path / "made.pdf"
    file.write_bytes(made.data)
    checked = subprocess.run(["qpdf", "--check", file], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert pdfs.ink(made.data) > 20


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
        (pdfs.by_hand([b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 0/Kids[]>>"]), Reason.EMPTY),
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
    made = fit.fit(whole[:-30])
    assert made.pages == 4
    assert made.notes == ("repaired",)


def test_a_page_that_pdfium_cannot_load_is_damage(monkeypatch):
    """qpdf has nothing to say against the file, and /Count is right: still every page must be there for PDFium too."""
    load = inspection.pdfium.FPDF_LoadPage
    monkeypatch.setattr(inspection.pdfium, "FPDF_LoadPage", lambda opened, n: None if n == 1 else load(opened, n))
    assert refused(pdfs.text("a", "b")).reason is Reason.DAMAGED


def test_what_looks_the_same_is_the_same():
    """A page is compared with itself as with its copy: nothing differs, and its ink is counted once."""
    page = raster.Image.new("L", (20, 20), 255)
    page.paste(55, (5, 5, 10, 10))
    same = raster.compare(page, page.copy())
    assert (same.difference, same.darkest, same.ink_before, same.ink_after) == (0, 200, 12.5, 12.5)
    gone = raster.compare(page, raster.Image.new("L", (20, 20), 255))
    assert gone.lost and not same.lost and not same.blank


def test_junk_around_a_file_is_survived():
    """Bytes before %PDF- (a scanner's) and after the end (a list's footer) do no harm."""
    made = fit.fit(b"HTTP/1.1 200 OK\r\n\r\n" + pdfs.text("a", "b") + b"\n-- \nsent to a list" * 20)
    assert made.pages == 2


def test_a_count_that_lies_is_not_believed():
    """/Count says 9, one page exists: one page is faxed."""
    assert fit.fit(pdfs.text("one").replace(b"/Count 1", b"/Count 9")).pages == 1


def test_too_many_pages_are_refused_with_their_number():
    """The refusal names how many pages there are and how many are allowed."""
    verdict = refused(pdfs.text(*"abc"), max_pages=2)
    assert (verdict.reason, verdict.detail) == (Reason.TOO_MANY_PAGES, {"pages": 3, "limit": 2})
    assert fit.fit(pdfs.text(*"abc"), max_pages=3).pages == 3


@pytest.mark.parametrize(
    ("dynamic", "fields", "faxed"), [(True, [], False), (True, [1], False), (False, [1], True), (False, [], False)]
)
def test_a_form_only_adobe_can_draw_is_refused(dynamic, fields, faxed):
    """Of a dynamic XFA form the page holds nothing but "Please wait": refused. A static one has fields, and its pages."""
    source = pdfs.empty()
    pdfs.page(source, pdfs.words("Please wait..."))
    source.Root.AcroForm = Dictionary(
        Fields=Array(source.make_indirect(Dictionary(T=str(field))) for field in fields),
        XFA=Stream(source, b"<xdp:xdp/>"),
    )
    if dynamic:
        source.Root.NeedsRendering = True
    data = pdfs.saved(source)
    if faxed:
        assert fit.fit(data).pages == 1
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
    made = fit.fit(bytes(data))
    assert {"rastered", "damaged"} <= set(made.notes)
    assert pdfs.ink(made.data) > 20_000


def test_a_wrong_sum_alone_is_no_damage():
    """Some programs write none, or another: every reader shows the whole page, and so does the fax."""
    source = pdfs.empty()
    pdfs.page(source, pdfs.words("whole"))
    data = bytearray(pdfs.saved(source, compress_streams=True))
    end = data.index(b"\nendstream")
    data[end - 4 : end] = bytes(4)
    made = fit.fit(bytes(data))
    assert made.notes == () and "whole" in pdfs.shown(made.data)


def test_documents_are_joined_in_order():
    """Several documents become one, all pages, in the order of the mail."""
    parts = [fit.fit(pdfs.text(*names)).data for names in ("ab", "c", "de")]
    joined = fit.join(parts)
    with pypdfium2.PdfDocument(joined) as document:
        assert [document[n].get_textpage().get_text_range() for n in range(5)] == list("abcde")
    assert fit.join(parts[:1]) is parts[0]


# -- as a fax


def test_the_preview_is_what_a_fax_receives():
    """Page 1 at 204 x 196 dpi, one bit a dot, as a small PNG."""
    png = raster.preview(fit.fit(pdfs.text("Preview")).data)
    picture = raster.Image.open(io.BytesIO(png))
    assert (picture.format, picture.mode, picture.size) == ("PNG", "1", (1728, 2156))
    assert len(png) < 10_000
    left, _, _, bottom = picture.convert("L").point(lambda value: 255 - value).getbbox()
    assert left == pytest.approx(72 / 612 * 1728, abs=10)
    assert bottom == pytest.approx((792 - 700) / 792 * 2156, abs=15)
