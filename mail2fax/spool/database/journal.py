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
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Protocol

from sqlalchemy import Connection, Engine

from mail2fax.spool.database.fsync import NotOnDisk, sync_data, sync_folder

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
        """A transaction, committed at the end of the context. To be used in one's turn."""

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

    def transaction(self) -> contextlib.AbstractContextManager[Connection]:
        """On a connection of the pool, which asks whether it still stands."""
        return self._engine.begin()

    def sync(self) -> None:
        """It is there already."""

    def distrust(self) -> None:
        """The server sees to that."""

    def close(self) -> None:
        """The pool is the engine's."""


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

    def distrust(self) -> None:
        """Have all of the WAL written once more before anything is promised."""
        self._failed = True

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        """On the one connection."""
        connection = self._connection = self._connection or self._connect()
        if self._failed:
            self._rewrite(connection)
        connection.connection.rollback()  # should a COMMIT have failed and left its transaction open
        with connection.begin():
            yield connection

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
        """After a failed sync the kernel takes for written what is not: have all of it written once more, elsewhere.

        TRUNCATE copies the WAL into the database, syncs that, and begins the WAL anew.
        """
        with _told(), contextlib.closing(connection.connection.cursor()) as cursor:
            busy, _, _ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise OSError(f"{self._path} could not be written once more: a backup or a shell reads in it, let it end")
        self._failed = False


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """The driver's own errors, as those of the disk that is behind them."""
    try:
        yield
    except sqlite3.Error as error:
        raise OSError(f"the database's WAL: {error}") from error
