"""SQLite's WAL is copied into the database by a thread of its own, so that no 250 waits for it.

SQLite lets whoever commits do it, every so many pages: at 100 KB a mail that was a quarter of the writer's time, and
the hundredth mail waited 40 ms. The WAL begins anew only once all of it was copied, which never happens while somebody
writes: so when it has become long, the last few pages are copied while the writer waits.
"""

import contextlib
import sqlite3
import threading

from sqlalchemy import Engine, PoolProxiedConnection
from sqlalchemy.exc import DBAPIError

from mail2fax.spool.database.journal import Turn, truncated

_COMMITS = 32  # between two checkpoints: each costs two fsyncs
_LONG = 4_000  # pages after which the WAL is to begin anew
_PAUSE = 0.5  # seconds until a checkpoint that failed, as on a full disk, is tried again


class Checkpoints:
    """The thread. `note` may be called from any other. Nobody writes while it holds `turn`."""

    def __init__(self, engine: Engine, turn: Turn) -> None:
        self._engine = engine
        self._turn = turn
        self._commits = 0
        self._emptying = threading.Event()
        self._due = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="checkpoint", daemon=True)
        self._thread.start()

    def note(self) -> None:
        """There was a commit."""
        self._commits += 1
        if self._commits >= _COMMITS:
            self._commits = 0
            self._due.set()

    def empty(self) -> None:
        """Leave nothing in the WAL: it still holds what was deleted from the database."""
        self._emptying.set()
        self._due.set()

    def close(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._due.set()
        self._thread.join()

    def _run(self) -> None:
        while self._due.wait() and not self._stopping.is_set():
            # Not ours to tell: the writer meets the same disk, and whoever waits for it is told.
            with contextlib.suppress(DBAPIError, sqlite3.Error):
                self._checkpoint()
                self._count_anew()
                continue
            self._stopping.wait(_PAUSE)

    def _count_anew(self) -> None:
        """Counted from the end of a copy, so that the WAL has begun anew before the next: see docs/decisions.md."""
        self._commits = 0
        self._due.clear()
        if self._stopping.is_set():  # it may have been `close` that was forgotten
            self._due.set()

    def _checkpoint(self) -> None:
        with contextlib.closing(self._engine.raw_connection()) as connection:
            pages = _copy(connection)
            if pages >= _LONG:
                with self._turn:
                    _copy(connection)  # what was written meanwhile: the next transaction begins the WAL anew
            if self._emptying.is_set():
                self._emptying.clear()
                if not self._emptied(connection):
                    self._emptying.set()

    def _emptied(self, connection: PoolProxiedConnection) -> bool:
        """Cut the WAL off, unless somebody reads in it: the next checkpoint tries again."""
        with self._turn, contextlib.closing(connection.cursor()) as cursor:
            return truncated(cursor)


def _copy(connection: PoolProxiedConnection) -> int:
    """Copy what can be copied: PASSIVE waits for nobody, and nobody for it. Pages that the WAL holds."""
    with contextlib.closing(connection.cursor()) as cursor:
        cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")
        _, pages, _ = cursor.fetchone() or (0, 0, 0)
    return int(pages)
