"""Nobody waits for long for a row that somebody else has locked in PostgreSQL.

The server finds a deadlock by its own clock: after a second, or, when that clock was set back meanwhile, after as long
as it was set back. And a node that sleeps, or was cut off, keeps its locks. So a transaction that waits is ended here,
by a clock that never steps; what was asked for is tried again, or told.
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Engine, text

_LOOK = 1.0  # seconds between two looks
_LONGEST = 5.0  # seconds: the server itself takes one to find a deadlock
_BLOCKED = text("SELECT pg_blocking_pids(:pid) <> '{}'")


class LockWaits:
    """Watches transactions from a thread of its own, which begins with the first of them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._begun: dict[Any, float] = {}  # the driver's connection -> when its transaction began
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lock-waits", daemon=True)
        self._started = threading.Lock()

    @contextlib.contextmanager
    def ended(self, connection: Connection) -> Iterator[None]:
        """End the transaction on this connection with OperationalError should it wait for too long."""
        self._start()
        driver = connection.connection.driver_connection
        self._begun[driver] = time.monotonic()
        try:
            yield
        finally:
            del self._begun[driver]

    def close(self) -> None:
        """Watch no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_LONGEST)  # it may be asking a server that does not answer; it ends with the process

    def _start(self) -> None:
        if self._thread.ident is None and self._started.acquire(blocking=False):
            self._thread.start()

    def _run(self) -> None:
        while not self._stopping.wait(_LOOK):
            long = time.monotonic() - _LONGEST
            old = {driver: begun for driver, begun in list(self._begun.items()) if begun < long}
            with contextlib.suppress(Exception):  # a server that is away lets nobody wait
                self._end(old)

    def _end(self, old: dict[Any, float]) -> None:
        for driver, begun in old.items():
            with self._engine.connect() as connection:
                blocked = connection.scalar(_BLOCKED, {"pid": driver.info.backend_pid})
            if blocked and self._begun.get(driver) == begun:  # and not another transaction of the same connection
                driver.cancel()
