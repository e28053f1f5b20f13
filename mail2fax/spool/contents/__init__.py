"""Where the bytes of mails and documents are kept, once they are too many for a row.

On SQLite a mail is appended to a log (`segments`) in a folder beside the database, and what is large is a file there.
On PostgreSQL large contents are rows of `chunks`, since nodes share nothing else.

The life of a content: `begin`, written, `settle`d on disk, or `append`ed to a log; then `insert` in the transaction of
the row that names it; `done`; `open` or `read`; one day `remove` or `blank`. A row exists only if its content is on
disk: what is derived is written after what it is derived from. A content without a row was never promised to anybody;
of a mail it may be put in by the next start (`replay`), everything else is swept away.
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from sqlalchemy import Connection

from mail2fax.spool.contents.incoming import Incoming
from mail2fax.spool.contents.records import Record
from mail2fax.spool.contents.segments import Place

CHUNK = 1024 * 1024
PENS = 2  # threads that hash and write: they compute, and more of them than processors only stand in the loop's way


class Kept(NamedTuple):
    """What a mail's row holds of its content: the bytes, or their place in a log, or neither."""

    content: bytes | None = None
    segment: str | None = None
    start: int | None = None

    @property
    def place(self) -> Place | None:
        """Where it begins, if it is in a log."""
        return None if self.segment is None or self.start is None else Place(self.segment, self.start)


class Contents(Protocol):
    """A place for contents."""

    folder: Path

    def begin(self, name: str) -> Incoming:
        """A place for the bytes of a new content."""

    async def settle(self, incoming: Incoming, record: Record | None = None) -> None:
        """Make a large content safe, with the record of a mail, before its row is committed. Raises OSError."""

    def append(self, mails: Sequence[tuple[Record, bytes]]) -> list[Kept]:
        """Make small mails safe. To be called by the thread that commits their rows next. Raises OSError."""

    def mark(self, connection: Connection) -> None:
        """Write, in the transaction of their rows, how far this thread's mails have theirs."""

    def cut_off(self) -> None:
        """Forget all mails of this thread's last `append`: none got a row."""

    def insert(self, connection: Connection, incoming: Incoming) -> None:
        """Whatever belongs into the transaction of a row whose content is settled."""

    def done(self, incoming: Incoming) -> None:
        """What is no longer needed goes."""

    def open(self, name: str, size: int) -> contextlib.AbstractAsyncContextManager[Path]:
        """The content as a file, for as long as the context lasts. A mail's row must be on disk by then.

        Raises FileNotFoundError.
        """

    def read(self, place: Place, size: int) -> bytes:
        """A mail's bytes out of a log. Raises FileNotFoundError."""

    def remove(self, connection: Connection, name: str) -> None:
        """Forget a content."""

    def blank(self, place: Place, size: int, *, whole: bool = True) -> None:
        """Forget a mail in a log, with its envelope. Unless `whole` its head stays: others may lie behind it."""

    def free_bytes(self) -> int | None:
        """Free disk space where mails are kept; None where that is the database server's business."""

    def in_use(self) -> set[str]:
        """Names that may yet be written, whether a row names them or not."""

    def sweep(self, known: set[str]) -> int:
        """Remove what no row names. How many."""

    def close(self) -> None:
        """Nothing more is asked of it."""
