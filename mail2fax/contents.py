"""Where the bytes of mails and documents are kept: small ones in their row, large ones beside the database.

On SQLite large contents are files in a folder beside it, on PostgreSQL rows of `chunks`, since nodes share
nothing else. A content is safe on disk (`settle`) before the row that names it is committed; a file without a row
was never promised to anybody and is swept away.
"""

import asyncio
import contextlib
import hashlib
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Protocol

from sqlalchemy import Connection, Engine, delete, insert, select

from mail2fax.schema import chunks

INLINE = 128 * 1024  # bytes that still go into the row: measured faster there than a file and two fsyncs
CHUNK = 1024 * 1024
_DISK_THREADS = 16
_SWEEP_AGE = 3600  # seconds: a command line tool may be writing a younger file right now


class Incoming:
    """One content while it arrives: memory first, a file from `INLINE` on, so that memory stays flat."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.size = 0
        self._path = folder / name
        self._hash = hashlib.sha256()
        self._small: list[bytes] = []
        self._file: BinaryIO | None = None

    @classmethod
    def adopt(cls, folder: Path, name: str, file: Path) -> "Incoming":
        """A content that lies on this file system already: taken into memory or, if large, copied. Blocks."""
        adopted = cls(folder, name)
        # Its name is not a fresh one: an attempt that was cut off before the commit may have left its file.
        adopted.path.unlink(missing_ok=True)
        try:
            with file.open("rb") as source:
                while data := source.read(CHUNK):
                    adopted.write(data)
        except OSError:
            adopted.discard()
            raise
        return adopted

    def write(self, data: bytes) -> None:
        """Take the next bytes. Raises OSError when the disk is full."""
        self._hash.update(data)
        self.size += len(data)
        if self._file is None and self.size > INLINE:
            # 0600: nobody else on this machine reads mails.
            self._file = os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=0)
            self._file.write(b"".join(self._small))
            self._small = []
        if self._file is None:
            self._small.append(data)
        else:
            _write_all(self._file, data)

    @property
    def sha256(self) -> str:
        """Hex digest of all bytes so far."""
        return self._hash.hexdigest()

    @property
    def inline(self) -> bytes | None:
        """The whole content if it is small enough for its row."""
        return None if self._file else b"".join(self._small)

    @property
    def path(self) -> Path:
        """The file, if the content is large."""
        return self._path

    def sync(self) -> None:
        """Back when the file is on disk. Blocks."""
        if self._file:
            os.fsync(self._file.fileno())
            self._file.close()

    def discard(self) -> None:
        """Forget it: nothing was promised."""
        if self._file:
            self._file.close()
            self._path.unlink(missing_ok=True)


def _write_all(file: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:  # an unbuffered write may be short
        view = view[file.write(view) :]


class Contents(Protocol):
    """A place for large contents."""

    folder: Path

    async def settle(self, incoming: Incoming) -> None:
        """Make a large content safe before its row is committed. Raises OSError."""

    def insert(self, connection: Connection, incoming: Incoming) -> None:
        """Whatever belongs into the row's own transaction."""

    def done(self, incoming: Incoming) -> None:
        """After the commit: what is no longer needed goes."""

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
        # Its own threads: a 250 must not queue behind somebody's reading. As many as a disk serves at once.
        self._disk = ThreadPoolExecutor(_DISK_THREADS, "disk")

    async def settle(self, incoming: Incoming) -> None:
        """Fsync the file and the folder that names it."""
        if incoming.inline is not None:
            return
        run = asyncio.get_running_loop().run_in_executor
        both = run(self._disk, incoming.sync), run(self._disk, _sync_folder, self.folder)
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


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class TableContents:
    """Rows of `chunks` in PostgreSQL. Files exist here only while they arrive or are read."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self._engine = engine

    async def settle(self, incoming: Incoming) -> None:
        """Nothing: the row's own commit makes it safe."""

    def insert(self, connection: Connection, incoming: Incoming) -> None:
        """Copy a large content into the transaction."""
        if incoming.inline is None:
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
        shutil.rmtree(self.folder, ignore_errors=True)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(CHUNK):
            yield data
