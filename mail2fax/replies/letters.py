"""The replies themselves: what is known of a fax -> a mail that says so, ready to send. Pure, but for its templates.

Promise: each outcome becomes a mail in the sender's thread, in text and HTML, of a few kilobytes; it repeats nothing of
the document, and the same outcome makes the same Message-ID at every attempt.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from mail2fax.config import Reply, Settings
from mail2fax.model import WAITING, Cause, Fate, Fax, Message, Reason, State
from mail2fax.replies import dsn, outcome_json, samples
from mail2fax.replies.bodies import PREVIEW, body, plain
from mail2fax.replies.facts import Draft, clean_fax, clean_message
from mail2fax.replies.headers import in_thread, message_id, open_letter, verbatim
from mail2fax.replies.languages import Choice
from mail2fax.replies.templates import Stationery, told
from mail2fax.rules import signed_address
from mail2fax.rules.signed_address import Action

wanted = dsn.wanted

_FUTILE = frozenset({Reason.PROVIDER_REFUSED, Reason.TOO_LARGE, Reason.TOO_MANY_PAGES})
_SENT_AGAIN = frozenset({State.UNKNOWN, State.FAILED, State.CANCELLED})


class Letters:
    """Writes the replies. `secret` signs the addresses for sending again, unless [reply] secret is set."""

    def __init__(self, settings: Settings, secret: bytes) -> None:
        self._rules = settings.reply
        self._host = settings.smtp.hostname
        self._domain = settings.smtp.domains[0]
        self._keep = timedelta(days=settings.documents.keep_days)
        self._key = signed_address.key(settings.reply, secret)
        place = settings.reply.place("templates")
        self._stationery = Stationery(settings.reply.templates, settings.reply.time_zone, place)
        self._choice = Choice(settings.reply, self._stationery.languages)
        self._mailbox = settings.reply.mailbox or f"postmaster@{self._host}"
        self._from = settings.reply.sender or f"Fax <{self._mailbox}>"
        self._sign = _signing(settings.reply)

    def outcome(
        self, message: Message, faxes: Sequence[Fax], *, preview: bytes | None = None, numbers: int = 1
    ) -> bytes:
        """How one fax ended, or a summary of several.

        `preview` is a PNG of the first page; `numbers`: how many the mail went to.
        """
        kind = faxes[0].state.value if len(faxes) == 1 else "summary"
        ways = self._ways_back(message, faxes)
        draft = self._draft(kind, message, faxes, **ways, preview=PREVIEW if preview else "", numbers=numbers)
        report = dsn.due(faxes, always=self._rules.failure_format == "dsn")
        return self._letter(draft, preview, report=report)

    def delayed(self, message: Message, fax: Fax, *, next_at: datetime | None, numbers: int = 1) -> bytes:
        """The fax still waits, and is tried again at that time, if one is known; or it is still being sent."""
        more: dict[str, Any] = {"cancel_address": self._cancel_address(fax), "admin_told": bool(self._rules.admin)}
        draft = self._draft("delayed", message, [fax], next_at=next_at, numbers=numbers, **more)
        return self._letter(draft, report=dsn.due([fax], always=False))

    def again(self, message: Message, fax: Fax, *, fresh: bool = False) -> bytes:
        """A new fax of the same document is on its way, as the sender's answer asked.

        `fresh`: nothing was sent to this number before.
        """
        return self._letter(self._draft("again", message, [fax], fresh=fresh), report=False)

    def passed_on(self, message: Message, fax: Fax, doubt: str = "", *, notice_id: str = "") -> bytes:
        """The sender's answer was not clearly a wish: nothing was done, and a person reads it.

        `doubt`: what was not clear (answer_text.Doubt), "cancel" where CANCEL was offered. `notice_id`: as for `admin`.
        """
        ways = self._ways_back(message, [fax]) if fax.final else {"cancel_address": self._cancel_address(fax)}
        draft = self._draft("passed-on", message, [fax], doubt=doubt, notice_id=notice_id, **ways)
        return self._letter(draft, report=False)

    def _cancel_address(self, fax: Fax) -> str:
        if not self._rules.resend or fax.state not in WAITING:
            return ""
        return signed_address.write(Action.CANCEL, fax.id, self._key, self._domain)

    def admin(self, kind: str, detail: Mapping[str, Any], *, notice_id: str = "", at: datetime | None = None) -> bytes:
        """A word to the administrator. `notice_id` makes its Message-ID the same at every attempt."""
        language = self._choice.of("", ())
        facts = {"kind": kind, "detail": dict(detail), "host": self._host}
        subject = self._stationery.write("admin-subject.txt", language, facts)
        own_id = message_id(f"admin-{kind}", notice_id or _digest(detail.values()), self._host)
        recipient = self._rules.admin_mailbox or self._mailbox
        # RFC 3834 section 5: this one answers no mail.
        head = open_letter(self._from, recipient, subject, at or datetime.now(UTC), own_id, answers=False)
        words = plain(self._stationery.write("admin.txt", language, facts))
        return self._sign(bytes(replace(words, fields=f"{head}{words.fields}MIME-Version: 1.0\r\n")))

    def problems(self) -> list[str]:
        """What is wrong with the administrator's templates and catalogues, tried on made-up mails."""
        found = list(self._stationery.problems())
        place = self._rules.place("language")
        found += [f'{place} "{name}": there is no catalogue of it' for name in self._choice.unknown]
        for language in sorted(self._stationery.languages):
            for template, facts in self._trials(language):
                try:
                    self._stationery.render(template, language, facts, own=True)
                except Exception as error:  # noqa: BLE001 -- whatever it is, it is told
                    found.append(f"{template} ({language}): {told(error)}")
        return list(dict.fromkeys(found))

    def _letter(self, draft: Draft, preview: bytes | None = None, *, report: bool) -> bytes:
        names = ("subject.txt", f"{draft.kind}.txt", f"{draft.kind}.html")
        facts = draft.facts
        subject, text, html = (self._stationery.write(name, draft.language, facts) for name in names)
        extra = [outcome_json.part(draft.message, draft.faxes)] if self._rules.json_part else []
        if report:
            # RFC 6522 section 3: words for people, status for machines, and what it is about, in this order.
            extra = [*dsn.parts(draft.message, draft.faxes, self._host), *extra]
        content = body(text, html, preview, extra, report=report)
        fields = f"MIME-Version: 1.0\r\n{content.fields}Content-Language: {draft.language}\r\n"
        return self._sign(bytes(replace(content, fields=self._head(draft, subject) + fields)))

    def _head(self, draft: Draft, subject: str) -> str:
        to, answered = draft.message.envelope.reverse_path, draft.message.headers
        head = open_letter(self._from, to, subject, _now(draft), self._id(draft))
        head += in_thread(answered.message_id, answered.references)
        return head + (verbatim("Reply-To", draft.reply_to) if draft.reply_to else "")

    def _id(self, draft: Draft) -> str:
        if draft.fax:
            return message_id(draft.kind, draft.notice_id or draft.fax.id, self._host)
        states = _digest(fax.state for fax in draft.faxes)
        return message_id(f"summary-{states}", draft.message.id, self._host)

    def _draft(self, kind: str, message: Message, faxes: Sequence[Fax], language: str = "", **more: Any) -> Draft:
        chosen = language or self._choice.of(message.envelope.reverse_path, message.headers.languages)
        shown = tuple(map(clean_fax, faxes))
        return Draft(kind, clean_message(message), shown, chosen, self._host, self._mailbox, **more)

    def _ways_back(self, message: Message, faxes: Sequence[Fax]) -> dict[str, Any]:
        """The addresses for sending again those that have a document and did not, or perhaps not, arrive."""
        again = [fax for fax in faxes if _worth_it(fax) and fax.finished_at and _faxable(message, fax)]
        if not self._rules.resend or not again:
            return {}
        addresses = {fax.id: signed_address.write(Action.RESEND, fax.id, self._key, self._domain) for fax in again}
        until = min(fax.finished_at for fax in again if fax.finished_at) + self._keep
        return {"resend_addresses": addresses, "resend_until": until if len(faxes) == 1 else None}

    def _trials(self, language: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every template with made-up facts of each kind it may meet."""
        for kind, message, faxes in samples.every():
            delayed = {"next_at": message.received_at, "cancel_address": f"cancel@{self._domain}"}
            more = delayed if kind == "delayed" else self._ways_back(message, faxes)
            facts = self._draft(kind, message, faxes, language, preview=PREVIEW, **more).facts
            for template in ("subject.txt", f"{kind}.txt", f"{kind}.html"):
                yield template, facts
        for detail in samples.ALERTS.values():
            for template in ("admin-subject.txt", "admin.txt"):
                yield template, {"kind": detail["kind"], "detail": detail, "host": self._host}


def _worth_it(fax: Fax) -> bool:
    """Whether the same document could fare better: not where the provider has refused it."""
    futile = fax.reason in _FUTILE or fax.detail.get("cause") == Cause.DOCUMENT
    return fax.state in _SENT_AGAIN and not futile


def _faxable(message: Message, fax: Fax) -> bool:
    """Whether there is a document; for a mistyped number none is made until there is a right one."""
    return bool(fax.document_id) or (not fax.number and any(part.fate is Fate.FAXED for part in message.parts))


def _signing(settings: Reply) -> Callable[[bytes], bytes]:
    """What is put on each letter before it leaves. Raises ConfigError for a key that cannot sign."""
    if not settings.dkim_key_file:
        return bytes
    from mail2fax.replies.signature import Signer  # noqa: PLC0415 -- the library is loaded where replies are signed

    return Signer(settings).signed


def _now(draft: Draft) -> datetime:
    """The database's clock at this attempt, else the latest time that is known."""
    return max(fax.now or fax.finished_at or fax.received_at for fax in draft.faxes)


def _digest(values: Iterable[object]) -> str:
    return hashlib.sha256("\n".join(map(str, values)).encode()).hexdigest()[:10]
