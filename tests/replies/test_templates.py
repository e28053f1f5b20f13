"""The templates and catalogues: complete, replaceable one by one, and never a reason for silence."""

import io
import logging
import random
import re
import textwrap
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from babel import Locale
from babel.dates import format_datetime, format_time
from babel.messages.pofile import read_po
from jinja2.filters import FILTERS

from mail2fax import log, resources
from mail2fax.config import Reply, Settings
from mail2fax.model import Cause, Fate, Part, Reason
from mail2fax.replies import samples
from mail2fax.replies.facts import Draft
from mail2fax.replies.filters import Wording, wrapped
from mail2fax.replies.letters import Letters
from mail2fax.replies.templates import Stationery
from tests.support import goldens
from tools import catalogues

LANGUAGES = ("en", "fr")
OUTCOMES = ("delivered", "failed", "unknown", "cancelled", "delayed", "again", "passed-on", "summary")
SHIPPED = Stationery("", "America/Toronto")


@pytest.fixture
def said():
    """What is logged while a test runs."""
    stream, root = io.StringIO(), logging.getLogger()
    before = root.handlers[:], root.level
    log.configure("json", "info", stream)
    yield stream.getvalue
    root.handlers[:], _ = before
    root.setLevel(before[1])


def letters(folder, **reply):
    return Letters(Settings(reply=Reply(templates=str(folder), **reply)), goldens.SECRET)


def text(made, message=samples.MESSAGE, fax=samples.DELIVERED):
    return goldens.body(made.outcome(message, [fax]), "plain")


# -- complete


def spoken(reason, language, detail, *, html=False):
    """Sentence and advice of a reason."""
    environment = SHIPPED._environment(language, html, False)
    module = environment.get_template("reasons.jinja").module
    return str(module.why(reason, detail)), str(module.advice(reason, detail))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_sentence_and_an_advice(reason, language):
    """Each reason is told in words of its own, with whatever detail there is, and with what to do."""
    nobody = spoken("a reason that does not exist", language, {})
    full = {"pages": 320, "limit": 200, "hours": 24.0, "http": 422, "actual": "a picture", "kind": "Word"}
    for detail in ({}, full):
        why, advice = spoken(reason, language, detail)
        assert why != nobody[0] and why.endswith(".") and ("-" not in reason.value or reason.value not in why)
        assert advice.endswith(".")
        assert advice != nobody[1]


@pytest.mark.parametrize(
    ("reason", "detail", "fact"),
    [
        (Reason.TOO_MANY_PAGES, {"pages": 1320, "limit": 200}, "1,320 pages; a fax may have 200"),
        (Reason.GAVE_UP, {"hours": 24.0}, "for 24 hours"),
        (Reason.NO_FINAL_WORD, {"hours": 0.5}, "within 0.5 hours"),
        (Reason.TOO_LARGE, {"http": 413}, "too large"),
        (Reason.TOO_LARGE, {"size": 24_500_000, "limit": 20_000_000}, "takes 20 MB at most"),
        (Reason.NOTHING_FAXABLE, {"link": True}, "a link, not a file"),
    ],
)
def test_details_fill_the_sentences(reason, detail, fact):
    """Numbers as people write them, words as they are."""
    assert fact in spoken(reason, "en", detail)[0]


def test_html_escapes_what_it_imports():
    """The sentences are shared by text and HTML: in HTML, what others wrote is escaped there too."""
    part = Part("<b> &.docx", "application/msword", 9, Fate.REFUSED, Reason.UNSUPPORTED)
    shown = goldens.letters().outcome(replace(samples.MESSAGE, parts=(part,)), [goldens.NOTHING])
    assert goldens.body(shown, "html").count("&lt;b&gt; &amp;.docx") == 2 and "<b> &" in goldens.body(shown, "plain")


@pytest.mark.parametrize("path", catalogues.catalogues(), ids=lambda path: path.stem)
def test_a_catalogue_has_every_text(path):
    """No text is missing, left over or unfinished: `python tools/catalogues.py` shows what is to be filled."""
    assert path.read_bytes() == catalogues.updated(path)
    catalog = read_po(io.BytesIO(path.read_bytes()), abort_invalid=True)
    for message in catalog:
        if message.id:
            assert all(message.string) if isinstance(message.string, tuple) else message.string, message.id
            assert not message.fuzzy and not [str(error) for error in message.check(catalog)], message.id
            # What is filled in is the same in both; a plural may leave the number to the words.
            known = re.findall(r"%\(\w+\)s", str(message.id))
            assert set(re.findall(r"%\(\w+\)s", str(message.string))) == set(known), message.id


