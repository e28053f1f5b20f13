"""A grey picture becomes one of black dots, at the resolution of a fax.

A picture of paper (a scan, a photographed letter, a screenshot) keeps its strokes: each dot is compared with the paper
around it, so that yellow paper, a shadow or a dark corner becomes white. A photograph keeps its tones, as clusters of
dots. Which of both it is, its tiles tell: letters are thin and stand on even paper.

Only Pillow's own filters, on whole pictures: some milliseconds each for a page.
"""

import bisect
import itertools
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from PIL import Image, ImageChops, ImageFilter, ImageOps

from mail2fax.documents.legibility import packing
from mail2fax.documents.pages.fax_code import Ink

_TILE = 96  # dots; some 12 mm
_MOST_TILES = 24  # looked at
_WIDE = 6  # greys to each side that count as one
_NEAR = 0.12  # of the paper's brightness: as much may even paper differ
_DARK = 0.78  # of the paper's brightness: what is darker is ink
_EVEN, _FLAT = 0.5, 0.9  # least share of paper in a tile with letters, and in an empty one
_LEAST_INK, _MOST_INK = 0.004, 0.4  # share of ink in a tile with letters
_THIN = 0.3  # largest share of its ink that is the inside of something thick
_NIGHT = 0.4  # of the brightest ground: where most is as dark, paper it is not;
_DUSK = 180  # of 255: the least that counts as the brightest
_WHITE, _SHEET = 235, 900_000  # of 255, and dots: a picture without strokes is paper if it is so bright or so large

_BAND = 256  # rows that are worked on together, whole blocks
_BLOCK = 16  # dots: the paper's brightness is known once a block
_WIDEST = 4  # blocks on each side: ink less wide than nine blocks (18 mm) does not count as paper
_INK = 0.80  # of the paper's brightness: what is darker is a stroke
_SOLID = 0.6  # of the brightness around: a block that is even and darker than this is ink
_NOISE = 3.0  # times the paper's grain: what differs less is no stroke
_LAMP = 0.6  # of its brightest part: as dark parts has paper that was photographed
_SENSOR = 4.0  # of 255: grain as strong as this is smoothed first

# The screen of a photograph: dots grow from the middles of cells that stand at 45 degrees, 51 a inch across. Each row
# is used twice, so that a machine that leaves out every other row (98 lines an inch) shows the same greys.
_GROWTH = (
    (6, 4, 5, 7, 9, 11, 10, 8),
    (2, 0, 1, 3, 13, 15, 14, 12),
    (9, 11, 10, 8, 6, 4, 5, 7),
    (13, 15, 14, 12, 2, 0, 1, 3),
)
_LEVELS = 16


class Kind(Enum):
    """What a picture shows."""

    PAPER = "paper"  # something written or drawn on paper
    SCENE = "scene"  # a photograph, or words on a dark ground
    EVEN = "even"  # one tone: a bar, or a piece of paper with nothing on it


def kind(grey: Image.Image) -> Kind:
    """What a picture shows."""
    kinds = [_kind(tile) for tile in _tiles(grey)]
    letters, other = (sum(kind == wanted for kind, _ in kinds) for wanted in ("letters", "other"))
    grounds = [ground for kind, ground in kinds if kind != "other"]
    brightest = max(grounds, default=0)
    if sum(ground < _NIGHT * max(brightest, _DUSK) for ground in grounds) * 2 > len(grounds):
        return Kind.SCENE
    if not (letters or other):
        return Kind.PAPER if brightest >= _WHITE or grey.width * grey.height >= _SHEET else Kind.EVEN
    return Kind.PAPER if letters > other else Kind.SCENE


