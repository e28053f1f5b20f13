"""typeset: the cover page and plain text, from data that is never markup."""

import pypdfium2
import pytest

from mail2fax.documents.orders import CoverSheet
from mail2fax.documents.pages import typeset
from mail2fax.model import Headers, Permanent, Reason
from mail2fax.resources import templates

SHEET = CoverSheet("6474959659", company="Office Example Ltd.", sender="anna@office.example")
HEADERS = Headers(subject="Invoice 17", from_="Anna <anna@office.example>", date="Mon, 23 Nov 2026 10:00")


def pages(data: bytes) -> list[str]:
    with pypdfium2.PdfDocument(data) as document:
        return [page.get_textpage().get_text_range().replace("\r\n", "\n") for page in document]


def test_the_cover_says_who_writes_what_to_whom():
    """To, from, date, subject, the mail's text, and the number of all pages including the cover itself."""
    (text,) = pages(typeset.cover(SHEET, HEADERS, "Dear Bob,\nplease pay.\n\nAnna", pages=3))
    for word in (
        "(647) 495-9659",
        "Anna <anna@office.example>",
        "Invoice 17",
        "Office Example Ltd.",
        "please pay.",
        "23 Nov",
    ):
        assert word in text
    assert "Pages, with this one 4" in text


def test_without_from_the_reverse_path_stands_there():
    """A mail without a From is still from somebody."""
    assert "anna@office.example" in pages(typeset.cover(SHEET, Headers(), "", pages=1))[0]


def test_the_cover_speaks_the_mail_s_language():
    """Content-Language fr-CA makes a French cover page, an unknown language an English one."""
    assert "TÉLÉCOPIE" in pages(typeset.cover(SHEET, Headers(languages=("fr-CA", "en")), "", pages=1))[0]
    assert "FAX" in pages(typeset.cover(SHEET, Headers(languages=("tlh",)), "", pages=1))[0]


@pytest.mark.parametrize(
    "hostile",
    [
        '#read("/etc/passwd")',
        '#import "@preview/x:1.0.0"',
        "*bold* _it_ $x$ `raw` <label> @ref // comment /* more",
        '"quoted" \\ backslash \\n #{} [brackets] ]',
        "#set page(width: 1pt)",
        "{{7*7}} <script>",
    ],
)
def test_what_a_sender_writes_is_never_markup(hostile):
    """Whatever stands in subject, name and text is printed as it is."""
    headers = Headers(subject=hostile, from_=hostile)
    (text,) = pages(typeset.cover(SHEET, headers, hostile, pages=1))
    assert text.count(hostile) == 3


@pytest.mark.parametrize(
    "words", ["Zażółć gęślą jaźń Ærøskøbing Łódź", "Αθήνα Ελλάδα ώρα", "Привет, Київ Ґ", "שלום", "سلام"]
)
def test_other_scripts_are_printed(words):
    """Accents, Greek, Cyrillic, Hebrew and Arabic have their letters on every machine, without fonts of the system."""
    pdf = typeset.cover(SHEET, Headers(subject=words), "", pages=1)
    (text,) = pages(pdf)
    assert "\ufffd" not in text
    letters = {letter for letter in words if letter.isalpha()}
    missing = letters - set(text)
    assert len(missing) <= len(letters) // 2 if words[0] in "ש" + "س" else not missing  # shaping joins letters


def test_long_words_make_a_longer_cover():
    """The mail's text flows on to further pages, which are counted; it is cut where nobody would read on."""
    made = pages(typeset.cover(SHEET, HEADERS, "Many words. " * 700, pages=2))
    assert len(made) > 1
    assert f"Pages, with this one {2 + len(made)}" in made[0]
    endless = pages(typeset.cover(SHEET, HEADERS, "x " * 500_000, pages=2))
    assert len(endless) < 15
    assert "[…]" in endless[-1]


def test_an_administrator_s_template_is_used(tmp_path):
    """[cover] template replaces the shipped page; it gets the same data."""
    own = tmp_path / "own.typ"
    own.write_text("#let fax = json(bytes(sys.inputs.data))\nOur own: #fax.subject #fax.pages")
    sheet = CoverSheet("6474959659", template=str(own))
    assert pages(typeset.cover(sheet, HEADERS, "", pages=2)) == ["Our own: Invoice 17 2"]


def test_a_template_with_a_mistake_says_where(tmp_path):
    """A template that does not compile is an error in Typst's words, and reads nothing outside of its folder."""
    own = tmp_path / "templates" / "own.typ"
    own.parent.mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    for mistake in ("#nonsense", '#read("../secret.txt")'):
        own.write_text(mistake)
        with pytest.raises(typeset.TemplateError) as caught:
            typeset.cover(CoverSheet("6474959659", template=str(own)), HEADERS, "", pages=1)
        assert "secret\n" not in str(caught.value)


def test_the_shipped_template_explains_itself():
    """Who replaces the template finds in it what data it gets."""
    words = (templates() / "cover" / "cover.typ").read_text()
    for key in ("to", "from", "date", "subject", "company", "text", "language", "pages"):
        assert f"fax.{key}" in words


def test_plain_text_keeps_its_lines_and_columns():
    """Lines, indents, tabs and form feeds stay; a long line is wrapped, not cut."""
    text = "first\n    indented\n\ttab\n" + "word " * 40 + "\n" + "x" * 100 + "\fsecond page"
    first, second = pages(typeset.plain("notes.txt", text, max_pages=9))
    assert "first" in first
    assert first.count("word") == 40
    assert first.count("x") - first.count("txt") == 100
    assert "second page" in second
    assert "notes.txt 2 / 2" in " ".join(second.split())


def test_text_without_end_is_refused_before_it_is_set():
    """The page limit holds for text; nothing at all is said to be empty."""
    with pytest.raises(Permanent) as caught:
        typeset.plain("x", "line\n" * 1_000_000, max_pages=200)
    assert caught.value.reason is Reason.TOO_MANY_PAGES
    assert caught.value.detail["limit"] == 200
    for nothing in ("", "\n\n", "\f\ufeff"):
        with pytest.raises(Permanent) as caught:
            typeset.plain("x", nothing, max_pages=200)
        assert caught.value.reason is Reason.EMPTY


def test_control_characters_do_no_harm():
    """A text with escape sequences and null bytes is printed without them."""
    (text,) = pages(typeset.plain("x\x00.txt", "a\x1b[31mb\x00c\x85d", max_pages=2))
    assert "a [31mb c" in text
