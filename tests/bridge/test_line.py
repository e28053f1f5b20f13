"""A real fax: two pages through the bridge, dialled, trained, sent over T.30 and received as a TIFF."""

import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageFilter

from benchmarks.line import pages, reading, telephone
from benchmarks.line.__main__ import fax as sent
from benchmarks.line.telephone import NoLineError, Telephone
from mail2fax.documents.legibility import ready
from mail2fax.documents.pages import fit, raster
from mail2fax.documents.pages.pdfium import Document

FAR = (1728, 1078)  # dots of a letter page in normal mode


@pytest.fixture(scope="module")
def line():
    """The line; skipped, with the reason, where the programs are not to be had."""
    if reason := telephone.missing():
        pytest.skip(reason)
    place = tempfile.mkdtemp(prefix="mail2fax-line-", dir=os.environ.get("MAIL2FAX_LINE_DIR"))
    try:
        with Telephone(Path(place)) as up:
            yield up
    except NoLineError as reason:
        pytest.skip(f"no fax line: {reason}")
    finally:
        shutil.rmtree(place, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_two_pages_arrive_as_they_look(line):
    """In order, right way up, whole, black and white, and every line and word of them where it was."""
    names = ["form", "invoice"]
    arrived = await sent(line, names, way="auto", lines=98)
    assert [page.name for page in arrived] == names
    for page in arrived:
        assert page.picture.size == FAR
        assert page.picture.mode == "1"
        assert page.size < 12_000  # as it is, with its tints dithered, the invoice takes 50 kB
        assert likeness(page.picture, foretold(page.name)) < 50


def foretold(name: str) -> Image.Image:
    """The page as `mail2fax explain --preview` shows it."""
    made = ready.make_ready(fit.fit(pages.page(name)), "auto")
    with Document(made.data) as document, document.page(0) as page:
        return raster.fax(page, FAR[1])


def likeness(arrived: Image.Image, other: Image.Image) -> int:
    """0 to 255: how much they differ where they differ most, looked at from some way off."""
    soft = ImageFilter.BoxBlur(2)
    one, two = (
        picture.convert("L").resize((216, 269), Image.Resampling.BOX).filter(soft) for picture in (arrived, other)
    )
    return ImageChops.difference(one, two).getextrema()[1]


def test_the_comparison_tells_pages_apart():
    """A mirrored page, one upside down and another page are unlike."""
    form, invoice = foretold("form"), foretold("invoice")
    for turned in (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180):
        assert likeness(form.transpose(turned), form) > 80
    assert likeness(invoice, form) > 80


def test_words_are_counted_as_often_as_they_stand():
    """What is read back is a share of the original's words."""
    assert reading.read_back(Counter(["fax", "fax", "mail"]), Counter(["fax", "mail", "more"])) == (2, 3)
