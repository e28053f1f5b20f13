"""Contents of an SQLite spool: files in a folder beside the database, and segments that mails share."""

import contextlib
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sqlalchemy import Connection

from mail2fax import log
from mail2fax.spool.contents import PENS, Kept
from mail2fax.spool.contents.incoming import Incoming
from mail2fax.spool.contents.segments import Place, Segment, Segments
from mail2fax.spool.contents.syncing import Syncing
from mail2fax.spool.database.fsync import NotOnDisk, sync_folder

_ROW = 16 * 1024  # bytes of a mail that go into its row on SQLite: one sync is faster than two at once
_DISK_THREADS = 16  # syncs at once
_SWEEP_AGE = 3600  # seconds: a command line tool may be writing a younger file right now


class FolderContents:
    """Files in a folder beside an SQLite database."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self._segments = Segments(folder)
        # Threads of its own that wait for the disk: no step of any fax stands behind a mail of many megabytes.
        self._disk = ThreadPoolExecutor(_DISK_THREADS, "disk")
        self._pens = ThreadPoolExecutor(PENS, "pen")

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

    def free_bytes(self) -> int:
        """Of the disk that the folder is on."""
        return shutil.disk_usage(self.folder).free

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
