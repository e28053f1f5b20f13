"""The world outside, in a process of its own: a fax API that answers at once, and a mail server that takes every reply.

    python -m benchmarks.outside FOLDER

Says its two addresses: HTTP, SMTP. Then it writes a line for each reply that came: the seconds on the clock, and the
word of its subject. As little work as can be done for an answer, since the machine is shared with what is measured.
"""

import asyncio
import signal
import sys
import time
from itertools import count

_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s"
_numbers = count(1)


class FaxApi(asyncio.Protocol):
    """POST /send is Loading, with a uuid; GET /status is Success."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client."""
        self._transport = transport
        self._head = b""
        self._left = 0  # bytes of the body that are still to come

    def data_received(self, data: bytes) -> None:
        """Read past the body; answer when it is complete."""
        if not self._left:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._head = b""
            self._posts = head.startswith(b"POST")
            lower = head.lower()
            self._left = int(lower.split(b"content-length:")[1].split(b"\r\n")[0]) if self._posts else 0
        self._left -= min(len(data), self._left)
        if not self._left:
            self._answer()

    def _answer(self) -> None:
        if self._posts:
            body = b'{"uuid": "%012d-bench", "status": "Loading"}' % next(_numbers)
            self._transport.write(_OK % (len(body), b"Connection: close\r\n", body))
            self._transport.close()
        else:
            body = b'{"status": "Success"}'
            self._transport.write(_OK % (len(body), b"", body))


class MailServer(asyncio.Protocol):
    """Takes every mail, and says when."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client."""
        self._transport = transport
        self._held = b""
        self._in_mail = False
        transport.write(b"220 outside\r\n")

    def data_received(self, data: bytes) -> None:
        """Commands, or a mail."""
        self._held += data
        while self._held:
            end = b"\r\n.\r\n" if self._in_mail else b"\r\n"
            text, found, rest = self._held.partition(end)
            if not found:
                return
            self._held = rest
            self._transport.write(self._taken(text) if self._in_mail else self._obeyed(text[:4].upper()))

    def _taken(self, mail: bytes) -> bytes:
        self._in_mail = False
        subject = mail.partition(b"\nSubject: ")[2].partition(b"\r\n")[0]
        print(time.monotonic(), subject.decode("ascii", "replace"), flush=True)
        return b"250 taken\r\n"

    def _obeyed(self, verb: bytes) -> bytes:
        self._in_mail = verb == b"DATA"
        if verb == b"EHLO":
            return b"250-outside\r\n250-SIZE\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
        return {b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n"}.get(verb, b"250 ok\r\n")


async def serve() -> None:
    """Serve until SIGTERM."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    servers = [await loop.create_server(kind, "127.0.0.1", 0, backlog=512) for kind in (FaxApi, MailServer)]
    print(*("127.0.0.1:%d" % one.sockets[0].getsockname()[1] for one in servers), flush=True)  # noqa: UP031
    await stopping.wait()


if __name__ == "__main__":
    assert len(sys.argv) > 1
    asyncio.run(serve())
