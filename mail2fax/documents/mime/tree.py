"""The tree of a mail -> its leaves, in the order in which they stand. Whatever can be opened is opened.

Containers are multiparts, forwarded mails, winmail.dat, Outlook's .msg, signed S/MIME, uuencoded files in a text, and
zips where the settings say so. Everything else is a leaf with its bytes decoded; which leaves are faxed is `verdict`'s
matter. What is opened is counted first: a bomb ends as Permanent(MAIL_BOMB).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256

from mail2fax.documents.mime import cms, msg, sniff, tnef, transfer, zipped
from mail2fax.documents.mime.entity import Entity, guess_boundary, message, read, split, whole
from mail2fax.documents.mime.fields import claim, first, label, parameters, printable
from mail2fax.documents.mime.parts import Claim, Leaf, MimeLimits
from mail2fax.model import Permanent, Reason

_SIGNED = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
_CLOSED = {
    "multipart/encrypted": Reason.ENCRYPTED_MAIL,
    "message/external-body": Reason.NOT_REACHABLE,
}
_SEALED = {
    cms.Sealed.ENCRYPTED: Reason.ENCRYPTED_MAIL,
    cms.Sealed.DETACHED: Reason.CRYPTO_SIGNATURE,
    cms.Sealed.OTHER: Reason.NOT_REACHABLE,
    cms.Sealed.UNREADABLE: Reason.DAMAGED,
}
_HEADER = re.compile(rb"\s{0,100}(?:>?From |[!-9;-~]{2,60}:[ \t\r\n])")
# A second PDF in the base64 of one part: the boundary between them was lost.
_SWALLOWED = re.compile(rb"\n[ \t]*+\r?\nJVBERi0[A-Za-z0-9+/]{33}")
_BLANK = re.compile(rb"\s*+")
# A PDF, in base64 or bare, where no part begins: what a broken boundary leaves behind.
_STRANDED = re.compile(
    rb"^[ \t]{0,8}(?:JVBERi0[A-Za-z0-9+/]{33,}|%PDF-1\.\d\s[^\0]{0,400}?\d obj\b)",
    re.MULTILINE,
)
_YENC = re.compile(rb"^=ybegin [^\r\n]{0,200}?name=([^\r\n]{1,200})", re.MULTILINE)
_PEM = re.compile(rb"\s*(?:-----BEGIN (?:PKCS7|CMS|PKCS #7 SIGNED DATA)-----|MI[A-Za-z0-9+/]{30})")
_A_FILE = Claim(type=sniff.BINARY, disposition="attachment")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the tree we are, and what a leaf inherits from there."""

    depth: int = 0
    default: str = "text/plain"
    inside: str = ""
    branches: tuple[tuple[int, int], ...] = ()
    related: bool = False
    forwarded: bool = False


def leaves(mail: Entity, limits: MimeLimits) -> Iterator[Leaf]:
    """Every leaf of the mail. Raises Permanent: MAIL_BOMB."""
    return _Dissection(limits).entity(mail, _Place())


def leaves_of(name: str, data: bytes, inside: str, limits: MimeLimits) -> Iterator[Leaf]:
    """Every leaf of a file that was found in something else than a mail. Raises Permanent: MAIL_BOMB."""
    dissection = _Dissection(limits)
    return dissection.file(replace(_A_FILE, name=printable(name)), dissection.keep(data), _Place(inside=inside))


def _hidden_boundary(entity: Entity) -> bytes:
    """The boundary of parts in what claims to be a text; empty when there are none."""
    found = guess_boundary(entity)
    return found if found and entity.buffer.count(b"--" + found, entity.start, entity.end) > 1 else b""


