"""Pages far longer than paper are cut at blank rows into pages that can be read, as long pictures are."""

import tracemalloc

import pytest
from pikepdf import Array, Dictionary, Name, Stream
from PIL import Image

from mail2fax.documents.legibility import ready
from mail2fax.documents.pages import fit
from mail2fax.documents.pages.pdfium import Document
from mail2fax.model import Permanent, Reason
from tests.support import pdfs

WIDTH, HEIGHT, LINE = 164, 5669, 11  # a till's roll: 58 mm x 2 m


def receipt(lines: int, look: bytes = b"0 g ", **keys) -> bytes:
    """Its lines begin with that look; a letter follows."""
    pdf = pdfs.empty()
    words = (pdfs.words(f"Coffee {n}", x=8, y=HEIGHT - 20 - n * LINE, size=9) for n in range(lines))
    pdfs.page(pdf, look + b"".join(words), box=(0, 0, WIDTH, HEIGHT), **keys)
    pdfs.page(pdf, pdfs.words("A letter"))
    return pdfs.saved(pdf)


def rows(made: fit.Sheets) -> list[int]:
    """How many rows of text stand on each page: stretches of rows with ink."""
    found = []
    with Document(made.data) as document:
        for index in range(document.count):
            with document.page(index) as page:
                drawn = page.drawn(2)
            dark = [drawn.crop((0, y, drawn.width, y + 1)).getextrema()[0] < 128 for y in range(drawn.height)]
            found.append(sum(now and not before for before, now in zip([False, *dark], dark, strict=False)))
    return found


def test_a_receipt_is_cut_between_its_lines():
    """In its true size, each line once, on a page it does not share with the next document; its blank end is no page."""
    made = fit.fit(receipt(300))
    assert made.notes == ("cut",)
    found = rows(made)
    assert sum(found[:-1]) == 300
    assert found[-1] == 1
    assert made.pages == 300 * LINE // 792 + 2


def test_a_long_page_stays_whole_where_pages_keep_their_size():
    """With [documents] page_size = "keep" nothing is made smaller, so nothing is cut."""
    assert fit.fit(receipt(300), page_size="keep").pages == 2


def test_the_pieces_count_as_pages():
    """The limit holds for what is faxed."""
    with pytest.raises(Permanent) as caught:
        fit.fit(receipt(300), max_pages=4)
    assert (caught.value.reason, caught.value.detail["limit"]) == (Reason.TOO_MANY_PAGES, 4)


def test_an_empty_roll_is_one_blank_page():
    """Nothing is made of nothing."""
    made = fit.fit(receipt(0))
    assert (made.pages, made.notes) == (2, ("tiny", "blank"))


@pytest.mark.parametrize("look", [b"0.91 g ", b"0.98 g "])
def test_pale_writing_is_kept_whole(look):
    """It is made black later: nothing of it is taken for paper, and no cut goes through it."""
    found = rows(ready.make_ready(fit.fit(receipt(450, look)), "auto"))
    assert sum(found[:-1]) == 450
    assert len(found) == 450 * LINE // 792 + 2


def test_the_noise_of_a_scan_is_paper():
    """A long scan is cut between its lines, not a little above the cut once more."""
    picture = Image.effect_noise((328, 4000), 4).point(lambda grey: min(255, grey + 122))
    for top in range(20, 3000, 30):
        picture.paste(20, (20, top, 300, top + 16))
    pdf = pdfs.empty()
    scan = Stream(pdf, picture.tobytes(), Type=Name.XObject, Subtype=Name.Image, Width=328, Height=4000)
    scan.BitsPerComponent, scan.ColorSpace = 8, Name.DeviceGray
    resources = Dictionary(XObject=Dictionary(Scan=pdf.make_indirect(scan)))
    pdfs.page(pdf, b"164 0 0 2000 0 0 cm /Scan Do", box=(0, 0, 164, 2000), Resources=resources)
    assert sum(rows(fit.fit(pdfs.saved(pdf)))) == len(range(20, 3000, 30))


def test_a_note_on_a_cut_page_is_told():
    """As on any other page: it is not drawn, and the sender learns of it."""
    note = Dictionary(Type=Name.Annot, Subtype=Name.Text, Rect=Array([0, 0, 50, 50]), Contents="Call back")
    assert fit.fit(receipt(300, Annots=Array([note]))).notes == ("unmarked", "cut")


def test_a_page_however_large_takes_little_memory_to_cut():
    """Its drawing is bounded by dots, and not by rows alone."""
    pdf = pdfs.empty()
    pdfs.page(pdf, pdfs.words("Far", x=8, y=49_000, size=900), box=(0, 0, 20_000, 50_010))
    data = pdfs.saved(pdf)
    tracemalloc.start()
    try:
        fit.fit(data)
        assert tracemalloc.get_traced_memory()[1] < 200e6
    finally:
        tracemalloc.stop()
