"""One MIME entity: its header fields, and where its body lies in the mail's bytes. Nothing is copied, nothing recurses.

Stricter readers lose documents on mails that offices do send, so this one forgives what can be told apart, and
counts before it reads on: a bomb costs no more than the limits say.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from mail2fax.documents.mime.fields import Fields, first, parameters
from mail2fax.documents.mime.parts import MimeLimits
from mail2fax.model import Permanent, Reason

_FIELD = re.compile(rb"([!-9;-~]{1,100})[ \t]*:")
# A byte order mark, blank lines, and the line that parts the mails of an mbox file.
_BEFORE_HEADER = re.compile(rb"(?:\xef\xbb\xbf)?(?:[ \t]*+[\r\n]++)*+(?:>?From [^\r\n]*\r?\n)?")
_BARE_CR = re.compile(rb"[^\r\n]*+\r(?!\n)")
# What follows a boundary line that no header names: a field that only parts of a mail have.
_UNNAMED = re.compile(
    rb"^--([!-~][ -~]{0,69}?)[ \t]*\r?\n(?=Content-[A-Za-z-]{1,40}[ \t]*:)", re.MULTILINE | re.IGNORECASE
)
# Boundaries are compared, not written into patterns: compiling one costs as much as reading the rest of the mail.
_REST_OF_BOUNDARY_LINE = re.compile(rb"(--)?[ \t]*(?:\r*\n|\r|\Z)")
_BEGINS_AS_PARTS_DO = re.compile(
    rb"\s{0,100}(?:--([^\r\n]{0,200})\r?\n)?(?=Content-[A-Za-z-]{1,40}[ \t]*:)", re.IGNORECASE
)
# A boundary that stands so often in the text without being one was put there to cost time.
_FALSE_BOUNDARIES = 20_000


@dataclass(frozen=True, slots=True)
class Entity:
    """Header fields, unfolded, and the body buffer[start:end]."""

    fields: Fields
    buffer: bytes
    start: int
    end: int

    @property
    def body(self) -> memoryview:
        """The body as it stands, still in its transfer encoding."""
        return memoryview(self.buffer)[self.start : self.end]

    @property
    def boundary(self) -> bytes:
        """The boundary that the header names; empty when it names none."""
        _, about = parameters(first(self.fields, "content-type"))
        # RFC 2046 section 5.1.1: a boundary does not end in white space.
        return about.get("boundary", "").rstrip().encode("utf-8", "replace")


class Section(NamedTuple):
    """A stretch of a multipart's body: one of its parts, or what stands around them."""

    start: int
    end: int
    part: bool


def whole(content: bytes, limits: MimeLimits) -> Entity:
    """The message that these bytes are. Raises Permanent: MAIL_BOMB."""
    if _BARE_CR.match(content):
        # Old Macs, and an Exchange store, end lines with a bare CR: the whole header would be one line.
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return message(content, 0, len(content), limits)


def message(buffer: bytes, start: int, end: int, limits: MimeLimits) -> Entity:
    """The message in buffer[start:end], from its first header field on. Raises Permanent: MAIL_BOMB."""
    if opening := _BEFORE_HEADER.match(buffer, start, end):
        start = opening.end()
    return read(buffer, start, end, limits)


def read(buffer: bytes, start: int, end: int, limits: MimeLimits) -> Entity:
    """The entity in buffer[start:end]. Raises Permanent: MAIL_BOMB.

    Without a blank line the header ends where lines stop looking like fields; a single stray line between two
    fields, as broken folding leaves it, is skipped.
    """
    fields: list[tuple[bytes, list[bytes]]] = []
    at = start
    while at < end:
        stop = _line_end(buffer, at, end)
        if buffer[at:stop].isspace() and buffer[at] in b"\r\n":
            at = stop
            break
        if field := _FIELD.match(buffer, at, stop):
            fields.append((field[1].lower(), [buffer[field.end() : stop]]))
        elif fields and buffer[at] in b" \t":
            fields[-1][1].append(buffer[at:stop])
        elif not fields or not _FIELD.match(buffer, stop, end):
            break
        at = stop
        if at - start > limits.header_bytes or len(fields) > limits.header_fields:
            raise Permanent(Reason.MAIL_BOMB, "5.6.0", note="a header is too large")
    return Entity(_unfold(fields), buffer, at, end)


def split(entity: Entity, boundary: bytes) -> Iterator[Section]:
    """The parts between the boundary lines, and what stands before, between and after them, in order.

    RFC 2046 section 5.1: a boundary line holds nothing more than white space, so that a boundary may begin with
    another. Parts after the closing line are read too: a part that repeats the outer boundary closes it early.
    What stands first is a part too if it begins as only parts do: its boundary line was damaged. Without any boundary
    line there is one section that is no part. Raises Permanent: MAIL_BOMB.
    """
    at, inside = _first(entity, boundary)
    for start, rest in _boundary_lines(entity, boundary):
        yield Section(at, max(at, _before_newline(entity.buffer, start)), inside)
        at, inside = rest.end(), rest[1] is None
    yield Section(at, entity.end, inside)


def guess_boundary(entity: Entity) -> bytes:
    """The boundary that the body itself uses, when the header names none or a wrong one."""
    found = _UNNAMED.search(entity.buffer, entity.start, entity.end)
    return found[1] if found else b""


def _first(entity: Entity, boundary: bytes) -> tuple[int, bool]:
    """Where the first section starts, and whether it is a part whose boundary line is damaged or lost."""
    found = _BEGINS_AS_PARTS_DO.match(entity.buffer, entity.start, entity.end)
    if not found or (found[1] is not None and _names(found[1], boundary)):
        return entity.start, False
    return found.end(), True


def _names(line: bytes, boundary: bytes) -> bool:
    """Whether a line, without its dashes, is the boundary's, in whatever case."""
    return line.lower().startswith(boundary.lower()) and line[len(boundary) : len(boundary) + 1] in b" \t"


def _unfold(fields: list[tuple[bytes, list[bytes]]]) -> Fields:
    found: dict[str, list[bytes]] = {}
    for name, lines in fields:
        found.setdefault(name.decode(), []).append(b" ".join(line.strip() for line in lines))
    return found


def _line_end(buffer: bytes, start: int, end: int) -> int:
    return buffer.find(b"\n", start, end) + 1 or end


def _boundary_lines(entity: Entity, boundary: bytes) -> Iterator[tuple[int, re.Match[bytes]]]:
    """Where each starts, and what follows the boundary on it."""
    buffer, end, delimiter = entity.buffer, entity.end, b"--" + boundary
    at, false = entity.start, 0
    while (at := buffer.find(delimiter, at, end)) >= 0:
        starts, after = at == entity.start or buffer[at - 1] in b"\r\n", at + len(delimiter)
        if starts and (rest := _REST_OF_BOUNDARY_LINE.match(buffer, after, end)):
            yield at, rest
            at = rest.end()
            continue
        at, false = after, false + 1
        if false > _FALSE_BOUNDARIES:
            raise Permanent(Reason.MAIL_BOMB, "5.6.0", note="boundaries without end")


def _before_newline(buffer: bytes, at: int) -> int:
    """RFC 2046 section 5.1.1: the line break before a boundary belongs to the boundary."""
    if buffer[at - 1 : at] == b"\n":
        at -= 1
    return at - 1 if buffer[at - 1 : at] == b"\r" else at
