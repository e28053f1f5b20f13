"""What is known of mails, faxes and people, as frozen dataclasses: a change makes a new one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mail2fax.model.states import FINAL, Part, Reason, State


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
    number: str  # ten digits; "" when it was mistyped, to be told in a reply
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
    number: str  # ten digits; "" when it was mistyped: then it is never dialled
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
        """Seconds since it was received, when this row was read; never less than none, whatever the clock did."""
        return max(0.0, (self.now - self.received_at).total_seconds()) if self.now else 0.0


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
