"""Signs that a mail runs in a circle, read off the first bytes of its header (pure).

The header is searched, not parsed: that is `prepare`'s work, in a process that may die of it.
"""

import re

from mail2fax.smtp import answers

HEADER_BYTES = 131_072  # of a header that are looked at; `prepare` refuses longer ones
_MOST_RECEIVED = 50  # RFC 5321 section 6.3 asks for a large number; Postfix counts to 50
_FOLD = re.compile(rb"\r\n(?=[ \t])")
_RECEIVED = re.compile(rb"^received[ \t]*:", re.IGNORECASE | re.MULTILINE)
# RFC 3834 section 5: a word, after comments.
_AUTO_REPLIED = re.compile(
    rb"^auto-submitted[ \t]*:[ \t]*(?:\([^)\r\n]*\)[ \t]*)*auto-replied\b", re.IGNORECASE | re.MULTILINE
)
_AUTOMATIC = re.compile(
    rb"^auto-submitted[ \t]*:[ \t]*(?:\([^)\r\n]*\)[ \t]*)*(?!no\b)[a-z]", re.IGNORECASE | re.MULTILINE
)
# What machines marked their mails with before RFC 3834, and still do: procmail, cPanel, help desks, mailing lists.
_OLD_MARKS = re.compile(
    rb"^(?:precedence[ \t]*:[ \t]*(?:bulk|junk|list|auto[-_]reply)\b"
    rb"|(?:x-auto-?(?:reply|respond|response|generated)[a-z-]*|x-(?:loop|vacation|mail-autoreply)|list-[a-z]+)[ \t]*:"
    rb"|content-type[ \t]*:[ \t]*multipart/report\b|return-path[ \t]*:[ \t]*<>)",
    re.IGNORECASE | re.MULTILINE,
)
_AWAY = re.compile(
    r"auto(?:matic|mated|matisch)?e?[ -]?(?:re(?:ply|sponse|sponder)|:)|autosvar|réponse (?:automatique|d'absence)"
    r"|out of (?:the )?office|\booo\b|on vacation|vacation (?:reply|notice)|(?:absence|absent)e? du bureau|en vacances"
    r"|abwesenheit|undeliver|delivery (?:status|failure)|read:|lu ?:",
    re.IGNORECASE,
)


def automatic(head: bytes) -> bool:
    """Whether a mail that asks for something may be a machine's: a false alarm costs a refusal, and no fax."""
    header = _FOLD.sub(b"", head.partition(b"\r\n\r\n")[0])
    return bool(_AUTOMATIC.search(header) or _OLD_MARKS.search(header))


def away(subject: str) -> bool:
    """Whether a subject is such as machines write over a note of absence or a receipt."""
    return bool(_AWAY.match(subject.strip()))


def refusal(head: bytes) -> str | None:
    """Why a mail with this header, or this beginning of one, is not faxed."""
    header = _FOLD.sub(b"", head)
    if len(_RECEIVED.findall(header)) > _MOST_RECEIVED:
        return answers.LOOP
    # RFC 3834 section 2: an out-of-office note is neither faxed nor answered.
    return answers.AUTO_REPLIED if _AUTO_REPLIED.search(header) else None
