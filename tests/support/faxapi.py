"""A fake fax API with faults, and with a record of its own of what it was really given.

It speaks HTTP on raw sockets, so that it also sees requests that never end. Fixture `faxapi`; tests of other
steps look at `posts` (complete requests only), script it with `on_post`, `on_poll` and `words`, and wait with
`until`.
"""

import asyncio
import json
import re
import ssl
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, Self
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.faultproxy import reset
from tests.support.patience import PATIENCE
from tests.support.ports import free_port


@dataclass(frozen=True)
class Reply:
    """How one request is answered. As it stands: as documented."""

    status: int = 200
    body: bytes | dict[str, Any] | None = None  # None: {"uuid": …, "status": "Loading"} or the next of `words`
    headers: dict[str, str] = field(default_factory=dict)
    early: int | None = None  # answer when so many bytes of the body have come, and read no further
    delay: float = 0.0  # seconds
    gate: asyncio.Event | None = None  # answer once it is set
    raw: bytes | None = None  # the whole answer, instead of all above
    cut: int | None = None  # send so many bytes of the answer only (negative: all but so many), then end
    end: Literal["keep", "close", "reset", "hang"] = "keep"  # the connection's fate afterwards


LOST = Reply(cut=0, end="close")
RESET = Reply(cut=0, end="reset")
HANG = Reply(cut=0, end="hang")


