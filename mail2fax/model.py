"""The words everything else is said in: facts as frozen dataclasses, states and who moves them on, verdicts as types.

    Verdict
     +-- Temporary    not taken, surely: try again later (4yz)
     |    +-- LineHeld    the provider refuses the token: nobody on this line may go on (401, 403)
     +-- Permanent    refused for good (5yz)
     +-- Unclear      may or may not have been taken: never again by itself

No input or output, no clock, no settings here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
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
        # Only a person's word, `mail2fax resolve`, moves an unknown fax.
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
    NOTHING_FAXABLE = "nothing-faxable"  # no part of the mail could be faxed
    TOO_MANY_PAGES = "too-many-pages"  # detail: pages, limit
    MAIL_BOMB = "mail-bomb"  # too many parts, too deep, too large when unpacked
    PART_REFUSED = "part-refused"  # an attachment cannot be faxed, so nothing was; of a part: held back for others
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


@dataclass(frozen=True, slots=True)
class Headers:
    """What a reply needs of the mail's header. Decoded text, free of control characters."""

    subject: str = ""
    message_id: str = ""  # with its angle brackets
    references: tuple[str, ...] = ()
    from_: str = ""
    date: str = ""
    languages: tuple[str, ...] = ()  # Content-Language, then Accept-Language


@dataclass(frozen=True, slots=True)
class Recipient:
    """One RCPT that was accepted: one fax."""

    address: str  # the path as the client gave it
    number: str  # ten digits
    cover: bool = False  # asked for a cover page
    notify: frozenset[str] | None = None  # RFC 3461 NOTIFY; None when not given
    orcpt: str = ""  # RFC 3461 ORCPT, decoded, "rfc822;someone@example.org"
    line: str = ""  # the fax line chosen for this sender and number; "" is that of [provider]


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may log in: one line of the users file."""

    name: str
    hash: str = field(repr=False)
    roles: frozenset[str] = frozenset()  # rights at the operator's page: "look", "act", "documents"
    patterns: tuple[str, ...] = ()  # reverse-paths this login may use; () leaves it to [smtp] allowed_senders


@dataclass(frozen=True, slots=True)
class Envelope:
    """RFC 5321's envelope, and who brought it."""

    reverse_path: str  # "" is the null reverse-path
    recipients: tuple[Recipient, ...]
    client: str  # the peer's address, or "command line"
    helo: str = ""
    user: str = ""  # who logged in; "" when nobody did
    ret: str = ""  # RFC 3461 RET: "FULL", "HDRS" or ""
    envid: str = ""  # RFC 3461 ENVID, decoded


@dataclass(frozen=True, slots=True)
class Receipt:
    """What `spool.put` promises: on disk, under this queue id."""

    queue_id: str
    duplicates: tuple[str, ...] = ()  # recipients whose fax was already accepted with the very same bytes


@dataclass(frozen=True, slots=True)
class Message:
    """A mail as it stands in the spool."""

    id: str
    received_at: datetime
    envelope: Envelope  # its recipients are empty here: each stands in its Fax
    size: int
    sha256: str
    headers: Headers = Headers()
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class Fax:
    """One recipient of one mail: the row that moves through the states."""

    id: str
    message_id: str
    sender: str  # the reverse-path, case folded
    recipient: str  # the address as the client gave it
    number: str  # ten digits
    line: str
    state: State
    received_at: datetime
    cover: bool = False
    notify: frozenset[str] | None = None
    orcpt: str = ""
    attempts: int = 0  # in the present state; set back to 0 when the state changes
    submissions: int = 0  # how many POSTs were begun
    due_at: datetime | None = None  # None: nobody must act
    prepared_at: datetime | None = None  # since when it may be offered: anew when a held line opens, or at a release
    submitted_at: datetime | None = None
    finished_at: datetime | None = None
    replied_at: datetime | None = None
    reply: str = ""  # "", "sent", "suppressed" or "undeliverable"
    provider_ref: str = ""
    progress: str = ""  # the provider's last word
    document_id: str = ""
    pages: int | None = None
    status: str = ""  # enhanced status code of the outcome, RFC 3463
    reason: Reason | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    held_by: str = ""  # who holds it; "" when nobody does
    retry_of: str = ""
    noticed_at: datetime | None = None  # when the sender was told of a delay
    lease: str = ""  # the token under which we may write
    now: datetime | None = None  # the database's clock when it was read

    @property
    def final(self) -> bool:
        """Whether the outcome is known, so that only the reply is left."""
        return self.state in FINAL

    @property
    def age(self) -> float:
        """Seconds since it was received, when this row was read."""
        return (self.now - self.received_at).total_seconds() if self.now else 0.0


