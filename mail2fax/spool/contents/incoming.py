"""One content while it arrives: in memory as long as it is small, else on its way into a file.

The loop never waits for the disk: what is large is hashed and written by a thread, a piece at a time, so that two
processors share the work and nobody else's command has to wait for it.
"""

import asyncio
import hashlib
import os
from concurrent.futures import Executor
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

INLINE = 128 * 1024  # bytes up to which a content stays in memory until it is whole, and needs no file of its own
_PIECE = 256 * 1024  # bytes that a thread is given at once: a hand-over costs as much as hashing a tenth of them
_MOST_WAITING = 1024 * 1024  # bytes in memory before whoever sends them has to wait for the disk


class Incoming:
    """What is written to it goes to `folder` / `name`, or stays in memory. Belongs to one event loop."""

    def __init__(self, folder: Path, name: str, pens: Executor) -> None:
        """`pens` are the threads that hash and write."""
        self.name = name
        self.size = 0
        self._folder = folder
        self._pens = pens
        self._pieces: list[bytes] = []  # arrived, not yet on their way to the file
        self._waiting = 0  # their bytes
        self._file: BinaryIO | None = None
        self._hash: Any = None  # of what is in the file
        self._writing: asyncio.Future[None] | None = None
        self._failure: BaseException | None = None
        self._complete = False
        self._discarded = False

    def write(self, data: bytes) -> None:
        """Take the next bytes. Raises OSError when those before could not be written, as on a full disk."""
        if self._failure:
            raise self._failure
        self.size += len(data)
        self._waiting += len(data)
        self._pieces.append(data)
        if self._file is None and self.size > INLINE:
            # 0600: nobody else on this machine reads mails.
            self._file = os.fdopen(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=0)
            self._hash = hashlib.sha256()
        if self._file and self._waiting >= _PIECE:
            self._pass_on()

    @property
    def path(self) -> Path:
        """The file, if the content is large."""
        return self._folder / self.name

    @property
    def large(self) -> bool:
        """Whether it is a file."""
        return self._file is not None

    @cached_property
    def inline(self) -> bytes | None:
        """The whole content if it is small enough for its row. To be asked when all of it is here."""
        return None if self.large else b"".join(self._pieces)

    @cached_property
    def sha256(self) -> str:
        """Hex digest of all bytes. To be asked when all of them are here, of a large content when it is finished."""
        digest: str = (self._hash if self.inline is None else hashlib.sha256(self.inline)).hexdigest()
        return digest

    @property
    def behind(self) -> bool:
        """Whether more is waiting for the disk than memory is to hold."""
        return self.large and self._waiting > _MOST_WAITING

    async def drain(self) -> None:
        """Back when the disk has caught up, or has failed."""
        while self.behind and self._writing:
            await asyncio.wait({self._writing})

    async def finish(self) -> None:
        """Back when all of it is in the file, if it is large, though not on disk yet. Raises OSError."""
        if not self.large:
            return
        self._complete = True
        self._pass_on()
        while self._writing:
            await asyncio.wait({self._writing})
        if self._failure:
            raise self._failure

    def sync(self, trailer: bytes = b"") -> None:
        """Back when the file, finished before, is on disk, with a trailer. For any thread. Raises OSError."""
        assert self._file is not None
        self._write(trailer)
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Nothing more is asked of it. The file stays."""
        if self._file and not self._writing:
            self._file.close()

    def discard(self) -> None:
        """Forget it: nothing was promised."""
        if self._file is None:
            return  # what is small goes with this object: its row may yet be written
        self._discarded = True
        self._taken()
        if not self._writing:  # else whoever is writing now removes it
            self._file.close()
            self.path.unlink(missing_ok=True)

    def _pass_on(self) -> None:
        if self._pieces and not self._writing:
            loop = asyncio.get_running_loop()
            self._writing = loop.run_in_executor(self._pens, self._keep, self._taken())
            self._writing.add_done_callback(self._passed_on)

    def _passed_on(self, writing: "asyncio.Future[None]") -> None:
        self._writing = None
        self._failure = OSError("a write was given up") if writing.cancelled() else writing.exception()
        if self._discarded or self._failure:
            self.discard()
        elif self._complete or self._waiting >= _PIECE:
            self._pass_on()

    def _taken(self) -> list[bytes]:
        pieces, self._pieces, self._waiting = self._pieces, [], 0
        return pieces

    def _keep(self, pieces: list[bytes]) -> None:
        """In a thread, one call after the other."""
        assert self._file is not None
        data = b"".join(pieces)  # one call each for all of it: between two calls the loop takes its turn
        self._hash.update(data)
        self._write(data)

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        view = memoryview(data)
        while view:  # an unbuffered write may be short
            view = view[self._file.write(view) :]
