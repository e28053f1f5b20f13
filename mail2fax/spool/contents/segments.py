"""Logs: files that accepted mails are appended to, with one write and one sync for all that came together.

Each thread appends to a log of its own, and a later process begins new ones: nobody writes where others do. A log is
removed when no mail in it is kept any more. What stands in one is told by `records`.

Older spools have `segment-…` files beside them: contents alone, without records. They are read and emptied as before.
"""

import contextlib
import os
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mail2fax.spool.contents import records
from mail2fax.spool.contents.records import HEAD, Head, Record
from mail2fax.spool.database.fsync import sync_data, sync_folder
from mail2fax.spool.database.ids import new_id

PREFIX = "log-"
_LONGEST = 64 * 1024 * 1024  # bytes after which another is begun: so much stays on disk for the sake of one mail


class Place(NamedTuple):
    """Where the content of a mail begins."""

    segment: str
    start: int


class Segment:
    """One log, written by one thread. Closed when nobody has to do with it any more."""

    def __init__(self, folder: Path) -> None:
        self.name = PREFIX + new_id()
        self.end = 0  # of what is on disk and not taken back
        self._folder = folder
        self._named = False  # whether the name is on disk
        self._file = os.open(folder / self.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        weakref.finalize(self, os.close, self._file)
        self._begun = 0  # of what was appended last
        self._over = False

    @property
    def over(self) -> bool:
        """Whether nothing more is appended."""
        return self._over or self.end >= _LONGEST

    def append(self, key: bytes, mails: Sequence[tuple[Record, bytes]]) -> list[Place]:
        """Back when these mails are on disk. Raises OSError, and nothing is appended to this log any more."""
        places: list[Place] = []
        pieces: list[bytes] = []
        end = self.end
        for record, content in mails:
            head, tail = records.pack(key, position(self.name, end), record)
            places.append(Place(self.name, end + HEAD))
            pieces += (head, content, tail)
            end += HEAD + len(content) + len(tail)
        self._begun = self.end
        try:
            self._write(pieces, end - self.end)
            self._sync()
        except BaseException:
            self.cut_off()
            raise
        self.end = end
        return places

    def cut_off(self) -> None:
        """Take back what was appended last, and append no more: what lies behind the end is not to be trusted.

        It may yet be found after a crash: a mail whose client was told to bring it again, which is then known.
        """
        self._over = True
        self.end = self._begun
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, self.end)
            if self.end == 0:
                (self._folder / self.name).unlink(missing_ok=True)

    def _write(self, pieces: Sequence[bytes], length: int) -> None:
        written = os.pwritev(self._file, pieces, self.end)
        if written < length:  # as on a disk that is about to be full
            rest = memoryview(b"".join(pieces))
            while written < length:
                written += os.pwrite(self._file, rest[written:], self.end + written)

    def _sync(self) -> None:
        sync_data(self._file)
        if not self._named:
            sync_folder(self._folder)
            self._named = True


class Segments:
    """The logs in a folder."""

    def __init__(self, folder: Path, key: bytes) -> None:
        """`key` seals the records."""
        self.key = key
        self._folder = folder
        self._mine = threading.local()
        self._begun: list[Segment] = []
        self._lock = threading.Lock()

    @property
    def current(self) -> Segment | None:
        """The one that the calling thread appended to last."""
        return getattr(self._mine, "segment", None)

    def mine(self) -> Segment:
        """The one that the calling thread appends to."""
        segment = self.current
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

    def blank(self, place: Place, size: int, *, whole: bool) -> None:
        """Write zeros over a mail and its envelope. Those beside it stay; the room comes back with the log's end.

        Unless `whole`, the head stays, over which a start that looks for mails without a row steps to the next one.
        """
        with contextlib.suppress(FileNotFoundError), (self._folder / place.segment).open("r+b") as file:
            at = place.start
            head = self.head(file.fileno(), place.segment, at - HEAD)
            if head:
                size += head.tail
                at, size = (at - HEAD, size + HEAD) if whole else (at, size)
            file.seek(at)
            file.write(bytes(size))

    def head(self, file: int, segment: str, at: int) -> Head | None:
        """The head of the record that begins there; None if none does, as in a segment of an older spool."""
        if at < 0 or not segment.startswith(PREFIX):
            return None
        return records.head(self.key, position(segment, at), os.pread(file, HEAD, at))


def position(segment: str, at: int) -> str:
    """Where a record's head stands, as it is sealed."""
    return f"{segment}:{at}"