def test_french_keeps_its_signs_with_their_words():
    """As the Office québécois de la langue française has it: no line begins with a colon, nor ends with a guillemet."""
    french = (resources.templates() / "reply" / "locale" / "fr.po").read_text("utf-8")
    said = "\n".join(line for line in french.splitlines() if not line.startswith("msgid"))
    assert re.findall(r".* [:»;?!%](?![(\w]).*|.*« .*|.*\xa0[;?!].*", said) == []


def test_every_text_of_the_templates_can_be_translated():
    """Words outside {% trans %} would stay English: what a template writes by itself is markup and marks only."""
    for path in sorted((resources.templates() / "reply").iterdir()):
        if path.suffix in {".txt", ".jinja"}:
            bare = re.sub(
                r"\{%-?\s*trans.*?endtrans\s*-?%\}|\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}",
                " ",
                re.sub(r"(?m)^  (?:mail2fax|systemctl) .*$", "", path.read_text("utf-8")),  # commands
                flags=re.DOTALL,
            )
            assert set(re.findall(r"[A-Za-z]{2,}", bare)) <= {"PDF", "yes"}, path.name


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_english_is_left_in_another_language(language):
    """Every outcome in French differs from English in each line that is words."""
    for name in OUTCOMES:
        lines = set(goldens.body(goldens.letter(name, language), "plain").splitlines())
        english = set(goldens.body(goldens.letter(name, "en"), "plain").splitlines())
        words = {line for line in lines & english if re.search(r"[a-z]{3}", line) and "+7dq2" not in line}
        words = {line for line in words if line.split()[0] != "Pages"}
        assert language == "en" or not words


# -- replaced


def test_the_shipped_templates_have_no_problems():
    """All of them write, in all languages, for all kinds of faxes."""
    assert Letters(Settings(), b"").problems() == []


def test_one_file_replaces_one_file(tmp_path, said):
    """The administrator's template speaks, and what it imports are still the shipped sentences."""
    (tmp_path / "delivered.txt").write_text(
        '{% import "words.jinja" as words with context %}ACME: {{ words.headline() }}'
    )
    made = letters(tmp_path)
    assert text(made) == "ACME: Your fax to (647) 495-9659 was delivered.\n"
    assert text(made, fax=samples.FAILED).startswith("Your fax to")
    assert made.problems() == [] and said() == ""


def test_a_shared_sentence_is_replaced_everywhere(tmp_path):
    """Replacing words.jinja changes text and HTML alike."""
    words = (
        ((resources.templates() / "reply") / "words.jinja")
        .read_text("utf-8")
        .replace("Questions?", "Call extension 42.")
    )
    (tmp_path / "words.jinja").write_text(words)
    made = letters(tmp_path).outcome(samples.MESSAGE, [samples.DELIVERED])
    assert all("extension 42" in goldens.body(made, kind) for kind in ("plain", "html"))


def test_a_change_is_seen_without_a_restart(tmp_path):
    """Templates are read again when they change."""
    path = tmp_path / "delivered.txt"
    path.write_text("one")
    made = letters(tmp_path)
    assert text(made) == "one\n"
    path.write_text("another")
    assert text(made) == "another\n"


BROKEN = {
    "syntax": ("{% if %}", "line 1"),
    "undefined": ("\n\nDear {{ nothing }}", "nothing"),
    "attribute": ("Dear {{ fax.nothing }}", "nothing"),
    "raises": ("{{ 1 / 0 }}", "division"),
    "empty": ("  \n", "writes nothing"),
    "unknown import": ('{% import "missing.jinja" as missing %}', "missing.jinja"),
    "unknown filter": ("{{ fax|nofilter }}", "nofilter"),
    "not text": (b"\xff\xfe\xff", "utf-8"),
    "class": ("{{ fax.__class__.__mro__ }}", "__class__"),
    "globals": ("{{ cycler.__init__.__globals__ }}", "__init__"),
    "changes": ("{% set _ = resend_addresses.update(x=1) %}", "update"),
    "endless": ("{% for n in range(1000000000) %}x{% endfor %}", "range"),
    "calls itself": ('{% include "failed.txt" %}', "recursion"),
}


