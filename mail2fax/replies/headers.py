"""What puts a reply into the sender's thread, and keeps machines from answering it: the header of every mail we write.

Promise: no value of a mail can end a line of ours or begin a new one, and what we fold can be read back as it was.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from email.header import Header
from email.policy import EmailPolicy
from email.utils import format_datetime
from functools import cache

from mail2fax.model.text import cut

_WIDTH = 78  # RFC 5322 section 2.1.1
_SUBJECT = 300  # characters of a subject that are kept
_REFERENCES = 20  # message ids of a long thread that are kept: the first, and the last ones
# C0, C1, surrogates, and what turns or hides text: line separators, bidirectional and zero-width marks.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]+")
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,250}>")  # RFC 5322 section 3.6.4
_NOT_ID = re.compile(r"[^A-Za-z0-9.-]+")


def verbatim(name: str, value: str) -> str:
    """A field of addresses or message ids: folded between them only, and never encoded, as the library does."""
    lines = [f"{name}:"]
    for word in value.split():
        if len(lines[-1]) + len(word) >= _WIDTH and not lines[-1].endswith(":"):
            lines.append("")
        lines[-1] += f" {word}"
    return "\r\n".join(lines) + "\r\n"


def written(name: str, value: str) -> str:
    """A field of text. Encoded words are kept whole, each on a line of its own (RFC 2047 section 2)."""
    text = clean(value)
    # What looks like an encoded word, and is none, would be decoded by the reader; a long word cannot be folded.
    plain = text.isascii() and "=?" not in text and max(map(len, text.split(" "))) < _WIDTH - len(name)
    if plain and len(name) + len(text) < _WIDTH - 4:
        return f"{name}: {text}\r\n"
    header = Header(text, "us-ascii" if plain else "utf-8", maxlinelen=_WIDTH - 2, header_name=name)
    return f"{name}: " + header.encode(linesep="\r\n") + "\r\n"


@cache
def _from(sender: str, *, utf8: bool) -> str:
    """The library's own way with a mailbox and its name: the settings know one."""
    policy = EmailPolicy(linesep="\r\n", utf8=utf8)
    field: str = policy.header_factory("From", sender).fold(policy=policy)
    return field


def clean(text: str, length: int = _SUBJECT) -> str:
    """The text on one line, free of what ends, turns or hides lines, cut with an ellipsis."""
    line = " ".join(_UNPRINTABLE.sub(" ", text).split())
    return cut(line, length)


def message_id(kind: str, queue_id: str, hostname: str) -> str:
    """The same for every attempt at the same reply, so that a copy is known as a copy."""
    return f"<{_NOT_ID.sub('-', kind)}.{_NOT_ID.sub('-', queue_id)}@{hostname}>"


def open_letter(sender: str, recipient: str, subject: str, date: datetime, own_id: str, *, answers: bool = True) -> str:
    """The header fields of a service's mail (RFC 3834 section 3), but for those of the content.

    `answers`: whether it answers a mail, or is a word of its own.
    """
    recipient = clean(recipient)
    # RFC 6532, for an address that cannot be written otherwise.
    head = _from(sender, utf8=not recipient.isascii()) + verbatim("To", f"<{recipient}>") + written("Subject", subject)
    head += f"Date: {format_datetime(date)}\r\n" + verbatim("Message-ID", own_id)
    # RFC 3834 section 3.1.7: auto-replied, never auto-generated, for what answers a mail (section 5.2).
    head += f"Auto-Submitted: {'auto-replied' if answers else 'auto-generated'}\r\n"
    return head + "X-Auto-Response-Suppress: All\r\n"  # Exchange's own way to say: no absence notices to this


def in_thread(answered: str, references: Iterable[str]) -> str:
    """RFC 5322 section 3.6.4: the mail that is answered, and those before it. Without its id there is no thread."""
    if not _MESSAGE_ID.fullmatch(answered):
        return ""
    before = [one for one in references if _MESSAGE_ID.fullmatch(one) and one != answered]
    if len(before) >= _REFERENCES:
        before = before[:1] + before[2 - _REFERENCES :]
    return verbatim("In-Reply-To", answered) + verbatim("References", " ".join([*before, answered]))
