"""One mail's bytes while they arrive: decoded, counted, written to the spool's place for them."""

import asyncio
from collections.abc import Callable

from mail2fax.config import Smtp
from mail2fax.smtp import answers, loops
from mail2fax.smtp.dotstuff import Decoder
from mail2fax.smtp.limits import Capacity
from mail2fax.spool import Incoming


class Reception:
    """Fed by the connection; `ended` tells whether the mail came to its end (True) or the client left (False)."""

    def __init__(self, content: Incoming, capacity: Capacity, settings: Smtp, clock: Callable[[], float]) -> None:
        self.content = content
        self.ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.error: Exception | None = None  # why the bytes could not be kept
        self._capacity = capacity
        self._decoder = Decoder(self._take, settings.max_message_size, normalize=settings.bare_newlines == "normalize")
        self.head = b""  # the mail's header, or the beginning of a long one
        self._in_header = True
        self._kept = 0  # bytes that take up room
        self._overflow = False
        self._arrived = 0
        self._clock = clock
        self._begun = clock()

    def feed(self, data: bytes) -> bytes | None:
        """Take the next bytes. None while the mail goes on, then whatever follows its end. Never raises."""
        self._arrived += len(data)
        rest = self._decoder.feed(data)
        if self._kept and (self._decoder.fault or self._overflow or self.error):
            # Refused, but not yet read to its end: that may take long, and must not take anything from others.
            self._leave_capacity()
            self.content.discard()
        if rest is not None:
            self.end(complete=True)
        return rest

    def end(self, *, complete: bool) -> None:
        """No more bytes come."""
        if not self.ended.done():
            self._leave_capacity()
            self.ended.set_result(complete)

    def rate(self) -> tuple[float, float]:
        """Seconds it has taken so far, and bytes a second."""
        seconds = self._clock() - self._begun
        return seconds, self._arrived / max(seconds, 0.001)

    def refusal(self) -> str | None:
        """Why this mail is not taken, once it has been read to its end."""
        if self._decoder.fault:
            return self._decoder.fault.value
        if self._overflow:
            return answers.NO_ROOM
        if self.error:
            return answers.to_error(self.error)
        return loops.refusal(self.head)

    def _take(self, block: bytes) -> None:
        if self._overflow or self.error:
            return
        if self._in_header:
            self._look_at_head(block)
        self._kept += len(block)
        self._overflow = not self._capacity.receive(len(block))
        try:
            self.content.write(block)
        except Exception as error:  # noqa: BLE001 -- a full disk must not let the mail be read as commands
            self.error = error

    def _leave_capacity(self) -> None:
        self._capacity.received(self._kept)
        self._kept = 0

    def _look_at_head(self, block: bytes) -> None:
        # The header's end may lie across two blocks: searched again in all that was kept, which is little.
        head = self.head + block[: loops.HEADER_BYTES - len(self.head)]
        end = head.find(b"\r\n\r\n")
        self._in_header = end < 0 and len(head) < loops.HEADER_BYTES
        self.head = head[:end] if end >= 0 else head