def test_an_own_file_that_a_shipped_template_imports_is_in_the_sandbox_too(tmp_path, said):
    """Shipped templates are compiled without it; the administrator's words see nothing more by being read by them."""
    assert text(letters("")).startswith("Your fax to")
    words = (SHIPPED._shipped / "words.jinja").read_text("utf-8")
    assert "{% macro headline() %}" in words
    evil = words.replace("{% macro headline() %}", "{% macro headline() %}{{ cycler.__init__.__globals__ }}")
    (tmp_path / "words.jinja").write_text(evil, "utf-8")
    assert text(letters(tmp_path)).startswith("Your fax to") and "unsafe" in said()


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_template_never_silences_a_reply(tmp_path, said, name):
    """The shipped template speaks in its place, the log says so loudly, and `check` names file and fault."""
    source, fault = BROKEN[name]
    (tmp_path / "failed.txt").write_bytes(source.encode() if isinstance(source, str) else source)
    made = letters(tmp_path)
    assert text(made, fax=samples.FAILED) == goldens.body(goldens.letter("failed", "en"), "plain")
    assert '"level": "error"' in said() and "failed.txt" in said()
    problems = made.problems()
    assert problems and all("failed.txt" in problem for problem in problems)
    assert any(fault in problem for problem in problems), problems


@pytest.mark.parametrize("template", ["admin.txt", "admin-subject.txt"])
def test_a_broken_word_to_the_administrator_is_told_too(tmp_path, said, template):
    """The alert is sent in the shipped words, and `check` names the file."""
    (tmp_path / template).write_text("{{ nothing }}")
    made = letters(tmp_path)
    assert goldens.sent(made.admin("line-held", {"line": "a", "cause": "token"}))["Subject"] == (
        "mail2fax: faxes wait, the provider refuses the token of line a"
    )
    assert "template broken" in said()
    assert any(template in problem for problem in made.problems())


def test_a_broken_frame_falls_back_too(tmp_path, said):
    """A fault in what others extend or import is met by the shipped files all through."""
    (tmp_path / "layout.html").write_text("{{ nothing }}")
    (tmp_path / "subject.txt").write_text("{{ nothing }}")
    made = letters(tmp_path).outcome(samples.MESSAGE, [samples.DELIVERED])
    assert goldens.sent(made)["Subject"] == "Faxed to (647) 495-9659: Lab results"
    assert "<h1" in goldens.body(made, "html")
    assert said().count("template broken") == 2


def test_a_subject_of_several_lines_is_one_line(tmp_path):
    """An administrator's subject cannot break the header either."""
    (tmp_path / "subject.txt").write_text("Fax\r\nBcc: x@y\n\n{{ kind }}")
    assert (
        goldens.sent(letters(tmp_path).outcome(samples.MESSAGE, [samples.DELIVERED]))["Subject"]
        == "Fax Bcc: x@y delivered"
    )


def test_what_replaces_nothing_is_told(tmp_path):
    """A misspelt file name, a missing folder."""
    (tmp_path / "deliverd.html").write_text("x")
    (problem,) = letters(tmp_path).problems()
    assert "deliverd.html" in problem and "did you mean delivered.html?" in problem
    (problem,) = letters(tmp_path / "nowhere").problems()
    assert problem == f"[reply] templates: cannot read the folder {tmp_path / 'nowhere'}: No such file or directory"


# -- languages

GERMAN = """
msgid ""
msgstr ""
"Language: de_DE\\n"
"Content-Type: text/plain; charset=utf-8\\n"

msgid "Your fax to %(number)s was delivered."
msgstr "Ihr Fax an %(number)s ist angekommen."
"""


@pytest.fixture
def locale(tmp_path) -> Path:
    folder = tmp_path / "locale"
    folder.mkdir()
    return folder


def test_a_catalogue_adds_a_language(tmp_path, locale):
    """One file is enough: what it does not say is said in English, dates are written as in its locale."""
    (locale / "de.po").write_text(GERMAN)
    for made in (letters(tmp_path, language="de"), letters(tmp_path, languages={"*@clinic.example": "de"})):
        said = text(made)
        assert said.startswith("Ihr Fax an (647) 495-9659 ist angekommen.")
        assert "23. November 2026" in said and "Details" in said
        assert made.problems() == []
    german = replace(samples.MESSAGE, headers=replace(samples.MESSAGE.headers, languages=("de-CH",)))
    assert text(letters(tmp_path), german).startswith("Ihr Fax")


def test_a_catalogue_changes_single_texts(tmp_path, locale):
    """The administrator's French goes before the shipped French, which says the rest."""
    (locale / "fr.po").write_text(
        GERMAN.replace("de_DE", "fr_FR").replace("Ihr Fax an %(number)s ist angekommen.", "Fax livré : %(number)s.")
    )
    said = text(letters(tmp_path, language="fr"))
    assert said.startswith("Fax livré : (647) 495-9659.") and "Vous n’avez rien à faire." in said


