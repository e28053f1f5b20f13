"""An HTTP server inside our own event loop: without uvicorn's signal handlers, log set-up and ticking main loop."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from mail2fax.config import naming

MOST_CONNECTIONS = 64  # the page must not use up the file descriptors that mail needs


class Connection(H11Protocol):
    """Hangs up on a client that is one too many."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or not."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()


@contextlib.asynccontextmanager
async def serving(
    application: ASGIApp, listen: str, connection: type[H11Protocol] = Connection, *, place: str = ""
) -> AsyncIterator[str]:
    """Serve at host:port as long as the context lasts; the address as bound. Port 0 takes a free one.

    Requests in flight have a second to end. Raises OSError when the address cannot be had; `place` names the setting.
    """
    config = uvicorn.Config(
        application,
        http=connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=60,
    )
    config.load()
    server = uvicorn.Server(config)
    # What Server.serve does around its main loop, which only ticks, and its signal handlers, which are ours.
    server.lifespan = config.lifespan_class(config)
    with _bound(listen, place) as bound:
        await server.startup([bound])
        host, port = bound.getsockname()[:2]
        try:
            yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        finally:
            await server.shutdown([bound])


def _bound(listen: str, place: str) -> socket.socket:
    parts = urlsplit(f"//{listen}")
    family = socket.AF_INET6 if ":" in (parts.hostname or "") else socket.AF_INET
    with naming(": ".join(filter(None, [place, listen]))):
        bound = socket.create_server((parts.hostname or "", parts.port or 0), family=family, backlog=128)
    # Connections inherit it. asyncio would set it, but not on one accepted here: measured, 44 ms for each answer.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return bound
