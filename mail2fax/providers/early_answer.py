"""A connection that is listened to while it is written to, so that an early answer is heard.

httpx reads only when all is written. A server that refuses half-way (413, 401, 429) and hangs up would look like a
broken line: the fax would be offered again and again. And a dead connection would get its commit, for nothing.
"""

import asyncio
import re
import ssl
from collections.abc import Iterable
from typing import Any

import httpcore
import httpx
import sniffio  # noqa: F401 -- httpcore looks for it four times a request: not finding it costs 0.13 ms each

_READ = 65_536
_GLANCE = 0.001  # seconds
_GOES_ON = re.compile(rb"HTTP/1\.[01] [12]")


class Transport(httpx.AsyncHTTPTransport):
    """HTTP/1.1 over our own network streams."""

    def __init__(self, tls: ssl.SSLContext | None, *, listening: bool, keep: int = 0, idle: float = 0.0) -> None:
        """`listening`: hear early answers, at the cost of a task for each request. `keep`: so many connections stay
        open for the next request, for `idle` seconds.
        """
        # Not super().__init__: it makes a pool, but lets nobody choose the pool's network. All else of the class,
        # which maps the pool's errors to httpx's, is used as it is.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=None,
            max_keepalive_connections=keep,
            keepalive_expiry=idle,
            network_backend=_Network(_ListeningStream if listening else _Stream),
        )


class _Network(httpcore.AnyIOBackend):
    def __init__(self, stream: "type[_Stream]") -> None:
        self._stream = stream

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 -- httpcore's own signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return self._stream(await super().connect_tcp(host, port, timeout, local_address, socket_options))


class _Stream(httpcore.AsyncNetworkStream):
    """Passes everything on, and leaves no connection behind."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 -- httpcore's own signature
    ) -> httpcore.AsyncNetworkStream:
        try:
            self._stream = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            # httpcore 1.0.9 forgets the connection of a handshake that ran into its timeout.
            await self._stream.aclose()
            raise
        return self

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 -- as above
        await self._stream.write(buffer, timeout)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 -- as above
        return await self._stream.read(max_bytes, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _ListeningStream(_Stream):
    """Writing to a connection that was answered with an error, or that the server closed, ends the request there, and
    the answer is read. An empty piece sends nothing, and only looks.
    """

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        super().__init__(stream)
        self._heard: asyncio.Task[bytes] | None = None

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 -- as above
        if self._heard is None:
            self._heard = asyncio.create_task(self._stream.read(_READ), name="early answer")
        # Writing to a connection that was reset throws away what had come before: look first.
        if self._stream.get_extra_info("is_readable"):
            await asyncio.wait({self._heard}, timeout=_GLANCE)
        if self._heard.done() and not _goes_on(self._heard):
            # For httpcore the sign to stop writing and to see whether there is an answer.
            raise httpcore.WriteError
        await super().write(buffer, timeout)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 -- as above
        if self._heard is None:
            return await super().read(max_bytes, timeout)
        done, _ = await asyncio.wait({self._heard}, timeout=timeout)
        if not done:
            raise httpcore.ReadTimeout
        heard, self._heard = self._heard, None
        return heard.result()

    async def aclose(self) -> None:
        if self._heard is not None:
            self._heard.cancel()
            await asyncio.gather(self._heard, return_exceptions=True)
        await super().aclose()


def _goes_on(heard: asyncio.Task[bytes]) -> bool:
    """Whether what was heard is no reason to stop: an interim answer, or a success that came early."""
    return not heard.exception() and _GOES_ON.match(heard.result()) is not None
