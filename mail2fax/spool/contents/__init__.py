"""Where the bytes of mails and documents are kept: small ones in their row, others beside the database.

On SQLite large contents are files in a folder beside it, and mails in between are appended to `segments` there; on
PostgreSQL they are rows of `chunks`, since nodes share nothing else.

A document is safe on disk (`settle`) before the row that names it is committed. A mail's bytes and its row go to the
disk at the same time (`accept`), and both must be there (`safe`) before anything is promised; `withdrawal` says what
becomes of a row whose bytes did not get there. A file without a row was never promised to anybody and is swept away.

A document's life: `begin`, written, `settle`, `insert` in its row's transaction, `done`, `open`, and one day `remove`.
A mail's: `begin`, written, `finish`ed, `accept` in its row's transaction, `safe` or else `give_up`, `done`, `open` or
`read`, and one day `remove` or `blank`.
"""

import asyncio
import contextlib
import itertools
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Protocol

from sqlalchemy import Connection, Engine, delete, insert, select

from mail2fax import log
from mail2fax.spool.contents.incoming import Incoming
from mail2fax.spool.contents.segments import Place, Segment, Segments
from mail2fax.spool.contents.syncing import Syncing
from mail2fax.spool.database.journal import NotOnDisk, sync_folder
from mail2fax.spool.database.schema import chunks

CHUNK = 1024 * 1024
_ROW = 16 * 1024  # bytes of a mail that go into its row on SQLite: one sync is faster than two at once
_DISK_THREADS = 16  # syncs at once
_PENS = 2  # threads that hash and write: they compute, and more of them than processors only stand in the loop's way
_SWEEP_AGE = 3600  # seconds: a command line tool may be writing a younger file right now


class Kept(NamedTuple):
    """What a mail's row holds of its content: the bytes, or their place in a segment, or neither."""

    content: bytes | None = None
    segment: str | None = None
    start: int | None = None

    @property
    def place(self) -> Place | None:
        """Where it begins, if it is in a segment."""
        return None if self.segment is None or self.start is None else Place(self.segment, self.start)


class Contents(Protocol):
    """A place for large contents."""

    folder: Path

    def begin(self, name: str) -> Incoming:
        """A place for the bytes of a new content."""

    async def settle(self, incoming: Incoming) -> None:
        """Make a large content safe before its row is committed. Raises OSError."""

    def insert(self, connection: Connection, incoming: Incoming) -> None:
        """Whatever belongs into the transaction of a row whose content is settled."""

    def accept(self, connection: Connection, mails: Sequence[Incoming]) -> list[Kept]:
        """Whatever belongs into the transaction of mails that are finished. Raises OSError."""

    def beside_row(self, incoming: Incoming) -> bool:
        """Whether a mail's content is not in its row: either may be on disk first, until it is `safe`."""

    async def safe(self, incoming: Incoming) -> None:
        """Back when an accepted mail's content is on disk. Raises NotOnDisk."""

    async def give_up(self, incoming: Incoming) -> None:
        """Forget the content of a mail that was not accepted in the end, and has no row."""

    def done(self, incoming: Incoming) -> None:
        """What is no longer needed goes."""

    def open(self, name: str) -> contextlib.AbstractAsyncContextManager[Path]:
        """The content as a file, for as long as the context lasts. Raises FileNotFoundError."""

    def read(self, place: Place, size: int) -> bytes:
        """A mail's bytes out of a segment. Raises FileNotFoundError."""

    def remove(self, connection: Connection, name: str) -> None:
        """Forget a content."""

    def blank(self, place: Place, size: int) -> None:
        """Forget a mail's bytes in a segment."""

    def close(self) -> None:
        """Nothing more is asked of it."""


