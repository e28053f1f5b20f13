"""What a fax will not show well however it is made ready: words for the account. Pure.

A word may be followed by a colon and the numbers of the pages it is about, "small-print:2,5".
"""

from collections.abc import Iterable, Mapping, Sequence

from mail2fax.documents.legibility.marks import WHITE, Kind, Mark

# At 98 lines an inch a letter of 6 points is eight rows high: 6, 8 and 3 look alike. Seen on a line.
_SMALL = 6.5  # points
_FEW = 20  # letters; so much small print is a footnote's sign, a page number
_PALE = 0.55  # how light text may be at most for a converter's dots to leave it legible
_INVISIBLE = 0.985
_LARGE = 0.4  # of the page
_UPSIDE_DOWN = 180
_MOST = 8  # pages named by number


def of(marks: Sequence[Mark], *, as_it_is: bool) -> set[str]:
    """What is to be told of a page: "small-print", "pale", "upside-down", "blank"."""
    text = [mark for mark in marks if mark.kind is Kind.TEXT and mark.seen]
    words = set()
    scans = [mark.writing for mark in marks if mark.writing]
    if _letters(mark for mark in text if 0 < mark.size < _SMALL) >= _FEW or any(scan.small for scan in scans):
        words.add("small-print")
    if _letters(mark for mark in text if (as_it_is and _is_pale(mark)) or _is_left(mark)) >= _FEW:
        words.add("pale")
    turned = _letters(mark for mark in text if mark.turn == _UPSIDE_DOWN)
    if turned > _letters(text) / 2 or (not text and any(scan.upside_down for scan in scans)):
        words.add("upside-down")
    if not any(mark.seen and _shows(mark) for mark in marks):
        words.add("blank")
    return words


def may_be_black(marks: Sequence[Mark], size: tuple[float, float]) -> bool:
    """Whether a page has so large a dark area, or picture, that it is worth to draw it and look."""
    return any(mark.seen and _dark(mark) and is_large(mark, size) for mark in marks)


def is_large(mark: Mark, size: tuple[float, float]) -> bool:
    """Whether it takes much of a page."""
    return mark.box.width * mark.box.height >= _LARGE * size[0] * size[1]


def _dark(mark: Mark) -> bool:
    if mark.kind in {Kind.PICTURE, Kind.STENCIL}:
        return mark.ink is None or mark.ink >= _LARGE
    return mark.kind is not Kind.TEXT and mark.fill is not None and mark.fill.light < WHITE / 2


def _letters(text: Iterable[Mark]) -> int:
    return sum(mark.letters for mark in text)


def _is_pale(mark: Mark) -> bool:
    light = min((colour.light for colour in mark.colours), default=WHITE)
    return _PALE <= light < _INVISIBLE


def _is_left(mark: Mark) -> bool:
    """Whether a converter makes greys of it whatever its ink is: it is seen through a mask, or painted with tiles."""
    return mark.veiled or any(colour.tile for colour in mark.colours)


def _shows(mark: Mark) -> bool:
    if mark.kind is Kind.PICTURE or mark.empty:
        return not mark.empty
    return mark.kind is Kind.SHADING or any(colour.tile or colour.light < _INVISIBLE for colour in mark.colours)


def gathered(pages: Mapping[int, Iterable[str]], count: int) -> tuple[str, ...]:
    """The words of all pages of a document, each with the pages it is about when that is not every one."""
    where: dict[str, list[int]] = {}
    for index, words in sorted(pages.items()):
        for word in words:
            where.setdefault(word, []).append(index + 1)
    if len(where.get("blank", ())) == count:
        del where["blank"]  # a document without any ink is told as such
    return tuple(_named(word, numbers, count) for word, numbers in sorted(where.items()))


def _named(word: str, numbers: Sequence[int], count: int) -> str:
    if len(numbers) == count or len(numbers) > _MOST:
        return word
    return f"{word}:{','.join(map(str, numbers))}"
