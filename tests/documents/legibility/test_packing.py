"""packing: dots as bits are the dots they were."""

import random

import pytest
from PIL import Image, ImageChops

from mail2fax.documents.legibility import packing
from mail2fax.documents.pages import fax_code
from mail2fax.documents.pages.fax_code import Ink


def dice(size: tuple[int, int]) -> Image.Image:
    """Dark dots here and there, away from the edges by one."""
    noise = Image.frombytes("L", size, random.Random(5).randbytes(size[0] * size[1])).point(
        lambda grey: 255 * (grey < 99)
    )
    framed = Image.new("L", size)
    framed.paste(noise.crop((1, 1, size[0] - 1, size[1] - 1)), (1, 1))
    return framed


def seen(found: Ink, corner: tuple[int, int], size: tuple[int, int]) -> Image.Image:
    """Black on white, as the code of fax machines says it."""
    page = Image.new("1", size, 1)
    page.paste(fax_code.Group4(found.width, found.height, inverted=False).decoded(fax_code.coded(found)), corner)
    return page.convert("L")


@pytest.mark.parametrize("size", [(4, 4), (8, 9), (37, 11), (640, 300)])
def test_dark_dots_become_ink_and_are_coded(size):
    """Each where it was, whatever the width; and counted."""
    signs = dice(size)
    found, corner = packing.cut(packing.eights(signs, size[0]), size)
    assert ImageChops.difference(seen(found, corner, size), ImageChops.invert(signs)).getbbox() is None
    assert found.dots() == Ink.of(ImageChops.invert(signs).convert("1")).dots() == signs.histogram()[255]


@pytest.mark.parametrize("wanted", [(1000, 700), (940, 760)])
def test_a_picture_of_nearly_that_size_is_brought_to_it(wanted):
    """No dot is further from its place than one."""
    signs = Image.new("L", (970, 730))
    for step in range(20, 700, 40):
        signs.paste(255, (step, step, step + 12, step + 12))
    found, corner = packing.cut(packing.eights(signs, wanted[0]), wanted)
    moved = seen(found, corner, wanted)
    meant = ImageChops.invert(signs.resize(wanted, Image.Resampling.BILINEAR))
    for step in range(20, 700, 40):
        x, y = (step + 6) * wanted[0] / 970, (step + 6) * wanted[1] / 730
        box = tuple(round(edge) for edge in (x - 15, y - 15, x + 15, y + 15))
        for axis in (0, 1):
            where = [middle(picture.crop(box))[axis] for picture in (moved, meant)]
            assert where[0] == pytest.approx(where[1], abs=1)


def middle(picture: Image.Image) -> tuple[float, float]:
    left, top, right, bottom = ImageChops.invert(picture).point(lambda grey: 255 * (grey > 127)).getbbox()
    return (left + right) / 2, (top + bottom) / 2


def test_a_line_of_one_row_gets_a_second():
    """And nothing else grows."""
    page = Image.new("1", (50, 20), 1)
    page.paste(0, (3, 2, 40, 3))
    page.paste(0, (5, 8, 10, 10))
    thick = seen(Ink.of(page).thick(), (0, 0), page.size)
    page.paste(0, (3, 3, 40, 4))
    assert ImageChops.difference(thick, page.convert("L")).getbbox() is None
