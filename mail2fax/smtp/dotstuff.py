"""DATA without input or output: raw chunks in, the mail's bytes out, the end found (RFC 5321 section 4.5.2).

Only CR LF . CR LF ends the data, however it is cut into chunks, so no second mail can hide in the first
(CVE-2024-27305). A bare CR or LF is a fault, or else set right as Postfix has done since 3.9: LF is a line end, CR LF
too with one CR too many, any other CR a blank. Memory stays flat whatever the line length.
"""

from collections.abc import Callable
from enum import Enum
from io import IncrementalNewlineDecoder

from mail2fax.smtp import answers

_CRLF = b"\r\n"
_END = b"\r\n.\r\n"
_HELD_BACK = 4096  # bytes of an unfinished line that wait for their end; a longer line goes on in pieces


class Fault(Enum):
    """Why a mail is refused; the value is the answer once all of it has been read."""

    BARE = answers.BARE_LINE_END
    SIZE = answers.TOO_BIG


class Decoder:
    """Fed the bytes after 354 in any chunks; `take` gets the mail in whole lines, as long as it is no fault.

    After a fault it still reads to the end of the data, so that no byte of the mail is ever taken for a command.
    """

    __slots__ = ("_after_crlf", "_at_line_start", "_held", "_normalize", "_take", "fault", "limit", "size")

    def __init__(self, take: Callable[[bytes], None], limit: int, *, normalize: bool) -> None:
        """With `normalize` bare CR and LF are set right, else they are a fault."""
        self._take = take
        self._normalize = normalize
        self._held = b""  # read, but not yet known to be clear of the end
        self._after_crlf = True  # whether CR LF stands before `_held`: only then can it begin with the end
        self._at_line_start = True  # whether any line end stands before it
        self.limit = limit
        self.size = 0  # RFC 1870 section 5: without the dots that were stuffed in
        self.fault: Fault | None = None

    def feed(self, chunk: bytes) -> bytes | None:
        """Take the next bytes. None while the data goes on, then whatever follows its end."""
        data = self._held + chunk if self._held else chunk
        if self._after_crlf and data.startswith(b".\r\n"):
            return data[3:]
        end = _find_end(data)
        if end >= 0:
            self._pass_on(data[: end + 2])
            return data[end + 5 :]
        cut = self._cut(data)
        self._held = data[cut:]
        if cut:
            self._pass_on(data[:cut])
        return None

    def _cut(self, data: bytes) -> int:
        """How much of this can be passed on: whole lines, or most of a line that is too long to wait for."""
        cut = data.rfind(_CRLF) + 2
        if cut == 1:
            cut = 0
        if len(data) - cut <= _HELD_BACK:
            self._after_crlf = self._after_crlf or cut > 0
            return cut
        self._after_crlf = False
        # The LF may come in the next chunk, after one CR or two.
        return len(data) - (data.endswith(b"\r") + data.endswith(b"\r\r"))

    def _pass_on(self, block: bytes) -> None:
        if self.fault is None and not _line_ends_are_pairs(block):
            if self._normalize:
                block = _normalized(block)
            else:
                self.fault = Fault.BARE
        if self.fault is not None:
            return
        at_line_start, self._at_line_start = self._at_line_start, block.endswith(b"\n")
        dots = block.rfind(b".") + 1  # behind the last one there is nothing to take out
        if dots:
            begun = 1 if at_line_start and block.startswith(b".") else 0
            block = block[begun:dots].replace(b"\r\n.", _CRLF) + block[dots:]
        self.size += len(block)
        if self.size > self.limit:
            self.fault = Fault.SIZE
        elif block:
            self._take(block)


def _find_end(data: bytes) -> int:
    """Where the data ends, at its last CR LF; -1 when it goes on."""
    first = data.find(b".")
    if first < 0:  # base64 has no dots: there is nothing to search
        return -1
    begin = max(first - 2, 0)
    # From the right first, which takes half the time: most dots end nothing.
    end = data.rfind(_END, begin, data.rfind(b".") + 3)
    return data.find(_END, begin, end + len(_END)) if end >= 0 else -1


def _line_ends_are_pairs(block: bytes) -> bool:
    """Whether each CR is followed by LF and each LF follows a CR: universal newlines saw none of the other kinds."""
    seen = IncrementalNewlineDecoder(None, translate=False)
    seen.decode(block.decode("latin-1"), final=True)  # without a decoder it takes text
    return seen.newlines in {None, "\r\n"}


def _normalized(block: bytes) -> bytes:
    """Each line end as CR LF, each CR that is none as a blank. A block never ends between the two of a line end."""
    lines = block.replace(b"\r\r\n", _CRLF).replace(_CRLF, b"\n")
    return lines.replace(b"\r", b" ").replace(b"\n", _CRLF)