@dataclass
class Upload:
    """A POST as it arrives. Complete or not, it stays in the record."""

    expected: int
    content_type: str
    headers: dict[str, str]
    data: bytearray = field(default_factory=bytearray)
    uuid: str = ""
    begun_at: float = field(default_factory=time.monotonic)
    complete_at: float | None = None
    ended: bool = False  # nothing more will come

    @property
    def complete(self) -> bool:
        return len(self.data) == self.expected

    @property
    def fields(self) -> list[tuple[str, bytes]]:
        """Names and values of the form, in its order."""
        boundary = self.content_type.partition("boundary=")[2].encode()
        parts = bytes(self.data).split(b"--" + boundary)[1:-1]
        return [
            (re.search(rb'name="([^"]*)"', part)[1].decode(), part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n"))
            for part in parts
        ]

    def __getitem__(self, name: str) -> str:
        return dict(self.fields)[name].decode()

    @property
    def number(self) -> str:
        return self["number"]

    @property
    def token(self) -> str:
        return self["token"]

    @property
    def document(self) -> bytes:
        return dict(self.fields)["file"]

    @property
    def name(self) -> str:
        """The file's name: the fax's id is in it."""
        return re.search(rb'name="file"; filename="([^"]*)"', bytes(self.data))[1].decode()


@dataclass(frozen=True)
class Poll:
    """A GET of the status."""

    token: str
    uuid: str
    headers: dict[str, str]
    at: float


class FaxApi:
    """The server. `async with FaxApi() as api:` or the fixture `faxapi`."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, read_size: int = 65_536, read_pause: float = 0.0) -> None:
        self.uploads: list[Upload] = []  # every POST that began
        self.polls: list[Poll] = []
        self.connections = 0
        self.words = ["Success"]  # what a fax's polls are answered with, one after the other; the last stays
        self.tokens: set[str] | None = None  # None: any is accepted; else others get error_code 401 in a 200
        self.before_post: Callable[[Upload], Reply | None] = lambda _: None  # decides by the form; goes before on_post
        self._post_replies: deque[Reply] = deque()
        self._poll_replies: deque[Reply] = deque()
        self._tls = tls
        self._read_size, self._read_pause = read_size, read_pause
        self._news = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._sessions: set[asyncio.Task[None]] = set()
        self.port = free_port()

    # -- what tests say and ask

    @property
    def url(self) -> str:
        """For [provider] url."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/api/fax"

    @property
    def posts(self) -> list[Upload]:
        """The complete requests: what a provider could act on."""
        return [upload for upload in self.uploads if upload.complete]

    @property
    def cuts(self) -> list[Upload]:
        """Requests that ended before their end."""
        return [upload for upload in self.uploads if upload.ended and not upload.complete]

    def on_post(self, *replies: Reply) -> None:
        """The next POSTs are answered so; after these as documented."""
        self._post_replies.extend(replies)

    def on_poll(self, *replies: Reply) -> None:
        """The next polls are answered so; after these with `words`."""
        self._poll_replies.extend(replies)

    async def until(self, condition: Callable[[], bool], timeout: float = PATIENCE) -> None:
        """Wait until something of the record holds: `await faxapi.until(lambda: len(faxapi.posts) == 2)`."""
        async with asyncio.timeout(timeout), self._news:
            await self._news.wait_for(condition)

    async def start(self) -> None:
        """Listen; the second time on the same port."""
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", self.port, ssl=self._tls, limit=2**20)

    async def stop(self) -> None:
        """Refuse connections and drop those that are open, until `start`."""
        self._server.close()
        for session in self._sessions:
            session.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)
        await self._server.wait_closed()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    # -- the server

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._sessions.add(session := asyncio.current_task())
        self.connections += 1
        try:
            while await self._request(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError, ssl.SSLError):
            pass
        finally:
            self._sessions.discard(session)
            await self._tell()
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        request, *lines = head.rstrip("\r\n").split("\r\n")
        method, target, _ = request.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if method == "POST":
            return await self._post(headers, reader, writer)
        return await self._poll(target, headers, reader, writer)

    async def _post(self, headers: dict[str, str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        upload = Upload(int(headers["content-length"]), headers["content-type"], headers)
        self.uploads.append(upload)
        upload.uuid = f"{len(self.uploads):06x}-not-a-uuid"
        reply = self._post_replies.popleft() if self._post_replies else None
        try:
            await self._body(upload, reader, reply.early if reply and reply.early is not None else upload.expected)
        finally:
            upload.ended = True
        if reply is None:
            reply = self.before_post(upload) or self._for_token(upload.token)
        return await self._answer(reply, {"uuid": upload.uuid, "status": "Loading"}, reader, writer)

    async def _body(self, upload: Upload, reader: asyncio.StreamReader, until: int) -> None:
        while len(upload.data) < until:
            piece = await reader.read(min(self._read_size, upload.expected - len(upload.data)))
            if not piece:
                raise asyncio.IncompleteReadError(b"", upload.expected)
            upload.data += piece
            if upload.complete:
                upload.complete_at = time.monotonic()
            await self._tell()
            if self._read_pause:
                await asyncio.sleep(self._read_pause)

    async def _poll(
        self, target: str, headers: dict[str, str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        query = parse_qs(urlsplit(target).query)
        poll = Poll(query["token"][0], query["uuid"][0], headers, time.monotonic())
        number = sum(1 for earlier in self.polls if earlier.uuid == poll.uuid)
        self.polls.append(poll)
        await self._tell()
        reply = self._poll_replies.popleft() if self._poll_replies else self._for_token(poll.token)
        word = self.words[min(number, len(self.words) - 1)]
        return await self._answer(reply, {"status": word}, reader, writer)

    def _for_token(self, token: str) -> Reply:
        if self.tokens is None or token in self.tokens:
            return Reply()
        return Reply(body={"status": 0, "error_code": 401, "message": f"Invalid Token {token}"})

    async def _answer(
        self, reply: Reply, usual: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        await asyncio.sleep(reply.delay)
        if reply.gate:
            await reply.gate.wait()
        writer.write((_http(reply, usual) if reply.raw is None else reply.raw)[: reply.cut])
        await writer.drain()
        if reply.end == "hang":
            await reader.read()
        if reply.end == "reset":
            reset(writer)
        return reply.end == "keep" and reply.cut is None and reply.early is None

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()


def _http(reply: Reply, usual: dict[str, Any]) -> bytes:
    body = usual if reply.body is None else reply.body
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(content))} | reply.headers
    lines = [f"HTTP/1.1 {reply.status} Whatever", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + content


@pytest.fixture
async def faxapi():
    """A fax API of this test's own."""
    async with FaxApi() as api:
        yield api
