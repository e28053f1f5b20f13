"""Delivery status notifications: who gets one, and what mail servers read in it (RFC 3461, 3464, 6522)."""

from dataclasses import replace
from email.utils import parsedate_to_datetime

import pytest

from mail2fax.model import Envelope, State
from mail2fax.replies import samples
from mail2fax.replies.letters import wanted
from tests.support import goldens

ASKED = frozenset({"SUCCESS", "FAILURE", "DELAY"})
STATES = {
    "delivered": samples.DELIVERED,
    "failed": samples.FAILED,
    "unknown": samples.UNKNOWN,
    "cancelled": samples.CANCELLED,
    "delayed": samples.WAITING,
}
ENGLISH = goldens.letters()


sent = goldens.sent


def report(fax, message=samples.MESSAGE, **reply):
    letters = goldens.letters(**reply)
    if not fax.final:
        return sent(letters.delayed(message, fax, next_at=samples.ACCEPTED))
    return sent(letters.outcome(message, [fax]))


def fields(letter):
    """The groups of fields in the report's second part: the mail's, then each recipient's."""
    return letter.get_payload(1).get_payload()


WANTED = {  # RFC 3461 section 4.1
    None: {"delivered", "failed", "unknown", "cancelled", "delayed"},
    frozenset({"NEVER"}): set(),
    frozenset({"SUCCESS"}): {"delivered", "unknown"},
    frozenset({"FAILURE"}): {"failed", "cancelled", "unknown"},
    frozenset({"DELAY"}): {"delayed", "unknown"},
    frozenset({"SUCCESS", "FAILURE"}): {"delivered", "failed", "cancelled", "unknown"},
    ASKED: {"delivered", "failed", "unknown", "cancelled", "delayed"},
}


def named(notify) -> str:
    """The same in every process: a set prints in any order."""
    return "none" if notify is None else ",".join(sorted(notify))


@pytest.mark.parametrize("name", STATES)
@pytest.mark.parametrize("notify", WANTED, ids=named)
def test_notify_decides_who_hears(name, notify):
    """NEVER silences all; what is not asked for is kept back, but never that a fax may have arrived."""
    assert wanted(replace(STATES[name], notify=notify)) is (name in WANTED[notify])


@pytest.mark.parametrize("name", STATES)
@pytest.mark.parametrize("notify", [None, ASKED], ids=named)
@pytest.mark.parametrize("form", ["mail", "dsn"])
def test_who_asked_gets_a_report(name, notify, form):
    """A report is sent where NOTIFY asks, and for failures where the administrator wants it so; never on an unknown fax."""
    letter = report(replace(STATES[name], notify=notify), failure_format=form)
    due = name != "unknown" and (notify is not None or (form == "dsn" and name in ("failed", "cancelled")))
    assert (letter.get_content_type() == "multipart/report") is due


@pytest.mark.parametrize(
    ("name", "action", "status"),
    [
        ("delivered", "delivered", "2.0.0"),
        ("failed", "failed", "5.0.0"),
        ("cancelled", "failed", "5.7.0"),
        ("delayed", "delayed", "4.0.0"),
    ],
)
def test_a_report_has_what_a_mail_server_reads(name, action, status):
    """RFC 3464: the three parts in order, the fields each group must have, and the sender's own ids."""
    message = replace(
        samples.MESSAGE, envelope=Envelope("anna@clinic.example", (), "192.0.2.1", "relay.example", envid="A+B=C")
    )
    letter = report(replace(STATES[name], notify=ASKED, orcpt="rfc822;Big.Fax@clinic.example"), message)
    assert letter["Content-Type"].params["report-type"] == "delivery-status"
    kinds = [part.get_content_type() for part in letter.iter_parts()]
    assert kinds == ["multipart/alternative", "message/delivery-status", "text/rfc822-headers"]
    of_mail, of_fax = fields(letter)
    assert dict(of_mail.items()) == {
        "Original-Envelope-Id": "A+B=C",
        "Reporting-MTA": "dns; fax.local",
        "Received-From-MTA": "dns; relay.example",
        "Arrival-Date": "Mon, 23 Nov 2026 19:03:55 +0000",
    }
    assert (of_fax["Action"], of_fax["Status"]) == (action, status)
    assert of_fax["Original-Recipient"] == "rfc822; Big.Fax@clinic.example"
    assert of_fax["Final-Recipient"] == "rfc822; 6474959659@fax.local"
    assert of_fax["Final-Log-ID"] == samples.DELIVERED.id
    assert parsedate_to_datetime(of_mail["Arrival-Date"]) == samples.ACCEPTED
    assert "Message-ID: <1a2b3c@clinic.example>" in letter.get_payload(2).get_content()