ERROR = "error"  # the event of a step that ended in an error of our own


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a fax's history, never changed."""

    fax_id: str
    at: datetime
    what: str  # a state's name, or "retry", "poll", "hold", "reply", …
    who: str  # the node, or the person at the command line
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Document:
    """The prepared PDF that is handed to the provider."""

    id: str
    message_id: str
    pages: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A mail that is owed besides the outcome of a fax."""

    id: str
    kind: str  # "delayed", "again", "passed-on": to the sender; "postmaster": passed on as it is; "admin"
    recipient: str
    created_at: datetime
    fax_id: str = ""
    message_id: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
    attempts: int = 0
    lease: str = ""
    now: datetime | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What has been faxed lately, for the budgets in [limits]. Pages count once the document is prepared."""

    faxes_hour: int = 0
    faxes_day: int = 0
    pages_hour: int = 0
    pages_day: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """A fax line at the provider. Its repr never shows the token."""

    name: str
    token: str = field(repr=False)
    account: str = ""  # what the provider calls the account, project or connection
    from_number: str = ""  # ten digits; "" leaves it to the provider
    options: Mapping[str, Any] = field(default_factory=dict)  # what only this kind of provider has


@dataclass(frozen=True, slots=True)
class Progress:
    """What the provider says of a fax: its word, the final state if the word is a last one, and what else it tells.

    None and "" are what it does not tell.
    """

    word: str
    final: State | None = None
    known: bool = True  # whether the provider's document names this word
    pages_sent: int | None = None  # that the other side confirmed
    pages: int | None = None  # that it made of the document
    calls: int | None = None  # attempts on the line
    cause: Cause | None = None
    code: str = ""  # theirs, word for word
    remote_id: str = ""  # what the other fax machine calls itself
    seconds: float | None = None  # on the line
    cost: str = ""  # a decimal number
    currency: str = ""  # ISO 4217

    @property
    def facts(self) -> dict[str, Any]:
        """What is known besides the word, by name: the detail of an outcome."""
        values = {name: getattr(self, name) for name in _TOLD}
        return {name: value for name, value in values.items() if value not in {None, ""}}


_TOLD = ("pages_sent", "pages", "calls", "cause", "code", "remote_id", "seconds", "cost", "currency")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider tells and can do, so that nothing is promised that it does not keep."""

    finds: bool = False  # it can be asked whether it took a fax: a lost answer is settled
    cancels: bool = False  # a fax that it has can be stopped
    forgets: bool = False  # it keeps the document of a fax that is over, and can be told to delete it
    tells_pages: bool = False
    tells_cause: bool = False
    tells_cost: bool = False
    dials_again: bool = True  # by itself, when a line is busy; where it does not, we offer the fax again
    max_pages: int | None = None
    max_bytes: int | None = None
    polls_per_minute: int | None = None
    countries: tuple[str, ...] = ("CA", "US")


@dataclass(frozen=True, slots=True)
class Trace:
    """What a search for a fax whose answer was lost has found."""

    ref: str = ""  # it was taken, under this reference
    never: bool = False  # it was not, and never will be: proved, not merely not seen


class Stopped(StrEnum):
    """What became of the wish to stop a fax at the provider."""

    ASKED = "asked"  # it will be stopped, or is: the next look tells
    TOO_LATE = "too-late"  # it is over
    CANNOT = "cannot"  # this provider has no such thing


class Verdict(Exception):  # noqa: N818 -- a verdict on an attempt, not only an error
    """Why a step did not go through, with what the sender is to be told.

    `status` is an enhanced status code (RFC 3463), `reason` and `detail` choose and fill the sentence in the
    templates, `note` is one line for operators, free of secrets.
    """

    status = "4.0.0"

    def __init__(
        self,
        reason: Reason,
        status: str | None = None,
        *,
        note: str = "",
        retry_after: float | None = None,
        **detail: Any,
    ) -> None:
        super().__init__(note or reason.value)
        self.reason = reason
        self.status = status or type(self).status
        self.note = note or reason.value
        self.retry_after = retry_after  # seconds, when the other side asked for it
        self.detail = detail


class Temporary(Verdict):
    """Surely not taken: safe to try again."""

    status = "4.4.1"


class LineHeld(Temporary):
    """The provider refuses the line's token: every fax of this line waits, nothing is bounced."""

    status = "4.7.8"


class Permanent(Verdict):
    """Refused for good."""

    status = "5.0.0"


class Unclear(Verdict):
    """May or may not have been taken. Never sent again by itself: promise 2."""

    status = "4.4.2"


class LeaseLost(Exception):  # noqa: N818 -- a fact about who may write
    """Somebody else may be acting on this fax now: write nothing."""


class Refused(Exception):  # noqa: N818 -- an answer to an operator
    """What an operator asked for makes no sense for this fax. The text says why and what would."""
