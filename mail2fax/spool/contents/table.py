"""Contents of a PostgreSQL spool: rows of `chunks`, since nodes share nothing but the database."""

import asyncio
import contextlib
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sqlalchemy import Connection, Engine, delete, insert, select

from mail2fax.spool.contents import CHUNK, PENS, Kept
from mail2fax.spool.contents.incoming import Incoming
from mail2fax.spool.contents.records import Record
from mail2fax.spool.contents.segments import Place
from mail2fax.spool.database.schema import chunks
from mail2fax.spool.database.unavailable import mapped


class TableContents:
    """Rows of `chunks` in PostgreSQL. Files exist here only while they arrive or are read."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self._engine = engine
        self._pens = ThreadPoolExecutor(PENS, "pen")

    def begin(self, name: str) -> Incoming:
        """A file of this node, once the content is large, until it is in the database."""
        return Incoming(self.folder, name, self._pens)

    async def settle(self, incoming: Incoming, record: Record | None = None) -> None:  # noqa: ARG002 -- Contents'
        """Have the file whole; the row's own commit makes it safe."""
        await incoming.finish()

    def insert(self, connection: Connection, incoming: Incoming) -> None:
        """Copy a large content into the transaction."""
        if incoming.large:
            for n, data in enumerate(_pieces(incoming.path)):
                connection.execute(insert(chunks), {"owner": incoming.name, "n": n, "data": data})

    def append(self, mails: Sequence[tuple[Record, bytes]]) -> list[Kept]:
        """Into their rows: the commit makes them safe."""
        return [Kept(content) for _, content in mails]

    def mark(self, connection: Connection) -> None:
        """There are no logs."""

    def cut_off(self) -> None:
        """They went with their transaction."""

    def done(self, incoming: Incoming) -> None:
        """The copy on this node's disk goes."""
        incoming.discard()

    @contextlib.asynccontextmanager
    async def open(self, name: str, size: int) -> AsyncIterator[Path]:  # noqa: ARG002 -- Contents' signature
        """A copy, gone at the end of the context."""
        with tempfile.NamedTemporaryFile(dir=self.folder) as file:
            await asyncio.to_thread(self._fetch, name, file)
            yield Path(file.name)

    def _fetch(self, name: str, file: "tempfile._TemporaryFileWrapper[bytes]") -> None:
        # One chunk at a time: a cursor over all would hold the whole content in memory.
        query = select(chunks.c.data).where(chunks.c.owner == name)
        with mapped(), self._engine.connect() as connection:
            for n in itertools.count():
                data = connection.scalar(query.where(chunks.c.n == n))
                if data is None:
                    break
                file.write(data)
        if n == 0:
            raise FileNotFoundError(name)
        file.flush()

    def read(self, place: Place, size: int) -> bytes:  # noqa: ARG002 -- Contents' signature
        """There are no logs."""
        raise FileNotFoundError(place.segment)

    def remove(self, connection: Connection, name: str) -> None:
        """Delete its rows."""
        connection.execute(delete(chunks).where(chunks.c.owner == name))

    def blank(self, place: Place, size: int, *, whole: bool = True) -> None:
        """There are no logs."""

    def free_bytes(self) -> None:
        """The server's business."""

    def in_use(self) -> set[str]:
        """A transaction holds all of it."""
        return set()

    def sweep(self, known: set[str]) -> int:  # noqa: ARG002 -- Contents' signature
        """Chunks go with their rows."""
        return 0

    def close(self) -> None:
        """The folder goes with the node."""
        self._pens.shutdown()
        shutil.rmtree(self.folder, ignore_errors=True)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(CHUNK):
            yield data
