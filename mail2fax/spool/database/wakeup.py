"""Who waits for work is woken when there is some: within a node by events, between nodes by LISTEN/NOTIFY.

A lost wake-up costs a moment, never a fax: every wait ends by itself and looks.
"""

import asyncio
import contextlib
import threading
from collections import defaultdict
from collections.abc import Callable

from sqlalchemy import Connection, Engine, text

CHANNEL = "mail2fax"
LOOK_SECONDS = 2.0  # everybody looks for due work at least so often, woken or not
_HEAR_SECONDS = 0.5  # how often the listening thread looks whether it should end


class Wakeups:
    """One event per kind of work."""

    def __init__(self) -> None:
        self._events: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def wake(self, kind: str) -> None:
        """There is work of this kind."""
        self._events[kind].set()

    def wake_in(self, kind: str, seconds: float) -> None:
        """There will be work of this kind. What is further away than the next look needs no timer."""
        if seconds <= 0:
            self.wake(kind)
        elif seconds < LOOK_SECONDS:
            asyncio.get_running_loop().call_later(seconds, self.wake, kind)

    async def wait(self, kind: str, seconds: float) -> None:
        """Back when there is work of this kind, or after so many seconds."""
        event = self._events[kind]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()
        event.clear()


def announce(connection: Connection, kind: str) -> None:
    """Tell the other nodes, once this transaction commits."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_notify(:channel, :kind)"), {"channel": CHANNEL, "kind": kind})


class Listener:
    """A thread that hears what other nodes on one PostgreSQL announce, and connects again when it was cut off."""

    def __init__(self, engine: Engine, hear: Callable[[str], object]) -> None:
        self._engine = engine
        self._hear = hear
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ear", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            # Deaf for a while is no harm: the waits end by themselves.
            with contextlib.suppress(Exception):
                self._listen()
            self._stopping.wait(1.0)

    def _listen(self) -> None:
        connection = self._engine.raw_connection()
        try:
            driver = connection.driver_connection
            assert driver is not None
            driver.autocommit = True
            driver.execute(f"LISTEN {CHANNEL}")
            while not self._stopping.is_set():
                for notification in driver.notifies(timeout=_HEAR_SECONDS):
                    self._hear(notification.payload)
        finally:
            connection.invalidate()  # a listening connection must not go back into the pool
            connection.close()