def test_a_failure_without_a_reason_has_the_general_code():
    """RFC 3461 section 6.3: 5.0.0, and the provider's own word as the diagnostic."""
    (_, of_fax) = fields(report(replace(samples.FAILED, notify=ASKED)))
    assert of_fax["Status"] == "5.0.0" and of_fax["Diagnostic-Code"] == "x-fax; provider-failed Failed"


@pytest.mark.parametrize(
    ("state", "status", "told"),
    [
        ("failed", "4.4.7", "4.4.7"),
        ("failed", "2.0.0", "5.0.0"),
        ("failed", "", "5.0.0"),
        ("delivered", "5.0.0", "2.0.0"),
    ],
)
def test_the_status_fits_the_action(state, status, told):
    """A class that contradicts the action is replaced by the general code."""
    (_, of_fax) = fields(report(replace(STATES[state], status=status, notify=ASKED)))
    assert of_fax["Status"] == told


def test_what_was_not_given_is_not_made_up():
    """No ENVID, no ORCPT, no HELO: no field."""
    message = replace(samples.MESSAGE, envelope=Envelope("anna@clinic.example", (), "192.0.2.1"))
    of_mail, of_fax = fields(report(replace(samples.REFUSED, notify=ASKED, progress="", reason=None), message))
    assert set(of_mail.keys()) == {"Reporting-MTA", "Arrival-Date"}
    assert set(of_fax.keys()) == {"Final-Recipient", "Action", "Status", "Final-Log-ID"}


def test_a_report_on_several_has_a_group_for_each():
    """A summary reports each recipient; one that is unknown makes it a plain mail, for it cannot be reported."""
    several = [replace(fax, notify=ASKED) for fax in samples.SUMMARY]
    letter = sent(ENGLISH.outcome(samples.MESSAGE, several[:2]))
    assert [group["Action"] for group in fields(letter)[1:]] == ["delivered", "failed"]
    assert sent(ENGLISH.outcome(samples.MESSAGE, several)).get_content_type() == "multipart/alternative"


def test_long_and_foreign_ids_stay_ascii_and_whole():
    """An ENVID or ORCPT of the longest allowed size is not encoded, cut or folded within."""
    long = "x" * 480
    fax = replace(samples.FAILED, notify=ASKED, orcpt=f"rfc822;{long}@é.ca")
    raw = ENGLISH.outcome(samples.MESSAGE, [fax])
    assert raw.isascii() and f"Original-Recipient: rfc822;\r\n {long}@?.ca".encode() in raw


def test_the_document_is_never_returned():
    """RET=FULL asks for the mail itself; it may be for the fax's recipient only, so its header is what returns."""
    message = replace(samples.MESSAGE, envelope=replace(samples.MESSAGE.envelope, ret="FULL"))
    letter = report(replace(samples.FAILED, notify=ASKED), message)
    assert letter.get_payload(2).get_content_type() == "text/rfc822-headers"
    assert not any(part.get_content_type() == "application/pdf" for part in letter.walk())


def test_every_state_is_spoken_of():
    """No state is left without a rule here."""
    assert {fax.state for fax in STATES.values()} | {State.RECEIVED, State.SUBMITTING, State.SUBMITTED} == set(State)
