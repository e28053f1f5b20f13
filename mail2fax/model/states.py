"""Where a fax is and how it ended: states and who moves them on, reasons and causes, the account of a mail."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any


class State(StrEnum):
    """Where a fax is. docs/flow.md draws it; a test holds that picture against NEXT."""

    RECEIVED = "received"  # prepare acts: take the PDFs out, make one document
    PREPARED = "prepared"  # submit acts: hand the document to the provider
    SUBMITTING = "submitting"  # committed just before the last bytes of the POST
    SUBMITTED = "submitted"  # poll acts: the provider has it and gave a reference
    DELIVERED = "delivered"  # reply acts
    FAILED = "failed"  # reply acts
    UNKNOWN = "unknown"  # reply acts; a person may resolve it
    CANCELLED = "cancelled"  # reply acts


NEXT: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        State.RECEIVED: frozenset({State.PREPARED, State.FAILED, State.CANCELLED}),
        State.PREPARED: frozenset({State.SUBMITTING, State.FAILED, State.CANCELLED}),
        State.SUBMITTING: frozenset({State.SUBMITTED, State.PREPARED, State.FAILED, State.UNKNOWN}),
        # Back to `prepared` to be dialled again, where the provider does not and it is proved that no page went.
        State.SUBMITTED: frozenset({State.DELIVERED, State.FAILED, State.UNKNOWN, State.CANCELLED, State.PREPARED}),
        State.DELIVERED: frozenset(),
        State.FAILED: frozenset(),
        # A person's word, `mail2fax resolve`; or the provider's own, that could be written down only now.
        State.UNKNOWN: frozenset({State.DELIVERED, State.FAILED, State.SUBMITTED}),
        State.CANCELLED: frozenset(),
    }
)


WAITING = frozenset({State.RECEIVED, State.PREPARED})  # not at the provider: can be held and cancelled


FINAL = frozenset({State.DELIVERED, State.FAILED, State.UNKNOWN, State.CANCELLED})


class Reason(StrEnum):
    """Why a fax or a part of a mail met its fate. templates/reply turns each into a sentence for people.

    The value is what the spool, `--json` and the machine-readable reply say.
    """

    # -- a fax as a whole
    NUMBER_MISTYPED = "number-mistyped"  # detail: typed, and what is known of digits, number, extension
    NOTHING_FAXABLE = "nothing-faxable"  # no part of the mail could be faxed
    TOO_MANY_PAGES = "too-many-pages"  # detail: pages, limit
    MAIL_BOMB = "mail-bomb"  # too many parts, too deep, too large when unpacked
    PART_REFUSED = "part-refused"  # an attachment cannot be faxed, so nothing was; of a part: held back for others
    TOO_LARGE = "too-large"  # for the provider; detail: size and limit in bytes where the limit is known, else http
    PROVIDER_FAILED = "provider-failed"  # the provider's last word is Failed; it gives no reason
    PROVIDER_REFUSED = "provider-refused"  # a 4xx answer; detail: http
    GAVE_UP = "gave-up"  # the provider took nothing until [retry] give_up; detail: hours
    NO_ANSWER = "no-answer"  # the answer to the POST was lost or made no sense
    NO_FINAL_WORD = "no-final-word"  # submitted, and no last word until [poll] deadline; detail: hours
    INTERRUPTED = "interrupted"  # mail2fax was stopped while the provider was answering
    CANCELLED_BY_OPERATOR = "cancelled-by-operator"
    CANCELLED_BY_SENDER = "cancelled-by-sender"
    RESOLVED_BY_OPERATOR = "resolved-by-operator"
    INTERNAL = "internal"  # our own fault, after every attempt
    # -- why an attempt did not get through (Temporary)
    PROVIDER_UNREACHABLE = "provider-unreachable"
    PROVIDER_BUSY = "provider-busy"
    LINE_HELD = "line-held"
    # -- why a reply could not be handed over
    RELAY_UNREACHABLE = "relay-unreachable"
    RELAY_DEFERRED = "relay-deferred"
    RELAY_REFUSED = "relay-refused"
    # -- a part of the mail: refused; of a fax, when it was the only attachment
    LOCKED = "locked"  # needs a password to open
    DAMAGED = "damaged"  # cannot be read, or pages would be lost
    EMPTY = "empty"  # no bytes, or no pages
    NOT_A_PDF = "not-a-pdf"  # claims to be a PDF; detail: actual
    DYNAMIC_FORM = "dynamic-form"  # XFA only: print to PDF first
    TOO_COMPLEX = "too-complex"  # over the memory or time limits
    UNSUPPORTED = "unsupported"  # detail: kind
    UNDECODABLE = "undecodable"  # the transfer encoding is broken
    ENCRYPTED_MAIL = "encrypted-mail"  # S/MIME or PGP encrypted
    SPLIT_MAIL = "split-mail"  # one piece of a mail that was cut into several (message/partial)
    NOT_REACHABLE = "not-reachable"  # inside a container that cannot be opened (OLE object in winmail.dat, zip)
    # -- a part of the mail: ignored
    MAIL_TEXT = "mail-text"
    ALTERNATIVE = "alternative"  # another form of a part that was used
    SIGNATURE_IMAGE = "signature-image"
    CALENDAR = "calendar"
    CRYPTO_SIGNATURE = "crypto-signature"
    DELIVERY_REPORT = "delivery-report"
    CONTACT_CARD = "contact-card"
    OPENED = "opened"  # a folder of documents, which are listed themselves
    ENCLOSED = "enclosed"  # a file inside a PDF whose pages do not show it


class Cause(StrEnum):
    """Why a fax that the provider took did not arrive: one vocabulary for all of them. templates/reply says it."""

    BUSY = "busy"  # no page went
    NO_ANSWER = "no-answer"  # it rang; no page went
    NO_FAX = "no-fax"  # a voice or a silence answered
    NUMBER_INVALID = "number-invalid"
    NOT_PERMITTED = "not-permitted"
    LINE_TROUBLE = "line-trouble"  # no call could be made, or the two fax machines did not agree
    HUNG_UP = "hung-up"  # cut in the middle: some pages may have arrived
    DOCUMENT = "document"
    ACCOUNT = "account"  # no credit, a limit of the contract
    CANCELLED = "cancelled"  # at the provider
    PROVIDER = "provider"  # its own fault
    UNSPOKEN = "unspoken"


NO_PAGE_WENT = frozenset({Cause.BUSY, Cause.NO_ANSWER})
"""Causes that prove it, and that another call may mend."""


NO_CREDIT = "no-credit"
"""The kind of a fax line's trouble that only a poll finds, and only a poll takes back: faxes are taken all along."""

HELD_KINDS = frozenset({"held", NO_CREDIT})
"""Kinds of trouble that somebody has to mend: the line's faxes wait, and none is bounced meanwhile."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a fax ended, as the sender is told."""

    state: State
    status: str  # enhanced status code, RFC 3463
    reason: Reason | None = None  # None only when delivered
    detail: Mapping[str, Any] = field(default_factory=dict)


class Fate(StrEnum):
    """What became of one part of a mail. Promise 4: every part has one."""

    FAXED = "faxed"
    IGNORED = "ignored"
    REFUSED = "refused"
    HELD = "held"  # could be faxed, and was not because of the others


@dataclass(frozen=True, slots=True)
class Part:
    """One line of the account: what a part of the mail was, and what became of it."""

    name: str  # as the sender named it, made printable; "" when it had none
    kind: str  # content type as found by content, "application/pdf"
    size: int  # bytes, decoded
    fate: Fate
    reason: Reason | None = None  # None only when faxed
    detail: Mapping[str, Any] = field(default_factory=dict)
    pages: int | None = None
    # what was done to it, what a fax may not show ("shrunk", "small-print:2,5"); templates/reply/account.jinja has all
    notes: tuple[str, ...] = ()
