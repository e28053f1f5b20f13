"""The mail's bytes -> an account of every part, in order: to be faxed, ignored (why), or refused (why). Pure.

    entity, fields, transfer -- tree (tnef, msg, cms, zipped) --> leaves -- verdict (sniff) --> items

Runs in a worker process, never in the server's loop. Promise: whatever the bytes are, the answer is a Mail that leaves
no part out, or Permanent(MAIL_BOMB); time and memory grow with the mail's size only.
"""

import contextlib
from collections.abc import Iterator, Sequence
from hashlib import sha256

from mail2fax.documents.mime import own_text, tree, verdict
from mail2fax.documents.mime.entity import whole
from mail2fax.documents.mime.fields import headers, printable
from mail2fax.documents.mime.parts import Item, Kind, Leaf, Mail, MimeLimits
from mail2fax.model import Headers, Permanent, Reason

__all__ = ["Item", "Kind", "Mail", "MimeLimits", "found_inside", "header_of", "printable", "take_apart"]

_USUAL = MimeLimits()


def take_apart(content: bytes, limits: MimeLimits = _USUAL) -> Mail:
    """The mail's account. Raises Permanent: MAIL_BOMB when it is over a limit."""
    message = whole(content, limits)
    leaves = list(tree.leaves(message, limits))
    around = verdict.surroundings(leaves)
    items = [verdict.judge(leaf, around) for leaf in leaves]
    linked = not any(item.kind for item in items) and own_text.linked(leaves)
    return Mail(headers(message.fields), tuple(_once(leaves, items)), own_text.written(leaves), linked)


def header_of(content: bytes, limits: MimeLimits = _USUAL) -> Headers:
    """What the header of a mail says whose parts are over a limit; as much as nothing if the header itself is."""
    with contextlib.suppress(Permanent):
        return headers(whole(content, limits).fields)
    return Headers()


def found_inside(container: str, name: str, data: bytes, limits: MimeLimits = _USUAL) -> tuple[Item, ...]:
    """The account of a file that a document held, as if it were attached. Raises Permanent: MAIL_BOMB."""
    return tuple(verdict.judge(leaf, verdict.Surroundings()) for leaf in tree.leaves_of(name, data, container, limits))


def _once(leaves: Sequence[Leaf], items: Sequence[Item]) -> Iterator[Item]:
    """Each multipart/alternative counts once: its forms say the same (RFC 2046 section 5.1.4).

    A PDF that stands in two forms is faxed from the first. Other files beside a form with a PDF give way to it. PDFs
    that differ are all faxed: some scanners call any collection an alternative, and a page too many is better than one
    too few.
    """
    with_pdf: dict[int, set[int]] = {}
    for leaf, item in zip(leaves, items, strict=True):
        for group, branch in leaf.branches if item.kind == "pdf" else ():
            with_pdf.setdefault(group, set()).add(branch)
    seen: dict[tuple[int, bytes], int] = {}
    for leaf, item in zip(leaves, items, strict=True):
        if item.kind == "pdf":
            digest = sha256(item.data).digest() if leaf.branches else b""
            again = [seen.setdefault((group, digest), branch) != branch for group, branch in leaf.branches]
        else:
            again = [bool(item.kind) and branch not in with_pdf.get(group, {branch}) for group, branch in leaf.branches]
        yield item.ignored(Reason.ALTERNATIVE) if any(again) else item
