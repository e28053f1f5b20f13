"""Large scans are put small before a page is sketched: the sketch stays what it was, and nothing of it is faxed."""

import io

import pikepdf
import pytest
from pikepdf import Name, Stream
from PIL import Image, ImageChops, ImageDraw

from mail2fax.documents.pages import fax_code, fit, inspection, raster, small_pictures
from mail2fax.documents.pages.fax_code import Ink
from mail2fax.documents.pages.pdfium import Document
from tests.support import pdfs


def scan(mode: str) -> Image.Image:
    picture = Image.new("L", (1700, 2200), 255)
    draw = ImageDraw.Draw(picture)
    for row in range(100, 2000, 50):
        draw.rectangle((150, row, 300 + row % 700, row + 22), fill=20)
    return picture.convert(mode)


def pdf_of(mode: str, **keys) -> bytes:
    out = io.BytesIO()
    scan(mode).save(out, "PDF", resolution=200)
    if not keys:
        return out.getvalue()
    with pikepdf.open(out) as pdf:
        for thing in pdf.objects:
            if isinstance(thing, Stream) and thing.get("/Subtype") == Name.Image:
                for key, value in keys.items():
                    thing[f"/{key}"] = value(pdf)
        return pdfs.saved(pdf)


def white_mask(pdf: pikepdf.Pdf) -> pikepdf.Object:
    """A mask that hides the whole picture."""
    keys = {"Width": 1, "Height": 1, "BitsPerComponent": 8, "ColorSpace": Name.DeviceGray}
    return pdf.make_indirect(Stream(pdf, b"\0", Type=Name.XObject, Subtype=Name.Image, **keys))


@pytest.mark.parametrize("mode", ["L", "RGB", "1"])
def test_a_sketch_looks_the_same(mode):
    """Drawn from the small picture or from the whole one, again and again."""
    source = inspection.inspect(pdf_of(mode), max_pages=9)
    for _ in range(5):
        small = small_pictures.SmallPictures(source.pdf)
        with Document(source.data) as document, document.page(0) as page:
            before = raster.sketch(page, source.geometries[0])
            small.put(page.raw)
            after = raster.sketch(page, source.geometries[0])
        seen = raster.compare(before, after)
        assert seen.ink_after == pytest.approx(seen.ink_before, rel=0.1)
        assert not seen.lost
        assert not seen.blank


def test_a_masked_picture_is_drawn_as_it_is():
    """What hides a part of a picture would be lost with its bytes put small."""
    data = pdf_of("L", SMask=white_mask)
    assert fit.fit(data).notes == ("all-blank",)


def test_a_page_that_becomes_a_picture_is_drawn_whole(monkeypatch):
    """Should a page have lost ink, the picture that stands in for it has every dot of the scan."""
    monkeypatch.setattr(raster.Comparison, "lost", property(lambda _: True))
    made = fit.fit(pdf_of("L"))
    assert made.notes == ("rastered",)
    with pikepdf.open(io.BytesIO(made.data)) as pdf:
        stand_in = pikepdf.PdfImage(pdf.pages[0].Resources.XObject.Fax0).as_pil_image().convert("L")
    clear = stand_in.crop((0, 0, 1700, 90)).getextrema()
    bar = stand_in.crop((160, 102, 300, 114)).histogram()
    assert clear == (255, 255)
    assert bar[0] > 0.85 * sum(bar)


@pytest.mark.parametrize("black_is_one", [False, True])
def test_the_code_of_fax_machines_is_read_as_pdfium_reads_it(black_is_one):
    """Dot for dot, whichever way round; and what is not the plain sort is left to PDFium."""
    paper = scan("1")
    pdf = pikepdf.Pdf.new()
    picture = raster.group4(pdf, Ink.of(paper))
    picture.DecodeParms.BlackIs1 = black_is_one
    how = fax_code.group4(picture)
    seen = how.decoded(picture.read_raw_bytes()).convert("L")
    meant = ImageChops.invert(paper.convert("L")) if black_is_one else paper.convert("L")
    assert ImageChops.difference(seen, meant).getbbox() is None
    for key, value in {"Columns": 1700, "K": 4, "EncodedByteAlign": True}.items():
        odd = pikepdf.Stream(pdf, b"", **picture.stream_dict.as_dict())
        odd.DecodeParms = pikepdf.Dictionary({**picture.DecodeParms.as_dict(), f"/{key}": value})
        assert fax_code.group4(odd) is None


def test_a_dark_scan_is_told_without_drawing_it_again():
    """How dark each page is stands in what `fit` made: 0 white, 1 all black, whatever the size of the paper."""
    pdf = pdfs.empty()
    for height in (792, 396):
        pdfs.page(pdf, b"0 0 612 %d re f" % height)
    assert fit.fit(pdfs.saved(pdf)).darkness == pytest.approx((1.0, 0.5), abs=0.02)
    pdf.pages[0].obj.MediaBox = [0, 0, 300, 300]
    assert fit.fit(pdfs.saved(pdf), page_size="keep").darkness[0] == pytest.approx(1.0, abs=0.03)
