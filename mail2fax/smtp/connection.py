"""One connection: command lines in, answers out, TLS, silence and the end. What is said is up to `session`.

aiosmtpd carries the connection; what it does a line at a time, with a timer a command, or by cancelling whoever is
at work, is overridden here (docs/decisions.md says why). Its private names are used, so its version is pinned.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from aiosmtpd.smtp import SMTP

from mail2fax import log
from mail2fax.smtp import answers, proxy_protocol, tls
from mail2fax.smtp.context import Context
from mail2fax.smtp.data import Reception
from mail2fax.smtp.line_reader import Reader
from mail2fax.spool import Incoming

_CHUNK = 65_536  # bytes a read: larger ones make the allocator fault its heap in again and again (measured)
_ANSWERS_HELD = 4096  # bytes of answers to pipelined commands that go out together
_LOOK = 10.0  # seconds between two looks at a session's clock
_TLS_SHUTDOWN = 5.0
GONE = (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError)  # what it looks like when a client leaves


class Connection(SMTP):
    """One connection. `converse` holds the conversation on it, once the client is let in."""

    _drain_helper: Callable[[], Awaitable[None]]  # asyncio's own: back once the transport wants more
    line_length_limit = 2048  # RFC 3461 section 5.4 asks for 1036
    linger = 1.0  # seconds a client has to read our last word before the connection is closed
    grace = 60.0  # seconds before min_rate counts
    handshake = 30.0  # seconds for TLS to begin

    def __init__(
        self, context: Context, converse: "Callable[[Connection], Awaitable[None]]", *, tls_first: bool = False
    ) -> None:
        loop = asyncio.get_running_loop()
        # Not SMTP.__init__: it inspects each member of itself, 0.28 ms a connection, as much as a small mail costs.
        # tests/smtp/test_listener.py holds the attributes set here against those that it sets.
        self._lines = Reader(limit=self.line_length_limit, loop=loop)
        asyncio.StreamReaderProtocol.__init__(self, self._lines, self._cb_client_connected, loop)
        self.loop = loop
        self.session: Any = None
        self.envelope: Any = None
        self.transport: Any = None
        self._handler_coroutine: asyncio.Task[None] | None = None
        self._original_transport = None
        self._timeout_handle: asyncio.TimerHandle | None = None
        self._handle_hooks: dict[str, Any] = {}

        self.context = context
        self._converse = converse
        self.client = ""
        self.secure = False
        self.certified: tuple[str, ...] = ()  # names in the client's own certificate
        self.farewell = ""  # the 421 with which the session ends after the present command
        self.committing = False  # a mail is being made durable: nothing may come between
        self.leaving = False  # the last word is said
        self._tls_first = tls_first
        self._shaking_hands = tls_first  # no word may be said now
        self._arrived = False
        self._introduced: str | None = None
        self._client_left = False
        self._out = bytearray()
        self._errors = 0
        self._patience = context.settings.smtp.timeout
        self._deadline = 0.0
        self._reception: Reception | None = None

    # -- the connection, as asyncio tells of it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        if hasattr(transport, "max_size"):
            transport.max_size = _CHUNK
        super().connection_made(transport)
        assert self._handler_coroutine is not None
        self.context.sessions[self] = self._handler_coroutine
        self._handler_coroutine.add_done_callback(self._departed)

    def data_received(self, data: bytes) -> None:
        """Bytes of a mail go straight to its reception, everything else to the reader of command lines."""
        if self.leaving:
            return
        if self._reception is None:
            if data.startswith(tls.CLIENT_HELLO) and not (self.secure or self._shaking_hands):
                self._refuse_tls()
            else:
                super().data_received(data)
            return
        self._reset_timeout()
        rest = self._reception.feed(data)
        if rest is not None:
            self._reception = None
            if rest:
                super().data_received(rest)
        elif self._reception.content.behind:
            self._wait_for_disk(self._reception.content)

    def _wait_for_disk(self, content: Incoming) -> None:
        """Read no more of a mail that comes faster than it is written: the client waits, memory stays flat."""
        self.transport.pause_reading()
        self.context.pauses.add(pause := asyncio.create_task(content.drain()))
        pause.add_done_callback(self._go_on_reading)

    def _go_on_reading(self, pause: "asyncio.Task[None]") -> None:
        self.context.pauses.discard(pause)
        if self.transport:
            self.transport.resume_reading()

    def eof_received(self) -> bool | None:
        """The client sends no more. It may still read: what it asked for before is done and answered."""
        self._client_left = True
        if self._reception:
            self._reception.end(complete=False)
        if self.leaving and self.transport:
            self.transport.close()
        open_still: bool | None = asyncio.StreamReaderProtocol.eof_received(self)
        return open_still

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone, and with it whoever is at work; but not a mail that is being made durable."""
        if self._timeout_handle:
            self._timeout_handle.cancel()
        asyncio.StreamReaderProtocol.connection_lost(self, error)
        self.transport = None
        if self._handler_coroutine and not self.committing:
            self._handler_coroutine.cancel()

    def _departed(self, task: "asyncio.Task[None]") -> None:
        del self.context.sessions[self]
        if self._arrived:
            self.context.rates.leave(self._introduced)
        if self.transport:
            self.transport.close()
        if not task.cancelled() and (error := task.exception()):
            log.session_failed(client=self.client, error=error)

    # -- the conversation

    async def _handle_client(self) -> None:
        try:
            if await self._enter():
                await self._converse(self)
            await self._part()
        except GONE:
            log.client_vanished(client=self.client)

    async def _enter(self) -> bool:
        """Who is it, and may it come in?"""
        if not self.session.peer:  # gone before we looked
            return False
        self.client = proxy_protocol.plain(self.session.peer[0])
        self._arrived = not self.context.closing and self.context.rates.arrive()
        if not self._arrived:
            return self._turn_away(answers.SHUTTING_DOWN if self.context.closing else answers.TOO_MANY_CONNECTIONS)
        if proxy_protocol.is_balancer(self.client, self.context.balancers):
            client = await proxy_protocol.client(self._reader, self.client)
            if client is None:
                return self._turn_away(answers.BAD_PROXY)
            self.client = client
        if not self.context.rates.introduce(self.client):
            return self._turn_away(answers.TOO_MANY_CONNECTIONS)
        self._introduced = self.client
        if self._tls_first:
            first = await self._first_of_tls()
            if not first:  # a balancer's look, again
                return False
            await self.start_tls(first)
        return True

    def _turn_away(self, answer: str) -> bool:
        if not self._client_left:  # a balancer that only looks whether we are there says nothing, and leaves
            log.turned_away(client=self.client, answer=answer)
            self._dismiss(answer)
        return False

    async def read_line(self) -> bytes | None:
        """The next line with its end, or None for one that is too long. Answers go out before we wait."""
        line = self._lines.take_line()
        if line is None or len(self._out) > _ANSWERS_HELD:
            await self.flush()
        if line is None:
            line = await self._awaited_line()
        self._reset_timeout()
        return line

    async def _awaited_line(self) -> bytes | None:
        too_long = False
        while True:
            try:
                line: bytes = await self._lines.readuntil(b"\n")
            except asyncio.LimitOverrunError as error:
                await self._lines.readexactly(error.consumed)
                too_long = True
            else:
                return None if too_long else line

    def say(self, answer: str) -> None:
        """Answer, together with what else is answered before we wait for the client again (RFC 2920)."""
        if not self.leaving:
            self._out += answer.encode("ascii", "replace") + b"\r\n"

    def refuse(self, answer: str) -> None:
        """Answer no. Too many times for good, and the session ends."""
        self.say(answer)
        if answer.startswith("5"):
            self._errors += 1
            if self._errors >= self.context.settings.smtp.max_errors:
                self.farewell = answers.TOO_MANY_ERRORS

    def forgive(self) -> None:
        """A mail was accepted: errors are counted anew."""
        self._errors = 0

    def end_if_due(self) -> None:
        """Say the farewell, if the present command asked for one."""
        if self.farewell:
            log.dismissed(client=self.client, answer=self.farewell)
            self._dismiss(self.farewell)

    @contextlib.contextmanager
    def uninterrupted(self) -> Iterator[None]:
        """While a mail is being made durable: neither silence nor a shutdown, nor a client that leaves, may end it."""
        self.committing = True
        try:
            yield
        finally:
            self.committing = False
            self._reset_timeout()

    async def flush(self) -> None:
        """Send what was said."""
        if self._out and self.transport:
            self.transport.write(bytes(self._out))
            self._out.clear()
            await self._drain_helper()

    async def receive(self, reception: Reception) -> bool:
        """Let the client's bytes flow into a mail until it ends. False when the client left before that."""
        complete = False
        try:
            await self.flush()
            self._reset_timeout()
            self._reception = reception
            if early := self._lines.take_all():
                self.data_received(early)
            if self._client_left:
                reception.end(complete=False)
            complete = await reception.ended
        finally:
            self._reception = None
            reception.end(complete=False)
            # Whatever went wrong, the rest of a mail is never read as commands.
            self.leaving = self.leaving or not complete
        return complete

    # -- TLS

    async def _first_of_tls(self) -> bytes:
        """What the client says before we begin TLS ourselves: its hello, or nothing when it leaves."""
        try:
            async with asyncio.timeout(self.handshake):
                return await self._lines.read(_CHUNK) + self._lines.take_all()
        except TimeoutError:
            log.tls_failed(client=self.client, reason=tls.SILENT)
            raise ConnectionAbortedError from None

    async def start_tls(self, early: bytes = b"") -> None:
        """Go on in TLS. `early` are its first bytes, if some were read already; all other unread ones are forgotten."""
        self._shaking_hands = True
        raw, certificate = self.transport, self.context.certificate
        assert certificate is not None
        # CVE-2024-34083: what was sent in plain with STARTTLS must not be read as said in TLS.
        self._lines.take_all()
        self._lines.steer(None)  # the raw transport is no longer the reader's to pause
        if early:
            # Runs when start_tls has put its protocol in place; that is connected before the bytes reach it.
            self.loop.call_soon(lambda: self.loop.call_soon(_feed, raw.get_protocol(), early))
        try:
            self.transport = await self.loop.start_tls(
                raw,
                self,
                certificate.of(self.client),
                server_side=True,
                ssl_handshake_timeout=self.handshake,
                ssl_shutdown_timeout=_TLS_SHUTDOWN,
            )
        except GONE as error:
            log.tls_failed(client=self.client, reason=tls.failure(error))
            raise
        self._lines.steer(self.transport)
        self.certified = tls.names(self.transport)
        self._over_ssl = self.secure = True
        self._shaking_hands = False

    def _refuse_tls(self) -> None:
        """The client waits for TLS, and could wait long: no answer of ours would be one to it."""
        log.tls_failed(client=self.client, reason=tls.ON_PLAIN_PORT)
        self.leaving = True
        self._lines.feed_eof()
        self.transport.close()

    # -- silence, and the end

    def _reset_timeout(self, duration: float | None = None) -> None:
        """The client did something. One slow clock a connection looks at this, not a timer a command."""
        self._deadline = self.loop.time() + (duration or self._patience)
        if self._timeout_handle is None:
            self._timeout_handle = self.loop.call_later(min(self._patience, _LOOK), self._look_at_clock)

    def _look_at_clock(self) -> None:
        now = self.loop.time()
        if self._is_too_slow():
            log.dismissed(client=self.client, answer=answers.TOO_SLOW)
            self._dismiss(answers.TOO_SLOW)
        elif now >= self._deadline and not self.committing:
            self._dismiss(answers.IDLE)
        pause = self._deadline - now if now < self._deadline else _LOOK
        self._timeout_handle = self.loop.call_later(min(pause, _LOOK, self._patience), self._look_at_clock)

    def _is_too_slow(self) -> bool:
        if self._reception is None:
            return False
        seconds, rate = self._reception.rate()
        return seconds > self.grace and rate < self.context.settings.smtp.min_rate

    def hang_up(self) -> None:
        """Say 421 as soon as nothing is being promised, and close."""
        if self.committing:
            self.farewell = answers.SHUTTING_DOWN
        else:
            self._dismiss(answers.SHUTTING_DOWN)

    def abort(self) -> None:
        """Close at once."""
        if self.transport:
            self.transport.abort()

    def _dismiss(self, answer: str) -> None:
        """The last word; whoever did not read the one before is cut off."""
        if self.leaving or self._shaking_hands or self.transport is None:
            self.leaving = True
            self.abort()
            return
        self.say(answer)
        self.leaving = True
        self.transport.write(bytes(self._out))
        self._out.clear()
        if self._reception:
            self._reception.end(complete=False)
        self._lines.feed_eof()  # whoever waits for a line wakes up

    async def _part(self) -> None:
        """Close without a reset, which could overtake our last word: end our half, let the client end its own."""
        await self.flush()
        self.leaving = True
        if self._client_left or self.transport is None or not self.transport.can_write_eof():
            return
        with contextlib.suppress(OSError):  # the client is gone altogether
            self.transport.write_eof()
        await asyncio.sleep(self.linger)


def _feed(protocol: asyncio.BufferedProtocol, data: bytes) -> None:
    """Give bytes to a protocol as a transport does."""
    while data:
        buffer = memoryview(protocol.get_buffer(len(data)))
        size = min(len(buffer), len(data))
        buffer[:size] = data[:size]
        protocol.buffer_updated(size)
        data = data[size:]
