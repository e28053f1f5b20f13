"""The connection that listens while it writes: each thing that may be heard, and what is then done."""

import asyncio
import contextlib

import httpcore
import pytest

from mail2fax.providers.early_answer import _ListeningStream, _Stream


class Inner(httpcore.AsyncNetworkStream):
    """The network underneath: says what it was told to, and keeps what is written."""

    def __init__(self, *says):
        self.says = list(says)
        self.written = []
        self.closed = False
        self.reading = asyncio.Event()

    async def read(self, max_bytes, timeout=None):
        if not self.says:
            self.reading.set()
            await asyncio.Event().wait()
        said = self.says.pop(0)
        if isinstance(said, Exception):
            raise said
        return said

    async def write(self, buffer, timeout=None):
        self.written.append(buffer)

    async def aclose(self):
        self.closed = True

    async def start_tls(self, ssl_context, server_hostname=None, timeout=None):
        raise httpcore.ConnectTimeout

    def get_extra_info(self, info):
        return bool(self.says) if info == "is_readable" else None


REFUSED = b"HTTP/1.1 413 Content Too Large\r\n\r\n"
TAKEN = b"HTTP/1.1 200 OK\r\n\r\n"


@pytest.mark.parametrize(
    "said", [REFUSED, b"HTTP/1.0 302 Found\r\n", b"HTTP/1.1 500 No", b"220 ESMTP\r\n", b"", httpcore.ReadError()]
)
async def test_nothing_more_is_written_once_it_is_over(said):
    """Refused, closed, reset or nonsense: not even the empty piece before the commit passes, and it can be read."""
    inner = Inner(said)
    stream = _ListeningStream(inner)
    with pytest.raises(httpcore.WriteError):
        await stream.write(b"")
    if isinstance(said, bytes):
        assert await stream.read(100) == said
    else:
        with pytest.raises(httpcore.ReadError):
            await stream.read(100)
    assert not any(inner.written)


@pytest.mark.parametrize("said", [TAKEN, b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.0 201 Created\r\n"])
async def test_an_interim_answer_or_a_success_stops_nothing(said):
    """The rest is written, and the answer read in its order."""
    inner = Inner(said, b"more")
    stream = _ListeningStream(inner)
    for piece in (b"1", b"2", b"", b"3"):
        await stream.write(piece)
    assert inner.written == [b"1", b"2", b"", b"3"]
    assert [await stream.read(100), await stream.read(100)] == [said, b"more"]


async def test_silence_has_a_timeout_and_loses_nothing():
    """Read again after it, what comes then is there."""
    inner = Inner()
    stream = _ListeningStream(inner)
    await stream.write(b"1")
    with pytest.raises(httpcore.ReadTimeout):
        await stream.read(100, timeout=0.01)
    assert inner.reading.is_set()


async def test_closing_ends_the_listening():
    """No task is left behind, whether something was heard or not."""
    for says in ([], [REFUSED], [httpcore.ReadError()]):
        inner = Inner(*says)
        stream = _ListeningStream(inner)
        with contextlib.suppress(httpcore.WriteError):
            await stream.write(b"")
        await stream.aclose()
        assert inner.closed
    assert [task for task in asyncio.all_tasks() if task.get_name() == "early answer"] == []


@pytest.mark.parametrize("kind", [_Stream, _ListeningStream])
async def test_a_handshake_that_fails_closes_the_connection(kind):
    """Nobody else would."""
    inner = Inner()
    with pytest.raises(httpcore.ConnectTimeout):
        await kind(inner).start_tls(None)
    assert inner.closed
