"""asyncio's stream reader, with the three things a mail server must know of its buffer."""

import asyncio


class Reader(asyncio.StreamReader):
    """Reads command lines. Touches private attributes of asyncio's, unchanged from Python 3.5 to 3.14."""

    _buffer: bytearray
    _paused: bool
    _transport: asyncio.Transport | None

    def holds_line(self) -> bool:
        """Whether the next line is here already: the client did not wait for an answer (RFC 2920)."""
        return b"\n" in self._buffer

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
