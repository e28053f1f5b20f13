"""What puts a reply into the sender's thread, and keeps machines from answering it: the header of every mail we write.

Promise: no value of a mail can end a line of ours or begin a new one, and what we fold can be read back as it was.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from email.header import Header
from email.headerregistry import BaseHeader, HeaderRegistry
from email.message import EmailMessage
from email.policy import EmailPolicy, Policy
from functools import cache
from typing import Any

_WIDTH = 78  # RFC 5322 section 2.1.1
_SUBJECT = 300  # characters of a subject that are kept
_REFERENCES = 20  # message ids of a long thread that are kept: the first, and the last ones
# C0, C1, surrogates, and what turns or hides text: line separators, bidirectional and zero-width marks.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]+")
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,250}>")  # RFC 5322 section 3.6.4
_NOT_ID = re.compile(r"[^A-Za-z0-9.-]+")


class _Plain(BaseHeader):
    """A field whose value is text. The library would decode what looks like an encoded word, line breaks and all."""

    @classmethod
    def parse(cls, value: str, kwds: dict[str, Any]) -> None:
        kwds["decoded"] = value
        kwds["parse_tree"] = None


class _Subject(_Plain):
    """Encoded words are kept whole, each on a line of its own (RFC 2047 section 2)."""

    max_count = 1

    def fold(self, *, policy: Policy) -> str:
        text = str(self)
        # What looks like an encoded word, and is none, would be decoded by the reader; a long word cannot be folded.
        plain = text.isascii() and "=?" not in text and max(map(len, text.split(" "))) < _WIDTH - len(self.name)
        header = Header(text, "us-ascii" if plain else "utf-8", maxlinelen=_WIDTH - 2, header_name=self.name)
        return f"{self.name}: {header.encode(linesep=policy.linesep)}{policy.linesep}"


class _Verbatim(_Plain):
    """Addresses and message ids: folded between them only, and never encoded, as the library does with long ones."""

    max_count = 1

    def fold(self, *, policy: Policy) -> str:
        lines = [f"{self.name}:"]
        for word in str(self).split(" "):
            if len(lines[-1]) + len(word) >= _WIDTH and not lines[-1].endswith(":"):
                lines.append("")
            lines[-1] += f" {word}"
        return policy.linesep.join(lines) + policy.linesep


class _Registry(HeaderRegistry):
    """The library makes a new class for each field of each mail; here the same one serves again."""

    __getitem__ = cache(HeaderRegistry.__getitem__)


def _registry() -> HeaderRegistry:
    registry = _Registry()
    registry.map_to_type("subject", _Subject)
    for name in ("to", "reply-to", "message-id", "in-reply-to", "references"):
        registry.map_to_type(name, _Verbatim)
    return registry


POLICY = EmailPolicy(linesep="\r\n", cte_type="7bit", header_factory=_registry())
POLICY_UTF8 = POLICY.clone(utf8=True)  # RFC 6532, for an address that cannot be written otherwise


# The fields of a delivery report, and those of the mail it is about. typeshed asks for a value_parser, which only the
# library's own `parse` would call.
FIELDS = POLICY.clone(header_factory=HeaderRegistry(default_class=_Verbatim, use_default_map=False))  # type: ignore[arg-type]
RETURNED = POLICY.clone(header_factory=HeaderRegistry(default_class=_Subject, use_default_map=False))  # type: ignore[arg-type]


def clean(text: str, length: int = _SUBJECT) -> str:
    """The text on one line, free of what ends, turns or hides lines, cut with an ellipsis."""
    line = " ".join(_UNPRINTABLE.sub(" ", text).split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def message_id(kind: str, queue_id: str, hostname: str) -> str:
    """The same for every attempt at the same reply, so that a copy is known as a copy."""
    return f"<{_NOT_ID.sub('-', kind)}.{_NOT_ID.sub('-', queue_id)}@{hostname}>"


def open_letter(sender: str, recipient: str, subject: str, date: datetime, own_id: str) -> EmailMessage:
    """A mail without content, with the header fields of a service's answer (RFC 3834 section 3)."""
    recipient = clean(recipient)
    letter = EmailMessage(policy=POLICY if recipient.isascii() else POLICY_UTF8)
    letter["From"] = sender
    letter["To"] = f"<{recipient}>"
    letter["Subject"] = clean(subject)
    letter["Date"] = date
    letter["Message-ID"] = own_id
    # RFC 3834 section 3.1.7: auto-replied, never auto-generated, for what answers a mail (section 5.2).
    letter["Auto-Submitted"] = "auto-replied"
    letter["X-Auto-Response-Suppress"] = "All"  # Exchange's own way to say: no absence notices to this
    return letter


def put_in_thread(letter: EmailMessage, answered: str, references: Iterable[str]) -> None:
    """RFC 5322 section 3.6.4: the mail that is answered, and those before it. Without its id there is no thread."""
    if not _MESSAGE_ID.fullmatch(answered):
        return
    letter["In-Reply-To"] = answered
    before = [one for one in references if _MESSAGE_ID.fullmatch(one) and one != answered]
    if len(before) >= _REFERENCES:
        before = before[:1] + before[2 - _REFERENCES :]
    letter["References"] = " ".join([*before, answered])
