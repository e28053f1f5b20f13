"""What is said of a fax and its parts, by how it stands."""

import datetime as dt

import pytest

from mail2fax.model import Fate, Fax, Part, Reason, State
from mail2fax.rules import advice

AT = dt.datetime(2026, 11, 28, tzinfo=dt.UTC)


def fax(state, reason=None):
    return Fax("A-1", "A", "anna@office.example", "1@fax.local", "4165550100", "", state, AT, reason=reason)


def test_a_part_is_faxed_only_once_its_fax_was():
    """Nobody reads "faxed" of what failed, was cancelled, or may have arrived; a part left out stays what it was."""
    part = Part("a.pdf", "application/pdf", 10, Fate.FAXED)
    assert [state for state in State if advice.came_of(part, state) == "faxed"] == [State.DELIVERED]
    assert advice.came_of(Part("a.txt", "text/plain", 10, Fate.IGNORED, Reason.MAIL_TEXT), State.FAILED) == "ignored"


@pytest.mark.parametrize("reason", [Reason.NOTHING_FAXABLE, Reason.PART_REFUSED, Reason.TOO_LARGE])
def test_what_fails_for_its_mail_is_not_sent_again(reason):
    """It would fail again: nobody is invited to try."""
    assert "retry" not in advice.advice(fax(State.FAILED, reason))
    assert "retry" in advice.advice(fax(State.FAILED, Reason.PROVIDER_FAILED))