class _Dissection:
    """One mail being taken apart, and what it has cost so far."""

    def __init__(self, limits: MimeLimits) -> None:
        self.limits = limits
        self.parts = 0
        self.decoded = 0
        self.alternatives = 0

    def entity(self, entity: Entity, place: _Place) -> Iterator[Leaf]:
        self.count(place)
        about = claim(entity.fields, place.default)
        encoding = transfer.encoding(first(entity.fields, "content-transfer-encoding"))
        if about.type == "message/partial":
            yield from self.partial(entity, about, place)
        elif reason := _CLOSED.get(about.type):
            yield self.leaf(about, bytes(entity.body), place, reason)
        elif about.type.startswith("multipart/"):
            yield from self.multipart(entity, about, encoding, place)
        elif about.message and not encoding and _HEADER.match(entity.buffer, entity.start, entity.end):
            # In place: fifty forwards of a large mail are not fifty copies.
            inner = message(entity.buffer, entity.start, entity.end, self.limits)
            yield from self.forwarded(inner, about, place)
        elif about.type == "text/plain" and not (about.name or encoding) and (boundary := _hidden_boundary(entity)):
            # A header that was broken off, or names another type: the parts stand plainly in the body.
            yield from self.sections(entity, boundary, replace(about, type="multipart/mixed"), place)
        else:
            yield from self.body(entity, about, encoding, place)

    def partial(self, entity: Entity, about: Claim, place: _Place) -> Iterator[Leaf]:
        """A piece of a mail (RFC 2046 section 5.2.2), or all of it if it is the only one."""
        _, known = parameters(first(entity.fields, "content-type"))
        if known.get("number", "1") == known.get("total") == "1":
            yield from self.forwarded(message(entity.buffer, entity.start, entity.end, self.limits), about, place)
        else:
            piece = self.leaf(about, bytes(entity.body), place, Reason.SPLIT_MAIL, about.type)
            # What all pieces of one mail have in common: its sender is told once (see steps.reply).
            shared = sha256(known.get("id", "").encode(errors="replace")).hexdigest()[:16]
            yield replace(piece, detail={"split": shared})

    def multipart(self, entity: Entity, about: Claim, encoding: str, place: _Place) -> Iterator[Leaf]:
        boundary = entity.boundary
        if not boundary or entity.buffer.find(b"--" + boundary, entity.start, entity.end) < 0:
            boundary = guess_boundary(entity)
        if not boundary:
            # RFC 2045 section 6.4 forbids it, but some encode a whole multipart, boundaries and all.
            text = self.keep(transfer.decode(entity.body, encoding))
            decoded = replace(entity, buffer=text, start=0, end=len(text))
            boundary = entity.boundary if encoding and entity.boundary in text else b""
            if not boundary:
                yield from self.text(replace(about, type="text/plain"), text, place)
                return
            entity = decoded
        yield from self.sections(entity, boundary, about, place)

    def sections(self, entity: Entity, boundary: bytes, about: Claim, place: _Place) -> Iterator[Leaf]:
        self.alternatives += about.type == "multipart/alternative"
        group, html, branch = self.alternatives, False, 0
        default = "message/rfc822" if about.type == "multipart/digest" else "text/plain"
        for section in split(entity, boundary):
            if not section.part:
                yield from self.stranded(entity.buffer, section.start, section.end, place)
                continue
            below = replace(place, depth=place.depth + 1, default=default)
            if about.type == "multipart/alternative":
                below = replace(below, branches=(*place.branches, (group, branch)))
            if about.type == "multipart/related":
                below = replace(below, related=html)
            for leaf in self.entity(read(entity.buffer, section.start, section.end, self.limits), below):
                html = html or leaf.claim.type == sniff.HTML
                yield leaf
            branch += 1
        if branch == 0:
            yield self.leaf(replace(about, type="text/plain"), bytes(entity.body), place)

    def forwarded(self, inner: Entity, about: Claim, place: _Place) -> Iterator[Leaf]:
        name = about.name or label(first(inner.fields, "subject")) or "message/rfc822"
        below = replace(place, depth=place.depth + 1, default="text/plain", inside=name, forwarded=True)
        yield from self.entity(inner, below)

    def body(self, entity: Entity, about: Claim, encoding: str, place: _Place) -> Iterator[Leaf]:
        data = self.keep(transfer.decode(entity.body, encoding))
        if not data and bytes(entity.body).strip():
            yield self.leaf(about, b"", place, Reason.UNDECODABLE)
        else:
            yield from self.file(about, data, place)
        text = _BLANK.match(entity.buffer, entity.start, entity.end)
        if encoding == "base64" and text and _SWALLOWED.search(entity.buffer, text.end(), entity.end):
            yield self.leaf(Claim(type=sniff.PDF), b"", place, Reason.UNDECODABLE)

    def file(self, about: Claim, data: bytes, place: _Place) -> Iterator[Leaf]:
        """A leaf's bytes, or the leaves inside if it turns out to be a container."""
        kind = sniff.kind(data)
        if not kind and (about.type in _SIGNED or about.name.lower().endswith(".p7m")) and _PEM.match(data):
            # Some sign with a text around the signature, or encode it once more.
            data = transfer.base64(re.sub(rb"-----[^\r\n-]{1,40}-----", b"", data))
            kind = sniff.kind(data)
        if (
            kind == sniff.PDF
            and about.type.startswith("text/")
            and not (about.pdf or data.lstrip().startswith(b"%PDF-"))
        ):
            kind = ""  # a text that talks of PDFs
        if kind == sniff.TNEF:
            yield from self.tnef(about, data, place)
        elif kind == sniff.OUTLOOK:
            yield from self.outlook(about, data, place)
        elif kind in {sniff.ZIP, sniff.IWORK}:
            yield from self.zipped(about, data, place, kind)
        elif kind == sniff.PKCS7 or (about.type in _SIGNED and data and not kind):
            yield from self.signed(about, data, place)
        elif about.message and not kind and _HEADER.match(data):
            yield from self.forwarded(whole(data, self.limits), about, place)
        elif not kind and (about.type.startswith("text/") or "uuencode" in about.type):
            yield from self.text(about, data, place)
        else:
            yield self.leaf(about, data, place, kind=kind)

    def tnef(self, about: Claim, data: bytes, place: _Place) -> Iterator[Leaf]:
        below = replace(place, depth=place.depth + 1, inside=about.name or "winmail.dat")
        empty = True
        for found in tnef.attachments(data):
            empty = False
            self.count(below)
            hidden = found.hidden and bool(found.content_id)
            inner = Claim(
                name=printable(found.name),
                type=sniff.BINARY,
                disposition="inline" if hidden else "attachment",
                content_id=found.content_id,
            )
            if found.storage or found.cut:
                reason = Reason.NOT_REACHABLE if found.storage else Reason.DAMAGED
                yield self.leaf(inner, self.keep(found.data), below, reason)
            else:
                yield from self.file(inner, self.keep(found.data), replace(below, related=hidden))
        if empty:
            # Only the text again, in Outlook's own form.
            yield self.leaf(about, data, place, Reason.MAIL_TEXT, sniff.TNEF)

    def outlook(self, about: Claim, data: bytes, place: _Place) -> Iterator[Leaf]:
        below = replace(place, depth=place.depth + 1, inside=about.name or "message.msg")
        empty = True
        try:
            for found in msg.attachments(data):
                empty = False
                self.count(below)
                yield from self.file(replace(_A_FILE, name=printable(found.name)), self.keep(found.data), below)
        except msg.Unreadable:
            yield self.leaf(about, b"", place, Reason.DAMAGED, sniff.OUTLOOK)
            return
        if empty:
            yield self.leaf(about, data, place, Reason.MAIL_TEXT, sniff.OUTLOOK)

    def zipped(self, about: Claim, data: bytes, place: _Place, kind: str) -> Iterator[Leaf]:
        below = replace(place, depth=place.depth + 1, inside=about.name or "zip")
        if kind == sniff.IWORK and (found := zipped.preview(data, self.limits)):
            self.count(below)
            yield self.leaf(
                replace(_A_FILE, name=about.name), self.keep(found.data), place, kind=sniff.kind(found.data)
            )
        elif kind == sniff.ZIP == sniff.by_name(kind, about.name) and self.limits.archives:
            for found in zipped.files(data, self.limits):
                self.count(below)
                inner = replace(_A_FILE, name=printable(found.name))
                if found.verdict:
                    yield self.leaf(inner, b"", below, found.verdict, sniff.BINARY)
                else:
                    yield from self.file(inner, self.keep(found.data), below)
        else:
            yield self.leaf(about, data, place, kind=kind)

    def signed(self, about: Claim, data: bytes, place: _Place) -> Iterator[Leaf]:
        found = cms.content(data)
        if isinstance(found, cms.Sealed):
            yield self.leaf(about, data, place, None if about.pdf else _SEALED[found], sniff.PKCS7)
            return
        below = replace(place, depth=place.depth + 1)
        if _HEADER.match(self.keep(found)):
            yield from self.entity(whole(found, self.limits), below)
        else:
            # A file signed by itself, such as invoice.pdf.p7m.
            self.count(below)
            inner = replace(_A_FILE, name=about.name.removesuffix(".p7m"))
            yield from self.file(inner, found, replace(below, inside=about.name))

    def text(self, about: Claim, data: bytes, place: _Place) -> Iterator[Leaf]:
        """A text, and after it the uuencoded files that it held."""
        files = list(transfer.uuencoded(data)) if b"begin" in data else []
        at, rest = 0, []
        for file in files:
            rest.append(data[at : file.start])
            at = file.end
        yield self.leaf(about, b"".join([*rest, data[at:]]) if files else data, place)
        if not about.name:
            yield from self.stranded(data, at, len(data), place)
        if yenc := _YENC.search(data):
            yield self.leaf(replace(_A_FILE, name=label(yenc[1])), b"", place, Reason.NOT_REACHABLE, sniff.BINARY)
        for file in files:
            below = replace(place, depth=place.depth + 1)
            self.count(below)
            yield from self.file(replace(_A_FILE, name=label(file.name)), self.keep(file.data), below)

    def stranded(self, buffer: bytes, start: int, end: int, place: _Place) -> Iterator[Leaf]:
        """A PDF that stands outside of every part must not be passed over in silence."""
        if _STRANDED.search(buffer, start, end):
            yield self.leaf(Claim(type=sniff.PDF), b"", place, Reason.UNDECODABLE)

    def leaf(self, about: Claim, data: bytes, place: _Place, verdict: Reason | None = None, kind: str = "") -> Leaf:
        return Leaf(about, kind, data, place.inside, place.branches, place.related, place.forwarded, verdict)

    def count(self, place: _Place) -> None:
        self.parts += 1
        if place.depth > self.limits.depth or self.parts > self.limits.parts:
            raise Permanent(Reason.MAIL_BOMB, "5.6.0", note=f"{self.parts} parts, {place.depth} deep")

    def keep(self, data: bytes) -> bytes:
        self.decoded += len(data)
        if self.decoded > self.limits.decoded_bytes:
            raise Permanent(Reason.MAIL_BOMB, "5.6.0", note="too large when decoded")
        return data
