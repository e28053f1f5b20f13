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

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from sqlalchemy import Connection

from mail2fax.spool.contents.incoming import Incoming
from mail2fax.spool.contents.segments import Place

CHUNK = 1024 * 1024
PENS = 2  # threads that hash and write: they compute, and more of them than processors only stand in the loop's way


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

    def free_bytes(self) -> int | None:
        """Free disk space where mails are kept; None where that is the database server's business."""

    def in_use(self) -> set[str]:
        """Names that may yet be written, whether a row names them or not."""

    def sweep(self, known: set[str]) -> int:
        """Remove what no row names. How many."""

    def close(self) -> None:
        """Nothing more is asked of it."""