class FolderContents:
    """Files in a folder beside an SQLite database."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self._segments = Segments(folder)
        # Threads of its own that wait for the disk: no step of any fax stands behind a mail of many megabytes.
        self._disk = ThreadPoolExecutor(_DISK_THREADS, "disk")
        self._pens = ThreadPoolExecutor(_PENS, "pen")

    def begin(self, name: str) -> Incoming:
        """A file in the folder, once the content is large."""
        return Incoming(self.folder, name, self._pens)

    async def settle(self, incoming: Incoming) -> None:
        """Fsync the file and the folder that names it."""
        await incoming.finish()
        if incoming.large:
            self._sync([incoming], incoming.sync, self._sync_folder)
            try:
                await self.safe(incoming)
            except NotOnDisk:
                incoming.discard()  # no row will name it, and a disk that is full needs the room
                raise

    def insert(self, connection: Connection, incoming: Incoming) -> None:
        """Nothing: the file is there."""

    def accept(self, connection: Connection, mails: Sequence[Incoming]) -> list[Kept]:  # noqa: ARG002 -- Contents'
        """Small ones into the row; what is beside it begins its way to the disk, each segment once."""
        appended: dict[Segment, list[Incoming]] = {}
        for incoming in mails:
            if incoming.large:
                self._sync([incoming], incoming.sync, self._sync_folder)
            elif self.beside_row(incoming):
                appended.setdefault(self._append(incoming), []).append(incoming)
        for segment, theirs in appended.items():
            self._sync(theirs, segment.sync)
        return [Kept(None, *(one.place or ())) if self.beside_row(one) else Kept(one.inline) for one in mails]

    def _append(self, incoming: Incoming) -> Segment:
        assert incoming.inline is not None
        if incoming.place:
            self.blank(incoming.place, incoming.size)  # its first transaction failed, and it is tried again
        segment = self._segments.mine()
        incoming.place = segment.append(incoming.inline)
        return segment

    def _sync(self, theirs: Iterable[Incoming], *syncs: Callable[[], None]) -> None:
        syncing = [Syncing(self._disk, sync) for sync in syncs]
        for incoming in theirs:
            incoming.syncing += syncing

    def _sync_folder(self) -> None:
        sync_folder(self.folder)

    def beside_row(self, incoming: Incoming) -> bool:
        """What is in the row is on disk with it."""
        return incoming.size > _ROW

    async def safe(self, incoming: Incoming) -> None:
        """All that was begun for it."""
        for failure in [await sync.ended() for sync in incoming.syncing]:
            if failure:
                raise NotOnDisk.because(failure) from failure

    async def give_up(self, incoming: Incoming) -> None:
        """Overwrite it, or remove its file, once nobody is syncing it any more."""
        with contextlib.suppress(NotOnDisk):
            await self.safe(incoming)
        if incoming.place:
            self.blank(incoming.place, incoming.size)
        incoming.discard()

    def done(self, incoming: Incoming) -> None:
        """The file is the content."""
        incoming.close()

    @contextlib.asynccontextmanager
    async def open(self, name: str) -> AsyncIterator[Path]:
        """The file itself."""
        path = self.folder / name
        if not path.exists():
            raise FileNotFoundError(name)
        yield path

    def read(self, place: Place, size: int) -> bytes:
        """Of a segment in the folder."""
        return self._segments.read(place, size)

    def remove(self, connection: Connection, name: str) -> None:  # noqa: ARG002 -- Contents' signature
        """Unlink. After a crash before the commit the row has no content: it was to be forgotten anyway."""
        (self.folder / name).unlink(missing_ok=True)

    def blank(self, place: Place, size: int) -> None:
        """As `remove`: the bytes go at once, their room with the segment. So do they where the disk writes no more."""
        try:
            self._segments.blank(place, size)
        except OSError as error:
            log.not_overwritten(segment=place.segment, error=error)

    def close(self) -> None:
        """End its threads."""
        self._pens.shutdown()
        self._disk.shutdown()

    def in_use(self) -> set[str]:
        """Files that may yet be written, whether a row names them or not."""
        return {segment.name for segment in self._segments.in_use()}

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

    def begin(self, name: str) -> Incoming:
        """A file of this node, once the content is large, until it is in the database."""
        return Incoming(self.folder, name, self._pens)

    async def settle(self, incoming: Incoming) -> None:
        """Have the file whole; the row's own commit makes it safe."""
        await incoming.finish()

    def insert(self, connection: Connection, incoming: Incoming) -> None:
        """Copy a large content into the transaction."""
        if incoming.large:
            for n, data in enumerate(_pieces(incoming.path)):
                connection.execute(insert(chunks), {"owner": incoming.name, "n": n, "data": data})

    def accept(self, connection: Connection, mails: Sequence[Incoming]) -> list[Kept]:
        """Into the transaction, whatever their size."""
        for incoming in mails:
            self.insert(connection, incoming)
        return [Kept(incoming.inline) for incoming in mails]

    def beside_row(self, incoming: Incoming) -> bool:  # noqa: ARG002 -- Contents' signature
        """It is in the row's own transaction."""
        return False

    async def safe(self, incoming: Incoming) -> None:
        """It is."""

    async def give_up(self, incoming: Incoming) -> None:
        """The copy on this node's disk goes."""
        incoming.discard()

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

    def read(self, place: Place, size: int) -> bytes:  # noqa: ARG002 -- Contents' signature
        """There are no segments."""
        raise FileNotFoundError(place.segment)

    def remove(self, connection: Connection, name: str) -> None:
        """Delete its rows."""
        connection.execute(delete(chunks).where(chunks.c.owner == name))

    def blank(self, place: Place, size: int) -> None:
        """There are no segments."""

    def close(self) -> None:
        """The folder goes with the node."""
        self._pens.shutdown()
        shutil.rmtree(self.folder, ignore_errors=True)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(CHUNK):
            yield data