def _tiles(grey: Image.Image) -> Iterator[Image.Image]:
    """Tiles from all over it."""
    across, down = max(1, grey.width // _TILE), max(1, grey.height // _TILE)
    step = max(1, across * down // _MOST_TILES)
    for number in range(0, across * down, step):
        left, top = number % across * _TILE, number // across * _TILE
        yield grey.crop((left, top, min(left + _TILE, grey.width), min(top + _TILE, grey.height)))


def _kind(tile: Image.Image) -> tuple[str, int]:
    """What is on a tile ("letters", "flat", "other"), and how bright its ground is."""
    counts = tile.histogram()
    total = sum(counts)
    paper = _brightest_peak(counts, total)
    reach = max(8, round(paper * _NEAR))
    even = sum(counts[max(0, paper - reach) : paper + reach + 1]) / total
    ink = sum(counts[: round(paper * _DARK)]) / total
    if even >= _EVEN and _LEAST_INK <= ink <= _MOST_INK:
        return "letters" if _thin(tile, round(paper * _DARK), ink) else "other", paper
    return "flat" if even >= _FLAT else "other", paper


def _brightest_peak(counts: list[int], total: int) -> int:
    """The grey that the brighter half of a tile gathers around."""
    up_to = list(itertools.accumulate([0] * _WIDE + counts + [0] * _WIDE, initial=0))
    near = list(map(operator.sub, up_to[2 * _WIDE + 1 :], up_to))  # of so many greys around
    best = near.index(max(near))
    above = min(255, best + 20)
    brighter = max(near[above:])
    return near.index(brighter, above) if brighter > total * 0.25 else best


def _thin(tile: Image.Image, below: int, ink: float) -> bool:
    """Whether its ink is strokes: hardly a dot has ink all around."""
    black = tile.point([255] * below + [0] * (256 - below))
    inside = black.filter(ImageFilter.BoxBlur(3)).histogram()[250:]
    return sum(inside) / (tile.width * tile.height) <= ink * _THIN


@dataclass(frozen=True, slots=True)
class Strokes:
    """What is written on a picture of paper."""

    ink: Ink
    corner: tuple[int, int]  # where the upper left dot of that stands: around it there is only paper
    uneven: bool  # the light on it was uneven, as on a photographed letter


def strokes(grey: Image.Image, size: tuple[int, int]) -> Strokes:
    """A picture of paper in black and white, as it is when it is so many dots wide and high; it has nearly as many.

    Band by band: memory that is touched for the first time costs a fresh process more than the work done in it.
    """
    bright, rough = _blocks(grey)
    grain = _grain(rough)
    paper = _paper(bright, rough.point([255 * (step <= 2 * grain + 2) for step in range(256)]))
    shifts = []
    if grain > _SENSOR:
        shifts.append((1, 0))
    if grain > _SENSOR or grey.height > size[1]:  # or a line of one row would get lost with a row that is left out
        shifts.append((0, 1))
    limits = _spread(paper.point(_limits(grain, 2 ** len(shifts))), grey.size)
    whole = Image.new("L", ((size[0] + 7) // 8, grey.height))
    for top, bottom in _bands(grey):
        band = grey.crop((0, top - 1, grey.width, bottom))  # with the row above; that of the first is the first
        if not top:
            band.paste(band.crop((0, 1, grey.width, 2)))
        eights = packing.eights(_dark(band, limits[top : bottom + 1], shifts), size[0])
        whole.paste(eights.crop((0, 1, whole.width, eights.height)), (0, top))
    written, corner = packing.cut(whole, size)
    return Strokes(written.thick(), corner, _uneven(paper))


def _bands(grey: Image.Image) -> Iterator[tuple[int, int]]:
    """The first row of each band, and the first after it."""
    for top in range(0, grey.height, _BAND):
        yield top, min(grey.height, top + _BAND)


def _dark(band: Image.Image, limits: Sequence[memoryview], shifts: Sequence[tuple[int, int]]) -> Image.Image:
    """From 128 on where a dot, or the mean of it and its neighbours, is no lighter than its limit, see `_limits`.

    Values are summed in place of their means, and compared by the highest bit of the difference: sums that wrap around
    take Pillow an eighth of the time of any other.
    """
    light = Image.blend(Image.new("L", band.size), band, 0.5 ** (1 + len(shifts)))  # rounded down
    for right, down in shifts:
        light = ImageChops.add_modulo(light, ImageChops.offset(light, right, down))
    dark = Image.frombuffer("L", band.size, b"".join(limits), "raw", "L", 0, 1)
    return ImageChops.subtract_modulo(dark, light)


def _limits(grain: float, parts: int) -> list[int]:
    """128, and half of the grey up to which a dot is a stroke, by the paper's brightness.

    Less what so many parts of a dot's brightness lost when they were rounded down.
    """
    lost = (parts - 0.5) / 2
    limits = (min(bright * _INK, bright - _NOISE * grain) for bright in range(256))
    return [128 + max(-1, round(limit / 2 - lost)) for limit in limits]


def _spread(blocks: Image.Image, size: tuple[int, int]) -> list[memoryview]:
    """What is known for each block as values of each row of dots, the first twice: smooth steps, four to a block."""
    width, height = size
    steps = blocks.resize((blocks.width * 4, blocks.height * 4), Image.Resampling.BILINEAR)
    across = memoryview(steps.resize((width, steps.height), Image.Resampling.NEAREST).tobytes())
    rows = [across[step * width : (step + 1) * width] for step in range(steps.height)]
    return [rows[max(0, row) * steps.height // height] for row in range(-1, height)]


def _uneven(paper: Image.Image) -> bool:
    """Whether the light fell on it as it falls on a table, not as in a scanner."""
    return _darkest(paper, 0.1) < _LAMP * _darkest(paper, 0.9)


def _darkest(grey: Image.Image, share: float) -> int:
    """The brightest grey of this share of it, of its darkest dots."""
    up_to = list(itertools.accumulate(grey.histogram()))
    return bisect.bisect_right(up_to, share * up_to[-1])


def _blocks(grey: Image.Image) -> tuple[Image.Image, Image.Image]:
    """How bright each block is, and how much the dots in it differ from those three to the left."""
    size = -(-grey.width // _BLOCK), -(-grey.height // _BLOCK)
    bright, rough = Image.new("L", size), Image.new("L", size)
    for top, bottom in _bands(grey):
        band = grey.crop((0, top, grey.width, bottom))
        place = (0, top // _BLOCK)
        bright.paste(band.reduce(_BLOCK), place)
        rough.paste(ImageChops.difference(band, ImageChops.offset(band, 3, 0)).reduce(_BLOCK), place)
    return bright, rough


def _grain(rough: Image.Image) -> float:
    """How much dots differ where there is only paper: sigma, of the mean difference of two dots in each block."""
    return _darkest(rough, 0.25) * 0.886  # of two normal values the mean difference is 1.128 sigma


def _paper(blocks: Image.Image, flat: Image.Image) -> Image.Image:
    """How bright the paper is in each block, without the ink on it.

    A block without strokes is paper, a stain or a shadow too, unless it is so dark that it must be ink. Elsewhere it is
    what is around: ink narrower than the widest is filled by it.
    """
    filled = _grown(_grown(blocks, ImageChops.lighter, 0), ImageChops.darker, 255)
    brighter = ImageChops.subtract(blocks, filled.point([round(bright * _SOLID) for bright in range(256)]))
    paper = ImageChops.multiply(flat, brighter.point([0] + [255] * 255))
    return Image.composite(blocks, filled, paper).filter(ImageFilter.BoxBlur(1))


def _grown(blocks: Image.Image, pick: Callable[[Image.Image, Image.Image], Image.Image], beyond: int) -> Image.Image:
    """The extreme of all blocks not further away than the widest; `beyond` the edge is what is never picked."""
    grown = ImageOps.expand(blocks, _WIDEST, beyond)
    for right, down in ((1, 0), (0, 1)):
        for far in (1, _WIDEST - 1):  # three blocks, and of each such three the next on both sides
            there = ImageChops.offset(grown, far * right, far * down)
            back = ImageChops.offset(grown, -far * right, -far * down)
            grown = pick(grown, pick(there, back))
    return ImageOps.crop(grown, _WIDEST)


def screened(grey: Image.Image, size: tuple[int, int]) -> Image.Image:
    """A photograph in clusters of dots, its contrast stretched. One bit a dot."""
    if grey.size != size:
        grey = grey.resize(size, Image.Resampling.BILINEAR)
    # The grain of a sensor would make each cell another one, which costs a fax more than the picture itself.
    stretched = ImageOps.autocontrast(grey.filter(ImageFilter.BoxBlur(1)), cutoff=1)
    return ImageChops.subtract(stretched, _screen(grey.size)).point([0] + [255] * 255, "1")


def _screen(size: tuple[int, int]) -> Image.Image:
    """The grey, dot by dot, from which on a photograph is white."""
    width, height = len(_GROWTH[0]), 2 * len(_GROWTH)
    rows = (bytes(round((step + 0.5) * 255 / _LEVELS) for step in row) for row in _GROWTH for _ in range(2))
    strip = Image.frombytes("L", (width, height), b"".join(rows))
    whole = Image.new("L", size)
    for left in range(0, size[0], width):
        whole.paste(strip, (left, 0))
    row = whole.crop((0, 0, size[0], height))
    for top in range(height, size[1], height):
        whole.paste(row, (0, top))
    return whole
