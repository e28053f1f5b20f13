"""asyncio's stream reader, with the three things a mail server must know of its buffer."""

import asyncio
from collections.abc import Callable


class Reader(asyncio.StreamReader):
    """Reads command lines. Touches private attributes of asyncio's, unchanged from Python 3.5 to 3.14."""

    _buffer: bytearray
    _limit: int
    _maybe_resume_transport: Callable[[], None]
    _paused: bool
    _transport: asyncio.Transport | None

    def take_line(self) -> bytes | None:
        """The next line if it is here already, because the client did not wait for an answer (RFC 2920)."""
        end = self._buffer.find(b"\n") + 1
        if not 0 < end <= self._limit:  # a longer one is for `readuntil` to refuse
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[:end]
        self._maybe_resume_transport()
        return line

    def take_all(self) -> bytes:
        """Everything that was received and not read."""
        data = bytes(self._buffer)
        self._buffer.clear()
        if self._paused and self._transport:
            self._paused = False
            self._transport.resume_reading()
        return data

    def steer(self, transport: asyncio.Transport | None) -> None:
        """Pause and resume this transport from now on, when too much or little is waiting; None: no transport."""
        self._transport = transport
