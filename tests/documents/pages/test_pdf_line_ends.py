"""Scans whose line ends were changed on their way: restored where that can be proved, refused where bytes are lost."""

import io
import random
import re

import pikepdf
import pytest
from PIL import Image, ImageDraw

from mail2fax.documents.pages import fit
from mail2fax.model import Permanent, Reason
from tests.support import pdfs


def scan(mode: str) -> Image.Image:
    """A page full of short lines, as uneven as writing."""
    chance = random.Random(7)
    picture = Image.new("L", (1728, 2200), 255)
    draw = ImageDraw.Draw(picture)
    for row in range(60, 2140, 40):
        at = 60
        while at < 1600:
            long = chance.randint(3, 40)
            draw.line((at, row + chance.randint(-9, 9), at + long, row + chance.randint(-9, 9)), fill=0, width=3)
            at += long + chance.randint(2, 30)
    return picture.convert(mode)


def pdf_of(mode: str) -> bytes:
    out = io.BytesIO()
    scan(mode).save(out, "PDF", resolution=200)
    return out.getvalue()


SCANS = {"JPEG": pdf_of("L"), "G4": pdf_of("1")}
LETTER = pdfs.text("An ordinary letter")


def refused(data: bytes) -> Reason:
    with pytest.raises(Permanent) as verdict:
        fit.fit(data)
    return verdict.value.reason


@pytest.mark.parametrize("data", [*SCANS.values(), LETTER], ids=[*SCANS, "text"])
def test_a_cr_before_every_lf_is_taken_out_again(data):
    """LF to CR LF, as text-mode transports do: the fax is dot for dot that of the file as it was."""
    made = fit.fit(data.replace(b"\n", b"\r\n"))
    assert made.notes[0] == "repaired"
    assert pdfs.drawn(made.data).tobytes() == pdfs.drawn(fit.fit(data).data).tobytes()


@pytest.mark.parametrize("data", SCANS.values(), ids=SCANS)
@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n").replace(b"obj\r\n", b"obj\n"),
        lambda data: data.replace(b"\r", b""),
        lambda data: data.replace(b"\r", b"\n"),
        lambda data: data.replace(b"\n", b"\r"),
        lambda data: b"\n".join(line.partition(b"\0")[0] for line in data.split(b"\n")),
    ],
    ids=["some LF to CR LF", "CR taken out", "CR to LF", "LF to CR", "lines cut at NUL"],
)
def test_a_picture_with_changed_bytes_is_refused(data, change):
    """Codes for pictures draw garbage without an error: what cannot be restored is damaged, never black bars on a fax."""
    assert refused(change(data)) is Reason.DAMAGED


def test_a_page_with_changed_bytes_is_refused():
    """`curl -F` mails a PDF as it is, a mail server sets its line ends right: the rest of the page would be missing."""
    alone = re.compile(rb"\r(?!\n)")  # a CR that becomes a blank, and cannot be put back
    for seed in range(100):
        numbers = random.Random(seed)
        orders = "".join(f"(Order {numbers.randrange(10**9)}) ' " for _ in range(40))
        source = pdfs.empty()
        pdfs.page(source, f"BT /F1 12 Tf 14 TL 72 700 Td {orders} ET".encode())
        data = pdfs.saved(source, compress_streams=True)
        found = alone.search(data)
        if found and found.start() - data.index(b"stream") > 200:
            break
    assert fit.fit(data).notes == ()
    changed = alone.sub(b" ", data).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    assert refused(changed) is Reason.DAMAGED


def test_a_picture_that_nobody_can_decode_is_refused():
    """A page whose only picture fails would be a white page on the fax."""
    source = pdfs.empty()
    page = pdfs.page(source, b"612 0 0 792 0 0 cm /I Do")
    keys = {"Width": 100, "Height": 100, "BitsPerComponent": 8, "ColorSpace": pikepdf.Name.DeviceRGB}
    picture = pikepdf.Stream(source, b"no JPEG", Subtype=pikepdf.Name.Image, Filter=pikepdf.Name.DCTDecode, **keys)
    page.obj.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(I=source.make_indirect(picture)))
    assert refused(pdfs.saved(source)) is Reason.DAMAGED


def test_an_untouched_scan_is_no_suspect():
    """Sound files are faxed without a note, also those that have no carriage return at all."""
    for data in SCANS.values():
        assert fit.fit(data).notes == ()
    assert fit.fit(LETTER.replace(b"\r", b"")).pages == 1
