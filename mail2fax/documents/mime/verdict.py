"""The verdict on each leaf of a mail: to be faxed, ignored (why), or refused (why). By its bytes; the claim only adds.

A PDF is a PDF whatever it is called. What claims to be one and is none gets a word, whatever it is. What belongs to
the mail's looks or to its post is ignored. All the rest is refused by name, unless somebody can make pages of it.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import unquote

from mail2fax.documents.mime import sniff
from mail2fax.documents.mime.charset import decode
from mail2fax.documents.mime.parts import Item, Kind, Leaf
from mail2fax.model import Fate, Part, Reason

_IGNORED = frozenset(
    {
        Reason.MAIL_TEXT,
        Reason.ALTERNATIVE,
        Reason.SIGNATURE_IMAGE,
        Reason.CALENDAR,
        Reason.CRYPTO_SIGNATURE,
        Reason.DELIVERY_REPORT,
        Reason.CONTACT_CARD,
    }
)
_BY_KIND = {
    "text/calendar": Reason.CALENDAR,
    "application/ics": Reason.CALENDAR,
    "text/vcard": Reason.CONTACT_CARD,
    "text/x-vcard": Reason.CONTACT_CARD,
    "text/directory": Reason.CONTACT_CARD,
    "application/pkcs7-signature": Reason.CRYPTO_SIGNATURE,
    "application/x-pkcs7-signature": Reason.CRYPTO_SIGNATURE,
    "application/pgp-signature": Reason.CRYPTO_SIGNATURE,
    "application/pgp-keys": Reason.CRYPTO_SIGNATURE,
    "message/delivery-status": Reason.DELIVERY_REPORT,
    "message/global-delivery-status": Reason.DELIVERY_REPORT,
    "message/disposition-notification": Reason.DELIVERY_REPORT,
    "message/global-disposition-notification": Reason.DELIVERY_REPORT,
    "message/feedback-report": Reason.DELIVERY_REPORT,
    "message/global-headers": Reason.DELIVERY_REPORT,
    "text/rfc822-headers": Reason.DELIVERY_REPORT,
    "message/rfc822-headers": Reason.DELIVERY_REPORT,
    # The Macintosh side of a file (RFC 1740): the file itself stands beside it, under the same name.
    "application/applefile": Reason.ALTERNATIVE,
    sniff.ENCRYPTED_TEXT: Reason.ENCRYPTED_MAIL,
    sniff.ENCRYPTED_OFFICE: Reason.LOCKED,
    **dict.fromkeys(sniff.ARCHIVES, Reason.NOT_REACHABLE),
}
_TEXT_NAME = re.compile(r"\.(?:txt|text|log|csv|md|asc)\Z|\A[^.]+\Z", re.IGNORECASE)
# Exchange makes such files of the text that stands below an attachment, or of a mailing list's foot.
_CUT_OFF = re.compile(r"ATT\d{5,}\.(?:txt|html?)", re.IGNORECASE)
# What mail programs and filters name a text, and leave behind empty; an empty spreadsheet was lost on its way.
_NAMED_TEXT = re.compile(r"(?:.*\.(?:txt|html?))?\Z", re.IGNORECASE | re.DOTALL)
_PLAIN = frozenset({"text/plain", "text/csv", "text/markdown", "text/tab-separated-values"})
_SHOWN = re.compile(rb"cid:([^\s\"'<>)]{1,250})", re.IGNORECASE)
# On paper this is less than an inch at the resolution of a fax: a logo or an icon, not a scan.
_TINY = 200
_SHORT = 65_536  # bytes of a text that was written into the mail
_BLANKS = b" \t\r\n\f\0\xa0\xc2"


class Surroundings(NamedTuple):
    """What the verdict on one leaf needs to know of the others."""

    shown: frozenset[str] = frozenset()  # content ids of the pictures that the mail's HTML shows (RFC 2392)
    pdf: bool = False  # there is a PDF among them


def surroundings(leaves: Sequence[Leaf]) -> Surroundings:
    """What there is in the mail as a whole."""
    pages = (leaf.data for leaf in leaves if leaf.claim.type == sniff.HTML)
    shown = frozenset(unquote(name.decode("latin-1")) for page in pages for name in _SHOWN.findall(page))
    return Surroundings(shown, any(leaf.kind == sniff.PDF and not leaf.verdict for leaf in leaves))


def judge(leaf: Leaf, around: Surroundings) -> Item:
    """The verdict on one leaf, with its bytes if something can be made of them."""
    if leaf.verdict:
        return _final(leaf, leaf.verdict, leaf.kind or leaf.claim.type, **leaf.detail)
    if leaf.kind == sniff.PDF:
        return Item(_part(leaf, sniff.PDF, Fate.FAXED), leaf.data, "pdf")
    if leaf.claim.type in _BY_KIND:
        return _final(leaf, _BY_KIND[leaf.claim.type], leaf.claim.type)
    if leaf.mail_text or _own_text(leaf, around):
        encrypted = sniff.text_kind(leaf.data) == sniff.ENCRYPTED_TEXT
        return _final(leaf, Reason.ENCRYPTED_MAIL if encrypted else Reason.MAIL_TEXT, leaf.claim.type)
    return _attachment(leaf, sniff.by_name(leaf.kind, leaf.claim.name) or sniff.text_kind(leaf.data), around)


def _own_text(leaf: Leaf, around: Surroundings) -> bool:
    """Whether a part that looks like a file is the mail's text, or nothing at all."""
    claim = leaf.claim
    text = claim.type.startswith("text/") and not claim.pdf
    if not leaf.data.strip(_BLANKS):
        # Exchange's ATT00001.txt behind an attachment, GNU mail's empty message under the type of its attachment.
        blank = bool(leaf.data) or _NAMED_TEXT.match(claim.name) is not None
        return (text and blank) or (not claim.name and claim.disposition != "attachment")
    if text and (not claim.name or _CUT_OFF.fullmatch(claim.name)):
        return True
    unlabelled = claim.pdf and not claim.name and claim.disposition != "attachment"
    return unlabelled and around.pdf and len(leaf.data) < _SHORT and sniff.text_kind(leaf.data) == sniff.TEXT


