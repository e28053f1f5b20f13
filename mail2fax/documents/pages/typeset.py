"""Text as PDF pages, set by Typst: the cover page, plain text files, words in a box.

What a sender wrote goes in as JSON that the template reads as data. It is never part of the template's source, so no
mail can write markup; and a template reads no file outside of its own folder.
"""

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pikepdf
import typst

from mail2fax import resources
from mail2fax.documents.orders import CoverSheet
from mail2fax.documents.pages.inspection import refusal
from mail2fax.model import Headers, Reason
from mail2fax.rules import address

_LANGUAGES = ("en", "fr")
_MOST_COVER_TEXT = 20_000  # characters, some five pages
_COLUMNS = 80
_TAB = 8
_LINES = 58  # on a page of plain text
_MOST_UNSHOWN = 0.5  # of a text's letters; a page of boxes is no fax

# The fonts inside of Typst (Libertinus Serif, DejaVu Sans Mono) know Latin, Greek, Cyrillic, Hebrew and Arabic and look
# alike on every machine. Only other scripts make it worth the 70 ms to look what fonts the system has.
_SHIPPED_SCRIPTS = ((0x0000, 0x06FF), (0x1E00, 0x2BFF), (0xFB00, 0xFEFF))


class TemplateError(RuntimeError):
    """The cover page's template cannot be used: the administrator's to mend. The text is Typst's own."""


def cover(sheet: CoverSheet, headers: Headers, text: str, *, pages: int) -> bytes:
    """The cover page as a PDF, of more than one page when the mail's text is long.

    `pages` are those of the documents behind it; the template adds its own. Raises TemplateError.
    """
    words = text.strip()
    if len(words) > _MOST_COVER_TEXT:
        words = words[:_MOST_COVER_TEXT] + " […]"
    primary = (tag.partition("-")[0].lower() for tag in headers.languages)
    data = {
        "to": address.pretty(sheet.number),
        "from": headers.from_ or sheet.sender,
        "date": headers.date,
        "subject": headers.subject,
        "company": sheet.company,
        "text": words,
        "language": next((tag for tag in primary if tag in _LANGUAGES), _LANGUAGES[0]),
        "pages": pages,
    }
    template = Path(sheet.template) if sheet.template else resources.templates() / "cover" / "cover.typ"
    return _set(template, data, system_fonts=bool(sheet.template))


def plain(name: str, text: str, *, max_pages: int) -> bytes:
    """A plain text file as a PDF, in lines of 80. Raises Permanent: EMPTY or TOO_MANY_PAGES (detail: pages, limit)."""
    if not text.strip("\ufeff\f\n\r\t "):
        raise refusal(Reason.EMPTY)
    sheets = []
    for section in text.strip("\ufeff\f\n\r").split("\f"):
        lines = list(_lines(section))
        sheets += ["\n".join(lines[at : at + _LINES]) for at in range(0, len(lines), _LINES)]
    if len(sheets) > max_pages:
        raise refusal(Reason.TOO_MANY_PAGES, pages=len(sheets), limit=max_pages)
    return _set(resources.templates() / "cover" / "text.typ", {"name": name, "sheets": sheets})


def unshown(text: str, pdf: bytes) -> tuple[str, ...]:
    """The note "letters" when no font had some letters of a text, so that boxes stand for them.

    Raises Permanent(UNSUPPORTED) for a text that is boxes for the most part.
    """
    boxes = 0 if text.isascii() else _boxes(pdf)
    if boxes > _MOST_UNSHOWN * sum(map(len, text.split())):
        raise refusal(Reason.UNSUPPORTED, kind="text/plain")
    return ("letters",) * bool(boxes)


def note(text: str, *, width: float, height: float, size: float, grey: float, align: str) -> io.BytesIO:
    """Words in a box of so many points, as a page of its size: `size` points high or as much smaller as it takes.

    `grey` is 0 for black, 1 for white; `align` is left, center or right.
    """
    lines = "\n".join(text.splitlines())
    data = {"text": lines, "width": width, "height": height, "size": size, "grey": grey, "align": align}
    return io.BytesIO(_set(resources.templates() / "cover" / "note.typ", data))


def _lines(text: str) -> Iterator[str]:
    """Lines that fit the page, with tabs and control characters out of the way."""
    for line in text.splitlines() or [""]:
        rest = "".join(letter if letter.isprintable() else " " for letter in line.expandtabs(_TAB))
        while len(rest) > _COLUMNS:
            at = rest.rfind(" ", 1, _COLUMNS + 1)
            at = at if at > 0 and rest[:at].strip() else _COLUMNS
            yield rest[:at]
            rest = rest[at:].removeprefix(" ")
        yield rest


def _set(template: Path, data: Mapping[str, Any], *, system_fonts: bool = False) -> bytes:
    words = json.dumps(data, ensure_ascii=False)
    try:
        pdf: bytes = typst.compile(
            template,
            format="pdf",
            sys_inputs={"data": words},
            ignore_system_fonts=not system_fonts and all(map(_shipped, words)),
            pdf_tags=False,
        )
    except typst.TypstError as error:
        raise TemplateError(str(error)) from None
    return pdf


def _boxes(pdf: bytes) -> int:
    """How many letters of a document of Typst's are drawn by glyph 0: a font's box for what it does not have."""
    with pikepdf.open(io.BytesIO(pdf)) as made:
        shown = (
            bytes(one)
            for page in made.pages
            for instruction in pikepdf.parse_content_stream(page, "Tj TJ")
            for operand in instruction.operands
            for one in (operand if isinstance(operand, pikepdf.Array) else [operand])
            if isinstance(one, pikepdf.String)
        )
        # Typst numbers glyphs by two bytes each (Identity-H).
        return sum(code[at : at + 2] == b"\0\0" for code in shown for at in range(0, len(code), 2))


def _shipped(letter: str) -> bool:
    return any(first <= ord(letter) <= last for first, last in _SHIPPED_SCRIPTS)
