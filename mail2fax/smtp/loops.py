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


def automatic(head: bytes) -> bool:
    """Whether a mail says of itself that no person sent it."""
    return bool(_AUTOMATIC.search(_FOLD.sub(b"", head)))


def refusal(head: bytes) -> str | None:
    """Why a mail with this header, or this beginning of one, is not faxed."""
    header = _FOLD.sub(b"", head)
    if len(_RECEIVED.findall(header)) > _MOST_RECEIVED:
        return answers.LOOP
    # RFC 3834 section 2: an out-of-office note is neither faxed nor answered.
    return answers.AUTO_REPLIED if _AUTO_REPLIED.search(header) else None
