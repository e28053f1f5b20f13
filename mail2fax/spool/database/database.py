"""The database of one node: questions by a few readers, changes by one writer, and who is woken by them.

What is awaited here is on disk when it returns. Everything is said as functions of a connection, so that each of them
can be read, and tried, without a thread or a loop.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine

from mail2fax.spool.database.checkpoint import Checkpoints
from mail2fax.spool.database.engine import sqlite_path
from mail2fax.spool.database.journal import FileJournal, Journal, ServerJournal
from mail2fax.spool.database.unavailable import SpoolUnavailable, mapped
from mail2fax.spool.database.wakeup import Listener, Wakeups, announce
from mail2fax.spool.database.writer import Writer

_READERS = 3  # connections that read; the pool has more for those that write
_WRITERS = 3  # threads: while one waits for the disk, the next one writes
_AWAY = 0.5  # seconds until a database that is away is asked again

T = TypeVar("T")
P = ParamSpec("P")


class Database:
    """Runs functions of a connection. Raises SpoolUnavailable where the database cannot."""

    def __init__(self, engine: Engine, patience: float) -> None:
        """`patience`: seconds that `surely` waits for a database that is away."""
        self._patience = patience
        self._last_moment: float | None = None  # by the loop's clock; set when the node ends
        self.engine = engine
        self._reading = engine.execution_options(reading=True)
        path = sqlite_path(engine)
        self.journal: Journal = FileJournal(engine, path, _WRITERS) if path else ServerJournal(engine)
        self._writer = Writer(self.journal, _WRITERS)
        self._readers = ThreadPoolExecutor(_READERS, "reader")
        self._wakeups = Wakeups()
        self._listener: Listener | None = None
        self._checkpoints: Checkpoints | None = None

    def serve(self) -> None:
        """Have SQLite's WAL copied beside the writing; hear what other nodes of a PostgreSQL announce."""
        if isinstance(self.journal, FileJournal):
            self._checkpoints = Checkpoints(self.engine, self.journal.turn)
            self.journal.after_commit = self._checkpoints.note
        else:
            loop = asyncio.get_running_loop()
            self._listener = Listener(self.engine, lambda work: loop.call_soon_threadsafe(self._wakeups.wake, work))

    def empty_wal(self) -> None:
        """Have nothing stay in SQLite's WAL of what was deleted."""
        if self._checkpoints:
            self._checkpoints.empty()

    def close(self) -> None:
        """Write what was asked for, then end the threads."""
        if self._listener:
            self._listener.close()
        self._writer.close()
        if self._checkpoints:
            self._checkpoints.close()
        self.journal.close()
        self._readers.shutdown()

    async def change(self, operation: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function of a connection in the writer's next transaction; back once it is on disk."""
        with mapped():
            return await self._writer.do(lambda connection: operation(connection, *args, **kwargs))

    async def hand_on(
        self, work: str, operation: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As `change`, and then wake whoever does this work, here and on other nodes."""

        def announced(connection: Connection) -> T:
            result = operation(connection, *args, **kwargs)
            announce(connection, work)
            return result

        with mapped():
            result = await self._writer.do(announced)
        self._wakeups.wake(work)
        return result

    async def read(
        self, question: Callable[Concatenate[Connection, P], T], *arguments: P.args, **options: P.kwargs
    ) -> T:
        """Ask the database without waiting for the writer."""

        def ask() -> T:
            with self._reading.connect() as connection:
                return question(connection, *arguments, **options)

        with mapped():
            return await asyncio.get_running_loop().run_in_executor(self._readers, ask)

    async def surely(self, write: Callable[[], Awaitable[T]], *, proof: bool = False) -> T:
        """Write what nobody else knows: a database that is away is waited for, as long as a lease lasts.

        A `proof` that the provider has a fax is waited with as long as the process lives: there is no second one.
        """
        clock = asyncio.get_running_loop().time
        patience = clock() + self._patience
        while True:
            try:
                return await write()
            except (SpoolUnavailable, OSError) as error:  # the database's, and the disk's that keeps its WAL
                until = (self._last_moment or math.inf) if proof else patience
                if clock() > until or not getattr(error, "passing", True):
                    raise
                await asyncio.sleep(_AWAY)

    def end_soon(self) -> None:
        """The node ends: from now on even a proof is waited with for a lease at most."""
        self._last_moment = asyncio.get_running_loop().time() + self._patience

    def wake(self, work: str, seconds: float = 0.0) -> None:
        """There may be work of this kind, now or in so many seconds."""
        self._wakeups.wake_in(work, seconds)

    async def wait(self, work: str, seconds: float) -> None:
        """Back when there may be work of this kind, or after so many seconds."""
        await self._wakeups.wait(work, seconds)
