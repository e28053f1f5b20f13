"""Where the bytes of mails and documents are kept: small ones in their row, large ones beside the database.

On SQLite large contents are files in a folder beside it, on PostgreSQL rows of `chunks`, since nodes share
nothing else. A content is safe on disk (`settle`) before the row that names it is committed; a file without a row
was never promised to anybody and is swept away.
"""

import asyncio
import contextlib
import itertools
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine, delete, insert, select

from mail2fax.incoming import Incoming
from mail2fax.journal import sync_folder
from mail2fax.schema import chunks

CHUNK = 1024 * 1024
_DISK_THREADS = 16  # fsyncs at once
_PENS = 2  # threads that hash and write: they compute, and more of them than processors only stand in the loop's way
_SWEEP_AGE = 3600  # seconds: a command line tool may be writing a younger file right now


class Contents(Protocol):
    """A place for large contents."""

    folder: Path

    def place(self, name: str) -> Incoming:
        """A place for the bytes of a new content."""

    async def settle(self, incoming: Incoming) -> None:
        """Make a large content safe before its row is committed. Raises OSError."""

    def insert(self, connection: Connection, incoming: Incoming) -> None:
        """Whatever belongs into the row's own transaction."""

    def done(self, incoming: Incoming) -> None:
        """What is no longer needed goes: after the commit, or when whoever waited for it was cancelled."""

    def open(self, name: str) -> contextlib.AbstractAsyncContextManager[Path]:
        """The content as a file, for as long as the context lasts. Raises FileNotFoundError."""

    def remove(self, connection: Connection, name: str) -> None:
        """Forget a content."""

    def close(self) -> None:
        """Nothing more is asked of it."""


class FolderContents:
    """Files in a folder beside an SQLite database."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        # Its own threads: a 250 must not queue behind somebody's reading.
        self._pens = ThreadPoolExecutor(_PENS, "pen")
        self._disk = ThreadPoolExecutor(_DISK_THREADS, "disk")

    def place(self, name: str) -> Incoming:
        """A file in the folder, once the content is large."""
        return Incoming(self.folder, name, self._pens)

    async def settle(self, incoming: Incoming) -> None:
        """Fsync the file and the folder that names it."""
        if not incoming.large:
            return
        synced = asyncio.get_running_loop().run_in_executor(self._disk, sync_folder, self.folder)
        both = incoming.finish(self._disk, sync=True), synced
        for failure in await asyncio.gather(*both, return_exceptions=True):
            if failure:
                # No row will name it, and a disk that is full needs the room.
                incoming.discard()
                raise failure

    def insert(self, connection: Connection, incoming: Incoming) -> None:
        """Nothing: the file is there."""

    def done(self, incoming: Incoming) -> None:
        """Nothing: the file is the content."""

    @contextlib.asynccontextmanager
    async def open(self, name: str) -> AsyncIterator[Path]:
        """The file itself."""
        path = self.folder / name
        if not path.exists():
            raise FileNotFoundError(name)
        yield path

    def remove(self, connection: Connection, name: str) -> None:  # noqa: ARG002 -- Contents' signature
        """Unlink. After a crash before the commit the row has no content: it was to be forgotten anyway."""
        (self.folder / name).unlink(missing_ok=True)

    def close(self) -> None:
        """End its threads."""
        self._pens.shutdown()
        self._disk.shutdown()

    def sweep(self, known: set[str]) -> int:
        """Remove what no row names: mails that were never acknowledged, and the workplaces of the dead. How many."""
        young = time.time() - _SWEEP_AGE
        strays = [path for path in self.folder.iterdir() if path.name not in known and _changed(path) < young]
        for path in strays:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        return len(strays)


def _changed(path: Path) -> float:
    """When, in seconds since 1970; a file that was removed meanwhile has just changed."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()


class TableContents:
    """Rows of `chunks` in PostgreSQL. Files exist here only while they arrive or are read."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self._engine = engine
        self._pens = ThreadPoolExecutor(_PENS, "pen")

    def place(self, name: str) -> Incoming:
        """A file of this node, once the content is large, until it is in the database."""
        return Incoming(self.folder, name, self._pens)

    async def settle(self, incoming: Incoming) -> None:
        """Have the file whole; the row's own commit makes it safe."""
        if incoming.large:
            try:
                await incoming.finish(self._pens, sync=False)
            except OSError:
                incoming.discard()
                raise

    def insert(self, connection: Connection, incoming: Incoming) -> None:
        """Copy a large content into the transaction."""
        if incoming.large:
            for n, data in enumerate(_pieces(incoming.path)):
                connection.execute(insert(chunks), {"owner": incoming.name, "n": n, "data": data})

    def done(self, incoming: Incoming) -> None:
        """The copy on this node's disk goes."""
        incoming.discard()

    @contextlib.asynccontextmanager
    async def open(self, name: str) -> AsyncIterator[Path]:
        """A copy, gone at the end of the context."""
        with tempfile.NamedTemporaryFile(dir=self.folder) as file:
            await asyncio.to_thread(self._fetch, name, file)
            yield Path(file.name)

    def _fetch(self, name: str, file: "tempfile._TemporaryFileWrapper[bytes]") -> None:
        # One chunk at a time: a cursor over all would hold the whole content in memory.
        query = select(chunks.c.data).where(chunks.c.owner == name)
        with self._engine.connect() as connection:
            for n in itertools.count():
                data = connection.scalar(query.where(chunks.c.n == n))
                if data is None:
                    break
                file.write(data)
        if n == 0:
            raise FileNotFoundError(name)
        file.flush()

    def remove(self, connection: Connection, name: str) -> None:
        """Delete its rows."""
        connection.execute(delete(chunks).where(chunks.c.owner == name))

    def close(self) -> None:
        """The folder goes with the node."""
        self._pens.shutdown()
        shutil.rmtree(self.folder, ignore_errors=True)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(CHUNK):
            yield data
