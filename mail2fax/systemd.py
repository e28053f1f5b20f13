"""What a service tells systemd: ready, stopping, and that its loop still turns (sd_notify(3)). Elsewhere nothing.

The protocol is a datagram to the socket that NOTIFY_SOCKET names; that needs no library.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Mapping


def notify(state: str, environ: Mapping[str, str] = os.environ) -> None:
    """Send "READY=1", "STOPPING=1" or the like. What systemd does not hear must not stop a service."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        out.setblocking(False)  # a manager that does not read would hold up the loop, and every client
        out.connect("\0" + address[1:] if address[0] == "@" else address)
        out.sendall(state.encode())


@contextlib.asynccontextmanager
async def told() -> AsyncIterator[None]:
    """Ready as long as the context lasts, and alive as often as the unit's WatchdogSec wants."""
    notify("READY=1")
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
