"""The body of the POST, whose end is held back until the commit.

Up to the last byte of the file the request is incomplete, and no server can act on it. Then `commit` is awaited,
and only then the end, the last fields and the closing boundary, may leave.
"""

import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import BinaryIO

CHUNK = 65_536

Fields = Iterable[tuple[str, str]]
"""Names and values of a form, in order."""


class Abandoned(Exception):  # noqa: N818 -- a sign, not an error: `failure` holds what happened
    """Our own side ends the request. The libraries in between would change the exception it is about."""


class HeldBody:
    """A multipart form (RFC 7578): fields, the open file, read while it is sent, and the fields that are held back."""

    def __init__(self, file: BinaryIO, name: str, *, field: str, before: Fields, after: Fields) -> None:
        """`field` is what the form calls the file; `after` and the closing boundary wait for the commit."""
        self._boundary = secrets.token_hex(16)
        self._file = file
        self._file_size = os.fstat(file.fileno()).st_size
        head = [self._field(key, value) for key, value in before]
        head.append(self._part(f'name="{field}"; filename="{_quoted(name)}"\r\nContent-Type: application/pdf'))
        self._head = b"".join(head)
        end = [self._field(key, value) for key, value in after]
        self._end = b"".join([b"\r\n", *end, f"--{self._boundary}--\r\n".encode()])
        self.committed = False  # whether the end may have left
        self.failure: Exception | None = None  # what our own side raised: the file, or the commit

    @property
    def headers(self) -> dict[str, str]:
        """What the request's header must say of this body."""
        size = len(self._head) + self._file_size + len(self._end)
        return {
            "Content-Type": f"multipart/form-data; boundary={self._boundary}",
            "Content-Length": str(size),
            "Connection": "close",
        }

    async def sent_after(self, commit: Callable[[], Awaitable[None]]) -> AsyncIterator[bytes]:
        """The body in pieces, each asked for when the one before has been handed to the kernel."""
        yield self._head
        left = self._file_size
        while left:
            chunk = self._read(min(CHUNK, left))
            left -= len(chunk)
            yield chunk
        # Nothing to send, but the connection gets its word in before the commit (early).
        yield b""
        try:
            await commit()
        except Exception as error:  # noqa: BLE001 -- the caller's own: it raises it again
            self.failure = error
            raise Abandoned from None
        self.committed = True
        yield self._end

    def _read(self, size: int) -> bytes:
        # 64 KiB from a file that was written a moment ago: quicker than the way to a thread and back.
        try:
            chunk = self._file.read(size)
            if chunk:
                return chunk
            self.failure = OSError("the document became shorter while it was sent")
        except OSError as error:
            self.failure = error
        raise Abandoned

    def _field(self, name: str, value: str) -> bytes:
        return self._part(f'name="{name}"') + value.encode() + b"\r\n"

    def _part(self, disposition: str) -> bytes:
        return f"--{self._boundary}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode()


def _quoted(name: str) -> str:
    """RFC 7578 section 4.2 leaves the quoting open; this is what browsers do."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
