"""How a commit gets on disk: PostgreSQL sees to it itself, of SQLite's WAL it is seen to here.

SQLite lets nobody write while one commit waits for the disk. Here a commit is handed to the operating system, the
next writer takes its turn, and each then waits for the disk by itself (docs/performance.md has what that gains).

That it is safe: the WAL grows at its end, so a sync makes durable whatever was committed before it; what was committed
and not synced was promised to nobody, and may be there or not after a power cut (sqlite.org/wal.html, and
walformat.html on recovery: up to the last commit whose checksums are whole).
"""

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from mail2fax.spool.database.fsync import NotOnDisk, sync_data, sync_folder, write_once_more
from mail2fax.spool.database.lock_waits import LockWaits
from mail2fax.spool.database.unavailable import SpoolUnavailable

_READERS = 100  # milliseconds that readers of the WAL have to be done, while nobody writes

Turn = contextlib.AbstractContextManager[object]


class Journal(Protocol):
    """What the writer needs to know of the database."""

    @property
    def lead(self) -> Turn:
        """Held by the thread that waits for work, until it has written it."""

    @property
    def turn(self) -> Turn:
        """Held by the thread that writes, for as long as it does."""

    def transaction(self) -> contextlib.AbstractContextManager[Connection]:
        """A transaction in the thread's turn, committed at the end of the context."""

    def sync(self) -> None:
        """Back when every transaction that has ended is on disk. Raises NotOnDisk."""

    def distrust(self) -> None:
        """Trust no sync of a process before this one."""

    def close(self) -> None:
        """Nothing more is written."""


class ServerJournal:
    """A database server: its COMMIT comes back when it is on disk, and it lets several write at once."""

    def __init__(self, engine: Engine) -> None:
        self.lead: Turn = contextlib.nullcontext()
        self.turn: Turn = contextlib.nullcontext()
        self._engine = engine
        self._lock_waits = LockWaits(engine)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        """On a connection of the pool, which asks whether it still stands."""
        with self._engine.begin() as connection, self._lock_waits.ended(connection):
            yield connection

    def sync(self) -> None:
        """It is there already."""

    def distrust(self) -> None:
        """The server sees to that."""

    def close(self) -> None:
        """The pool is the engine's."""
        self._lock_waits.close()


class FileJournal:
    """The write-ahead log of an SQLite file."""

    def __init__(self, engine: Engine, database: Path, threads: int) -> None:
        """So many `threads` write."""
        self.lead: Turn = threading.Lock()
        self.turn: Turn = threading.Lock()
        self._engine = engine
        self._path = database.with_name(database.name + "-wal")
        # One connection for all turns: each has a cache of its own, which another one's writing would make worthless.
        # It stays open to the end: as long as it is, the WAL stays the file that it is.
        self._connection: Connection | None = None
        # Descriptors, as many as may sync at once, open from the start: the kernel tells each of them, once, that
        # writing has failed since it was used last.
        self._threads = threads
        self._descriptors: SimpleQueue[int] = SimpleQueue()
        self._failed = False
        self._refused = 0.0  # when somebody waited in vain for the write lock, which a tool holds
        self.after_commit: Callable[[], object] = _nothing  # called by the thread that committed, in its turn

    def distrust(self) -> None:
        """Have all of the WAL written once more before anything is promised."""
        self._failed = True

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        """On the one connection. Raises SpoolUnavailable at once for all who waited while nobody could write."""
        asked = time.monotonic()
        with self.turn:
            if self._refused > asked:
                raise SpoolUnavailable("database is locked", passing=True)
            connection = self._connection = self._connection or self._connect()
            if self._failed:
                self._rewrite(connection)
            connection.connection.rollback()  # should a COMMIT have failed and left its transaction open
            with self._begun(connection):
                yield connection
            self.after_commit()

    def _begun(self, connection: Connection) -> contextlib.AbstractContextManager[object]:
        try:
            return connection.begin()  # takes the write lock, or waits for it
        except OperationalError:
            self._refused = time.monotonic()
            raise

    def sync(self) -> None:
        """Back when every transaction that has ended is on disk."""
        descriptor = self._descriptors.get()
        try:
            sync_data(descriptor)
        except Exception as error:
            self._failed = True
            raise NotOnDisk.because(error) from error
        finally:
            self._descriptors.put(descriptor)

    def close(self) -> None:
        """Close the connection and the WAL."""
        if self._connection:
            self._connection.invalidate()  # closed, not back to the pool, where others expect synchronous=FULL
            self._connection.close()
        while not self._descriptors.empty():
            os.close(self._descriptors.get())

    def _connect(self) -> Connection:
        connection = self._engine.connect()
        with _told(), contextlib.closing(connection.connection.cursor()) as cursor:
            cursor.execute("PRAGMA synchronous=NORMAL")  # without the sync in COMMIT, with all that keep the file whole
            cursor.execute("SELECT 1 FROM sqlite_schema").fetchone()  # makes the WAL
        sync_folder(self._path.parent)  # its name must survive as well
        for _ in range(self._threads - self._descriptors.qsize()):
            self._descriptors.put(os.open(self._path, os.O_RDONLY))
        return connection

    def _rewrite(self, connection: Connection) -> None:
        """After a failed sync the kernel takes for written what is not: have all of it written once more: elsewhere.

        TRUNCATE copies the WAL into the database, syncs that, and begins the WAL anew. Somebody who reads in it, a
        backup or a shell, stands in the way of that, perhaps for ever: then it is written where it is.
        """
        with _told(), contextlib.closing(connection.connection.cursor()) as cursor:
            if not truncated(cursor):
                cursor.execute("BEGIN IMMEDIATE")  # nobody appends to it, or begins it anew
                try:
                    write_once_more(self._path)
                finally:
                    cursor.execute("ROLLBACK")
        self._failed = False


def truncated(cursor: Any) -> bool:
    """Copy the WAL into the database and cut it off. False if somebody reads in it, and goes on for some moments."""
    patience = cursor.execute("PRAGMA busy_timeout").fetchone()[0]
    cursor.execute(f"PRAGMA busy_timeout={_READERS}")
    try:
        return not cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    finally:
        cursor.execute(f"PRAGMA busy_timeout={patience}")


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """The driver's own errors, as those of the disk that is behind them."""
    try:
        yield
    except sqlite3.Error as error:
        raise OSError(f"the database's WAL: {error}") from error


def _nothing() -> None:
    pass
