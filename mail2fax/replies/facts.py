"""What the templates of the replies are given: the variables by name. Pure.

docs/replies.md lists them for administrators who write their own templates.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from mail2fax.model import Fate, Fax, Message, Part, Reason, State
from mail2fax.model.text import cut
from mail2fax.replies.headers import clean

_TYPED = 32
_WORST_FIRST = (State.UNKNOWN, State.FAILED, State.CANCELLED, State.DELIVERED)


@dataclass(frozen=True, slots=True)
class Draft:
    """One reply before it is put in words."""

    kind: str  # which template: an outcome's, or "delayed", "again", "passed-on", "summary"
    message: Message
    faxes: Sequence[Fax]
    language: str
    host: str  # the name mail2fax greets with
    sender: str  # whom people may ask
    next_at: datetime | None = None  # of the next attempt, when delayed
    resend_until: datetime | None = None  # None: this mail cannot be answered to send again
    resend_addresses: Mapping[str, str] = field(default_factory=dict)  # by queue id
    cancel_address: str = ""
    preview: str = ""  # content id of the picture of the first page
    admin_told: bool = False  # "delayed": whether somebody hears of a line that is out of order
    fresh: bool = False  # "again": nothing was sent to this number before
    doubt: str = ""  # "passed-on": what was not clear in the answer
    notice_id: str = ""  # where there may be several letters of this kind about one fax
    numbers: int = 1  # how many the mail went to, each with a reply of its own

    @property
    def fax(self) -> Fax | None:
        """The fax it is about; None in a summary."""
        return self.faxes[0] if self.kind != "summary" else None

    @property
    def tone(self) -> str:
        """Which colour: a summary has that of its worst outcome."""
        if self.kind == "delivered" and self.refused:
            return "part"
        states = {fax.state for fax in self.faxes}
        return self.kind if self.fax else next(state for state in _WORST_FIRST if state in states).value

    @property
    def reply_to(self) -> str:
        """Where an answer goes that asks for something; "" leaves it to the people behind From."""
        if self.cancel_address or not (self.fax and self.resend_until):
            return self.cancel_address
        return self.resend_addresses[self.fax.id]

    @property
    def may_have_arrived(self) -> bool:
        """Whether a bare answer is not enough to send it again: it would perhaps arrive twice."""
        return any(fax.state is State.UNKNOWN or bool(fax.retry_of) for fax in self.faxes)

    @property
    def attachments(self) -> list[Part]:
        """The parts, without the mail's own text."""
        return [part for part in self.message.parts if part.reason is not Reason.MAIL_TEXT]

    @property
    def refused(self) -> list[Part]:
        """The attachments that cannot be faxed."""
        return [part for part in self.attachments if part.fate is Fate.REFUSED]

    @property
    def culprit(self) -> Part | None:
        """The only attachment that keeps all from being faxed: the reply speaks of it by its name."""
        if self.kind != "failed" or len(self.refused) != 1:
            return None
        only = self.refused[0]
        reasons = {Reason.PART_REFUSED, Reason.NOTHING_FAXABLE, only.reason} - {Reason.TOO_MANY_PAGES}
        return only if self.faxes[0].reason in reasons else None

    @property
    def own_text(self) -> bool:
        """Whether to say that the mail's own text is not faxed: not to whoever had all faxed that was attached."""
        written = len(self.attachments) < len(self.message.parts)
        return written and (bool(self.refused) or not any(part.pages for part in self.attachments))

    @property
    def mistyped(self) -> bool:
        """Whether there was no number to dial: an answer has to bring one."""
        return bool(self.fax and not self.fax.number)

    @property
    def sending(self) -> bool:
        """Whether the provider has the fax: nobody can cancel it any more."""
        return bool(self.fax and self.fax.state in {State.SUBMITTING, State.SUBMITTED})

    @property
    def facts(self) -> dict[str, Any]:
        """The variables: what administrators' own templates go by, so a name that is given once stays."""
        count = Counter(fax.state.value for fax in self.faxes)
        faxes = list(map(_named, self.faxes))
        return {
            "kind": self.kind,
            "tone": self.tone,
            "message": self.message,
            "attachments": self.attachments,
            "refused": self.refused,
            "culprit": self.culprit,
            "held_back": sum(part.fate is Fate.HELD for part in self.attachments),
            "own_text": self.own_text,
            "sending": self.sending,
            "mistyped": self.mistyped,
            "fresh": self.fresh,
            "doubt": self.doubt,
            "admin_told": self.admin_told,
            "faxes": faxes,
            "fax": faxes[0] if self.fax else None,
            "count": {state.value: count[state.value] for state in State},
            "numbers": self.numbers,
            "language": self.language,
            "host": self.host,
            "sender": self.sender,
            "next_at": self.next_at,
            "resend_until": self.resend_until,
            "resend_addresses": self.resend_addresses,
            "may_have_arrived": self.may_have_arrived,
            "cancel_address": self.cancel_address,
            "preview": self.preview,
        }


def clean_message(message: Message) -> Message:
    """The mail with every text of others on one line: no name of an attachment writes a line of its own in our text."""
    headers = replace(message.headers, subject=clean(message.headers.subject), from_=clean(message.headers.from_))
    return replace(message, headers=headers, parts=tuple(map(_clean_part, message.parts)))


def clean_fax(fax: Fax) -> Fax:
    """The fax with every text of others on one line."""
    return replace(
        fax,
        recipient=clean(fax.recipient),
        provider_ref=clean(fax.provider_ref),
        progress=clean(fax.progress),
        detail=_clean_detail(fax.detail),
    )


def _named(fax: Fax) -> Fax:
    """With what somebody typed instead of a number, not too long for a subject."""
    typed, _, _ = fax.recipient.rpartition("@")
    return fax if fax.number else replace(fax, number=cut(typed, _TYPED))


def _clean_part(part: Part) -> Part:
    notes = tuple(map(clean, part.notes))
    return replace(part, name=clean(part.name), kind=clean(part.kind), notes=notes, detail=_clean_detail(part.detail))


def _clean_detail(detail: Mapping[str, Any]) -> dict[str, Any]:
    return {name: clean(value) if isinstance(value, str) else value for name, value in detail.items()}