@pytest.mark.parametrize("broken", ["msgid no quotes", '"Language: xx_YY\\n"', b"\xff\xfe"])
def test_a_broken_catalogue_is_told_and_left_out(tmp_path, locale, broken):
    """`check` names the file; replies are English meanwhile."""
    (locale / "de.po").write_bytes(broken if isinstance(broken, bytes) else broken.encode())
    made = letters(tmp_path, language="de")
    assert text(made).startswith("Your fax to")
    problems = made.problems()
    assert any("de.po" in problem for problem in problems)
    assert any('"de": there is no catalogue' in problem for problem in problems)


def test_a_translation_that_cannot_be_filled_falls_back(tmp_path, locale, said):
    """A wrong placeholder in the administrator's catalogue is met like a broken template."""
    (locale / "fr.po").write_text(GERMAN.replace("de_DE", "fr_CA").replace("an %(number)s ist", "an %(nummer)s ist"))
    made = letters(tmp_path, language="fr")
    assert text(made).startswith("Votre télécopie au (647) 495-9659 a été livrée.")
    assert "template broken" in said() and made.problems()


def test_the_page_for_administrators_names_every_variable_filter_and_file():
    """docs/replies.md lists what a template may use, and nothing else."""
    page = (Path(__file__).parents[2] / "docs" / "replies.md").read_text("utf-8")
    rows = page.partition("| variable |")[2].partition("\n\n")[0].splitlines()[2:]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    (_, message, faxes), *_ = samples.every()
    assert named == set(Draft("delivered", message, faxes, "en", "fax.local", "fax@fax.local").facts)
    there = SHIPPED._environment("en", False, False).filters
    own = {name for name, filter_ in there.items() if FILTERS.get(name) is not filter_}
    filters = re.search(r"^Filters: (.*)$", page, re.MULTILINE)[1]
    assert set(re.findall(r"`(\w+)`", filters)) == own
    files = {path.name for path in (resources.templates() / "reply").iterdir() if path.is_file()}
    outcomes = {f"{kind}.{form}" for kind in OUTCOMES for form in ("txt", "html")}
    assert files - outcomes == set(re.findall(r"`([a-z-]+\.(?:txt|html|jinja))`", page)) - outcomes
    pictures = re.findall(r"\((screenshots/[\w./-]+)\)", page)
    assert pictures and all((Path(__file__).parents[2] / "docs" / picture).is_file() for picture in pictures)


# -- words


@pytest.mark.parametrize("indent", [0, 4])
def test_paragraphs_are_wrapped_as_textwrap_does(indent):
    """Lines of 72 characters, no word broken, a space that must not be broken kept."""
    words = ["a", "to-day", "x" * 80, "courriel\u00a0;", "é" * 30, "word", "another", "  ", "\n"]
    for seed in range(300):
        text = " ".join(random.Random(seed).choices(words, k=40))
        line = re.sub(r"[ \n]+", " ", text).strip()
        expected = textwrap.fill(
            line, 72, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
        )
        assert wrapped(text, indent) == expected


@pytest.mark.parametrize("locale", ["en_CA", "fr_CA", "de", "ja"])
def test_times_are_written_as_babel_writes_them(locale):
    """Day and time apart, put together as the language does; the zone's own day, in summer and in winter."""
    wording = Wording(Locale.parse(locale), "America/Toronto")
    for hours in range(0, 24 * 366, 37):
        moment = datetime(2026, 1, 1, 0, 30, 7, tzinfo=UTC) + timedelta(hours=hours)
        there = moment.astimezone(ZoneInfo("America/Toronto"))
        long = format_datetime(there, "long", tzinfo=there.tzinfo, locale=locale)
        time = format_time(there, "long", tzinfo=there.tzinfo, locale=locale)
        short = format_time(there, "short", locale=locale)
        assert time in long
        expected = long.replace(time, f"{short} UTC{there:%z}"[:-2] + ":00")
        assert wording.when(moment) == expected.replace("\u202f", " ")


@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_cause_has_a_sentence_of_its_own(language):
    """What the provider says of a failure is told in words; only an unspoken cause is told as that."""
    letters = Letters(Settings(reply=Reply(language=language)), goldens.SECRET)
    said = {cause: _text(letters, {"cause": cause}) for cause in Cause}
    silent = _text(letters, {})
    assert len(set(said.values())) == len(Cause)
    assert [cause for cause, text in said.items() if text == silent] == [Cause.UNSPOKEN]


def test_a_fax_that_was_cut_says_how_many_pages_went_and_how_often_it_was_called():
    """Only where the provider tells it."""
    said = " ".join(_text(Letters(Settings(), goldens.SECRET), samples.PARTLY).split())
    assert "cut in the middle. It was called 3 times. 2 of 5 pages went; the others did not." in said


def _text(letters, detail):
    return text(letters, fax=replace(samples.FAILED, detail=detail))
