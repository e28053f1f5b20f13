"""Made-up mails and faxes of every kind, for trying templates before a sender meets them. Pure."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from mail2fax.model import Cause, Envelope, Fate, Fax, Headers, Message, Part, Reason, State

ACCEPTED = datetime(2026, 11, 23, 19, 3, 55, tzinfo=UTC)

PARTS = (
    Part("", "text/plain", 312, Fate.IGNORED, Reason.MAIL_TEXT),
    Part("Lab results.pdf", "application/pdf", 184_320, Fate.FAXED, pages=3, notes=("shrunk",)),
    Part("logo.png", "image/png", 4_210, Fate.IGNORED, Reason.SIGNATURE_IMAGE),
)
_WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
REFUSED_PARTS = (
    PARTS[0],
    replace(PARTS[1], fate=Fate.HELD, reason=Reason.PART_REFUSED),
    Part("Consent form.pdf", "application/pdf", 92_160, Fate.REFUSED, Reason.LOCKED),
    Part("Letter.docx", _WORD, 18_044, Fate.REFUSED, Reason.UNSUPPORTED, {"kind": _WORD}),
)
HELD_PARTS = (PARTS[0], replace(PARTS[1], fate=Fate.HELD, reason=Reason.PART_REFUSED), REFUSED_PARTS[2])
MESSAGE = Message(
    id="7DQ2M4X9KT1B8",
    received_at=ACCEPTED,
    envelope=Envelope("anna@clinic.example", (), "192.0.2.10", "mail.clinic.example"),
    size=260_000,
    sha256="0" * 64,
    headers=Headers("Lab results", "<1a2b3c@clinic.example>", (), "Anna <anna@clinic.example>"),
    parts=PARTS,
)
DELIVERED = Fax(
    id=f"{MESSAGE.id}-1",
    message_id=MESSAGE.id,
    sender="anna@clinic.example",
    recipient="6474959659@fax.local",
    number="6474959659",
    line="",
    state=State.DELIVERED,
    received_at=ACCEPTED,
    submissions=1,
    submitted_at=ACCEPTED + timedelta(seconds=2),
    finished_at=ACCEPTED + timedelta(seconds=79),
    provider_ref="4f11W59b-0c1d-4e8a-9b7e",
    progress="Success",
    document_id=f"{MESSAGE.id}..1",
    pages=3,
    status="2.0.0",
)
FAILED = replace(
    DELIVERED, state=State.FAILED, progress="Failed", status="5.0.0", reason=Reason.PROVIDER_FAILED, submissions=2
)
UNKNOWN = replace(DELIVERED, state=State.UNKNOWN, progress="", provider_ref="", status="4.4.2", reason=Reason.NO_ANSWER)
CANCELLED = replace(
    DELIVERED,
    state=State.CANCELLED,
    submissions=0,
    submitted_at=None,
    progress="",
    provider_ref="",
    status="5.7.0",
    reason=Reason.CANCELLED_BY_SENDER,
)
REFUSED = replace(CANCELLED, state=State.FAILED, status="5.6.0", reason=Reason.PART_REFUSED, document_id="", pages=None)
MISTYPED = replace(
    REFUSED,
    recipient="416555010@fax.local",
    number="",
    status="5.1.3",
    reason=Reason.NUMBER_MISTYPED,
    detail={"typed": "416555010", "digits": 9},
)
WAITING = replace(
    DELIVERED, state=State.PREPARED, submitted_at=None, finished_at=None, provider_ref="", progress="", status=""
)
PARTLY = {"cause": Cause.HUNG_UP, "pages_sent": 2, "pages": 5, "calls": 3}
SENDING = replace(DELIVERED, state=State.SUBMITTED, finished_at=None, progress="Sending", status="")
SUMMARY = (
    DELIVERED,
    replace(FAILED, id=f"{MESSAGE.id}-2", number="4165551234"),
    replace(UNKNOWN, id=f"{MESSAGE.id}-3", number="8005551234"),
)
_HELD = {"kind": "line-held", "line": "", "cause": "", "note": "", "fax": FAILED.id, "sender": FAILED.sender}
ALERTS: dict[str, dict[str, Any]] = {
    "undeliverable": {
        "kind": "undeliverable",
        "fax": FAILED.id,
        "sender": FAILED.sender,
        "note": "mail.example:25 answered RCPT with 550 5.1.1 no such user",
    },
    "line-held": {
        **_HELD,
        "line": "accounting",
        "token_file": "/etc/mail2fax/accounting.token",
        "cause": "token",
        "note": "the provider refuses the line's token (401)",
    },
    "no-credit": {**_HELD, "cause": "credit", "note": "the line's account has no credit (402)"},
    "no-api": {
        **_HELD,
        "cause": "address",
        "note": "nothing takes faxes at this address: see [provider] url (404)",
    },
    "no-line": {**_HELD, "line": "lab", "note": 'there is no [[line]] named "lab" any more'},
    "line-open": {"kind": "line-open", "line": ""},
    "not-known": {"kind": "unknown", "fax": UNKNOWN.id, "sender": UNKNOWN.sender, "line": "", "note": ""},
    "daily": {
        "kind": "daily",
        "day": "2026-11-27",
        "received": 14,
        "delivered": 11,
        "pages": 37,
        "failed": 1,
        "unknown": 1,
        "cancelled": 0,
        "waiting": 1,
        "held": 0,
        "undeliverable": 1,
        "shut": ["accounting"],
        "paused": "",
    },
}


def every() -> Iterator[tuple[str, Message, tuple[Fax, ...]]]:
    """The kind of reply, and what it would be about: each kind, each reason, and as little as may be known."""
    yield "delivered", MESSAGE, (DELIVERED,)
    yield "delivered", replace(MESSAGE, headers=Headers(), parts=()), (replace(DELIVERED, pages=None),)
    yield "delivered", replace(MESSAGE, parts=(*PARTS, REFUSED_PARTS[3])), (DELIVERED,)
    yield "delayed", MESSAGE, (WAITING,)
    yield "delayed", MESSAGE, (SENDING,)
    yield "delayed", MESSAGE, (replace(WAITING, reason=Reason.LINE_HELD),)
    yield "delayed", MESSAGE, (replace(WAITING, held_by="kim"),)
    yield "failed", replace(MESSAGE, parts=HELD_PARTS), (REFUSED,)
    yield "failed", MESSAGE, (MISTYPED,)
    yield "passed-on", MESSAGE, (MISTYPED,)
    yield "unknown", MESSAGE, (UNKNOWN,)
    yield "cancelled", MESSAGE, (CANCELLED,)
    yield "failed", MESSAGE, (replace(FAILED, retry_of=UNKNOWN.id),)
    yield "failed", MESSAGE, (replace(FAILED, detail=PARTLY),)
    yield "summary", MESSAGE, SUMMARY
    yield "again", MESSAGE, (replace(WAITING, id=f"{MESSAGE.id}-2", retry_of=FAILED.id),)
    yield "passed-on", MESSAGE, (FAILED,)
    parts = (replace(PARTS[0], name=reason.value, fate=Fate.REFUSED, reason=reason) for reason in Reason)
    yield "failed", replace(MESSAGE, parts=(*REFUSED_PARTS, *parts)), (REFUSED,)
