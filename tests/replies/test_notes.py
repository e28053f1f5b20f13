"""The account's words for what was done to a page and what a fax may not show."""

from dataclasses import replace

import pytest

from mail2fax.model import Fate, Part
from mail2fax.replies import samples
from tests.support import goldens

DONE = ("darkened", "cleaned", "screened")
TOLD = ("small-print", "pale", "photographed", "blank", "upside-down", "black-page")


def account(note: str, language: str) -> str:
    """The delivered letter's text about a part with this note."""
    part = Part("Report.pdf", "application/pdf", 1000, Fate.FAXED, pages=9, notes=(note,))
    message = replace(samples.MESSAGE, parts=(part,))
    letter = goldens.letters(language=language).outcome(message, [samples.DELIVERED])
    return " ".join(goldens.body(letter, "plain").split())


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("note", DONE + TOLD)
def test_every_note_has_words(note, language):
    """In both languages, and never as the bare word that the program uses."""
    said = account(note, language)
    assert " pages (" in said
    assert f"({note})" not in said


@pytest.mark.parametrize(
    ("language", "one", "two"), [("en", "(page 2)", "(pages 2, 5)"), ("fr", "(page 2)", "(pages 2, 5)")]
)
def test_a_note_names_its_pages(language, one, two):
    """When it is not about every page."""
    assert one in account("small-print:2", language)
    assert two in account("small-print:2,5", language)