def _attachment(leaf: Leaf, kind: str, around: Surroundings) -> Item:
    """`kind` is what the bytes show; "" when they show nothing."""
    if leaf.claim.pdf and leaf.data:
        return _final(leaf, Reason.NOT_A_PDF, kind or sniff.BINARY, actual=kind or sniff.BINARY)
    if _picture(leaf, kind) and _decoration(leaf, kind, around.shown):
        return _final(leaf, Reason.SIGNATURE_IMAGE, kind or leaf.claim.type)
    if not leaf.data:
        return _final(leaf, Reason.EMPTY, leaf.claim.type)
    if reason := _BY_KIND.get(kind):
        return _final(leaf, reason, kind)
    return _convertible(leaf, kind)


def _convertible(leaf: Leaf, kind: str) -> Item:
    made: Kind = ""
    data = leaf.data
    if kind in sniff.IMAGES:
        made = "image"
    elif sniff.office(kind):
        made = "office"
    elif kind == sniff.TEXT and (leaf.claim.type in _PLAIN or _TEXT_NAME.search(leaf.claim.name)):
        made = "text"
        data = decode(data, leaf.claim.charset).encode()
    if not kind or (kind == sniff.TEXT and not made and leaf.claim.type != sniff.BINARY):
        kind = leaf.claim.type  # sound, drawings, programs: nobody but the sender knows better
    return Item(_part(leaf, kind, Fate.REFUSED, Reason.UNSUPPORTED, kind=kind), data if made else b"", made)


def _picture(leaf: Leaf, kind: str) -> bool:
    return kind.startswith("image/") or leaf.claim.type.startswith("image/")


def _decoration(leaf: Leaf, kind: str, shown: frozenset[str]) -> bool:
    """Whether a picture belongs to the looks of the mail. A TIFF is a scan: no mail program shows one in a text."""
    if kind == "image/tiff":
        return False
    if leaf.claim.content_id and leaf.claim.content_id in shown:
        return True
    # Where HTML stands beside it without showing it, a picture that bears a name was attached.
    if leaf.related and leaf.claim.disposition != "attachment" and not (leaf.claim.content_id and leaf.claim.name):
        return True
    size = sniff.pixels(leaf.data)
    return size is not None and min(size) < _TINY


def _final(leaf: Leaf, reason: Reason, found: str, **detail: str) -> Item:
    if reason is Reason.UNSUPPORTED:
        detail["kind"] = found
    return Item(_part(leaf, found, Fate.IGNORED if reason in _IGNORED else Fate.REFUSED, reason, **detail))


def _part(leaf: Leaf, found: str, fate: Fate, reason: Reason | None = None, **detail: str) -> Part:
    if leaf.inside:
        detail["inside"] = leaf.inside
    return Part(leaf.claim.name, found, len(leaf.data), fate, reason, detail)
