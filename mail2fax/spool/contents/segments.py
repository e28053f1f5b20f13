"""Files that mails are appended to, many to a file: one write each, and one sync for all that came together.

In a row SQLite writes a mail twice, to its log and to its table, a page at a time; and a file of its own takes a name,
a folder and two syncs. From 16 KB on appending is faster than either (docs/performance.md).

Each thread appends to a segment of its own, and a later process begins new ones: nobody writes where others do. A
segment is removed when no mail in it is kept any more.
"""

import contextlib
import os
import threading
import weakref
from pathlib import Path
from typing import NamedTuple

from mail2fax.spool.database.fsync import sync_data, sync_folder
from mail2fax.spool.database.ids import new_id

_LONGEST = 64 * 1024 * 1024  # bytes after which another is begun: so much stays on disk for the sake of one mail


class Place(NamedTuple):
    """Where a mail begins."""

    segment: str
    start: int


class Segment:
    """One file, appended to by one thread and synced by any. Closed when nobody has to do with it any more."""

    def __init__(self, folder: Path) -> None:
        self.name = f"segment-{new_id()}"
        self._folder: Path | None = folder  # None when the name is on disk
        self._file = os.open(folder / self.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        weakref.finalize(self, os.close, self._file)
        self._end = self._synced = 0
        self._failed: OSError | None = None  # told to all: the kernel tells a descriptor once
        self._lock = threading.Lock()

    @property
    def over(self) -> bool:
        """Whether nothing more is appended."""
        return self._failed is not None or self._end >= _LONGEST

    def append(self, data: bytes) -> Place:
        """Write all of it. Raises OSError, and the next one is written over what was."""
        start = self._end
        written = 0
        while written < len(data):
            written += os.pwrite(self._file, memoryview(data)[written:], start + written)
        self._end += written
        return Place(self.name, start)

    def sync(self) -> None:
        """Back when all that was appended by now is on disk, and the name. Raises OSError, once it did to everybody."""
        wanted = self._end
        with self._lock:
            if self._synced >= wanted:
                return  # by whoever held the lock: one sync for all who wait
            if self._failed:
                raise OSError(*self._failed.args)
            appended = self._end
            try:
                self._sync()
            except OSError as error:
                self._failed = error
                raise
            self._synced = appended

    def _sync(self) -> None:
        sync_data(self._file)
        if self._folder:
            sync_folder(self._folder)
            self._folder = None


class Segments:
    """The segments in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mine = threading.local()
        self._begun: list[Segment] = []
        self._lock = threading.Lock()

    def mine(self) -> Segment:
        """The one that the calling thread appends to."""
        segment: Segment | None = getattr(self._mine, "segment", None)
        if segment is None or segment.over:
            segment = self._mine.segment = Segment(self._folder)
            with self._lock:
                self._begun = [*self.in_use(), segment]
        return segment

    def in_use(self) -> list[Segment]:
        """Those that may be appended to."""
        return [segment for segment in self._begun if not segment.over]

    def read(self, place: Place, size: int) -> bytes:
        """A mail's bytes; fewer, if they never came to the disk. Raises FileNotFoundError."""
        with (self._folder / place.segment).open("rb") as file:
            file.seek(place.start)
            return file.read(size)

    def blank(self, place: Place, size: int) -> None:
        """Write zeros over a mail. Those beside it stay; the room comes back with the segment's end."""
        with contextlib.suppress(FileNotFoundError), (self._folder / place.segment).open("r+b") as file:
            file.seek(place.start)
            file.write(bytes(size))
