"""Large scans are put small before a page is sketched: the sketch stays what it was, and nothing of it is faxed."""

import io

import pikepdf
import pytest
from pikepdf import Name, Stream
from PIL import Image, ImageDraw

from mail2fax.documents.pages import fit, inspection, raster, small_pictures
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
