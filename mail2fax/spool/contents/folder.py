"""Contents of an SQLite spool: files in a folder beside the database, and logs that mails share."""

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sqlalchemy import Connection

from mail2fax import log
from mail2fax.spool.contents import PENS, Kept
from mail2fax.spool.contents.incoming import Incoming
from mail2fax.spool.contents.lookup import set_marks
from mail2fax.spool.contents.records import Record, pack
from mail2fax.spool.contents.segments import Place, Segments
from mail2fax.spool.database.fsync import NotOnDisk, sync_folder

_DISK_THREADS = 16  # syncs at once
_SWEEP_AGE = 3600  # seconds: a command line tool may be writing a younger file right now


class FolderContents:
    """Files in a folder beside an SQLite database."""

    def __init__(self, folder: Path, key: bytes) -> None:
        """`key` seals the records of this spool's mails."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self.segments = Segments(folder, key)
        # Threads of its own that wait for the disk: no step of any fax stands behind a mail of many megabytes.
        self._disk = ThreadPoolExecutor(_DISK_THREADS, "disk")
        self._pens = ThreadPoolExecutor(PENS, "pen")

    def begin(self, name: str) -> Incoming:
        """A file in the folder, once the content is large."""
        return Incoming(self.folder, name, self._pens)

    async def settle(self, incoming: Incoming, record: Record | None = None) -> None:
        """Fsync the file, with the record as its trailer, and the folder that names it: both at once."""
        await incoming.finish()
        if not incoming.large:
            return
        trailer = b"".join(reversed(pack(self.segments.key, incoming.name, record))) if record else b""
        loop = asyncio.get_running_loop()
        syncing = asyncio.gather(
            loop.run_in_executor(self._disk, incoming.sync, trailer),
            loop.run_in_executor(self._disk, sync_folder, self.folder),
            return_exceptions=True,
        )
        try:
            results = await asyncio.shield(syncing)
        except asyncio.CancelledError:
            syncing.add_done_callback(lambda _: incoming.discard())  # not while a thread is writing to it
            raise
        for failure in results:
            if isinstance(failure, BaseException):
                incoming.discard()  # no row will name it, and a disk that is full needs the room
                raise NotOnDisk.because(failure) from failure

    def append(self, mails: Sequence[tuple[Record, bytes]]) -> list[Kept]:
        """To this thread's log, with one write and one sync."""
        return [Kept(None, *place) for place in self.segments.mine().append(self.segments.key, mails)] if mails else []

    def mark(self, connection: Connection) -> None:
        """The end of this thread's log."""
        mine = self.segments.current
        if mine and mine.end:
            set_marks(connection, {mine.name: mine.end})

    def cut_off(self) -> None:
        """End this thread's log where it ended before."""
        if mine := self.segments.current:
            mine.cut_off()

    def drop(self, name: str, mail: Kept, size: int) -> None:
        """Forget a mail that a start found and that is known."""
        if mail.place:
            self.blank(mail.place, size, whole=False)
        else:
            (self.folder / name).unlink(missing_ok=True)

    def insert(self, connection: Connection, incoming: Incoming) -> None:
        """Nothing: the file is there."""

    def done(self, incoming: Incoming) -> None:
        """The file is the content."""
        incoming.close()

    @contextlib.asynccontextmanager
    async def open(self, name: str, size: int) -> AsyncIterator[Path]:
        """The file itself, without the record at its end, which is no longer needed."""
        path = self.folder / name
        there = path.stat().st_size
        if there < size:
            raise FileNotFoundError(name)
        if there > size:
            os.truncate(path, size)
        yield path

    def read(self, place: Place, size: int) -> bytes:
        """Of a segment in the folder."""
        return self.segments.read(place, size)

    def remove(self, connection: Connection, name: str) -> None:  # noqa: ARG002 -- Contents' signature
        """Unlink. After a crash before the commit the row has no content: it was to be forgotten anyway."""
        (self.folder / name).unlink(missing_ok=True)

    def blank(self, place: Place, size: int, *, whole: bool = True) -> None:
        """As `remove`: the bytes go at once, their room with the log."""
        try:
            self.segments.blank(place, size, whole=whole)
        except OSError as error:
            log.not_overwritten(segment=place.segment, error=error)  # bytes stay where the disk writes no more

    def close(self) -> None:
        """End its threads."""
        self._pens.shutdown()
        self._disk.shutdown()

    def free_bytes(self) -> int:
        """Of the disk that the folder is on; 0 when the folder is gone, for then there is no room for anything."""
        try:
            return shutil.disk_usage(self.folder).free
        except OSError:
            return 0

    def in_use(self) -> set[str]:
        """Files that may yet be written, whether a row names them or not."""
        return {segment.name for segment in self.segments.in_use()}

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
