"""What a service tells systemd: ready, stopping, and that its loop still turns (sd_notify(3)). Elsewhere nothing.

The protocol is a datagram to the socket that NOTIFY_SOCKET names; that needs no library.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Mapping

_PATIENCE = 10.0  # seconds for being ready, which systemd waits for; the rest it can do without


def notify(state: str, environ: Mapping[str, str] = os.environ, patience: float = 0.0) -> None:
    """Send "READY=1", "STOPPING=1" or the like. What systemd does not hear must not stop a service.

    `patience`: seconds to wait for a manager that reads late, in a thread: it would hold up the loop, and every client.
    """
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        out.settimeout(patience)
        out.connect("\0" + address[1:] if address[0] == "@" else address)
        out.sendall(state.encode())


@contextlib.asynccontextmanager
async def told() -> AsyncIterator[None]:
    """Ready as long as the context lasts, and alive as often as the unit's WatchdogSec wants."""
    await asyncio.to_thread(notify, "READY=1", patience=_PATIENCE)
    watched = asyncio.create_task(_alive(int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6 / 2))
    try:
        yield
    finally:
        watched.cancel()
        notify("STOPPING=1")


async def _alive(pause: float) -> None:
    while pause:
        notify("WATCHDOG=1")
        await asyncio.sleep(pause)
