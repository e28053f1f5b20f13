"""Provider `sandbox`, the server's side: the fax API on this machine, nothing is dialled.

For trying things out, for the demo and for load tests. It reads forms as strictly as the documentation allows
(form), answers by the number (scenarios), and shows what it was given at `/` and `/faxes`.
Its memory is bounded: it forgets the oldest faxes, and keeps only the last few documents, on disk.
"""

import asyncio
import contextlib
import hashlib
import mmap
import secrets
import socket
import tempfile
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import jinja2
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from mail2fax.providers import SANDBOX_LISTEN, form
from mail2fax.providers.scenarios import AT_ONCE, DEFAULT, SCENARIOS, Scenario, Shape

LARGEST = 64 * 1024 * 1024  # bytes of one form
FAXES = 50_000
DOCUMENTS = 50

_PAGE = jinja2.Environment(autoescape=True).from_string(
    resources.files(__package__).joinpath("sandbox.html").read_text("utf-8")
)


@dataclass(slots=True)
class Received:
    """A fax that the sandbox took."""

    uuid: str
    number: str
    name: str  # of the file
    size: int  # bytes of the document
    sha256: str
    received_at: datetime
    scenario: Scenario
    taken_at: float  # on the monotonic clock
    polls: int = 0
    document: Path | None = field(default=None, repr=False)

    @property
    def status(self) -> str:
        """The word that a poll is answered with now."""
        age = time.monotonic() - self.taken_at
        return [word for since, word in self.scenario.words if since <= age][-1]

    def public(self) -> dict[str, Any]:
        """What `/faxes` shows."""
        return {
            "uuid": self.uuid,
            "number": self.number,
            "file": self.name,
            "size": self.size,
            "sha256": self.sha256,
            "received_at": self.received_at.isoformat(timespec="milliseconds"),
            "polls": self.polls,
            "status": self.status,
        }


class Sandbox:
    """The API's state and its handlers. `serve` gives one that can be reached."""

    def __init__(self, folder: Path, *, instant: bool = False, tokens: frozenset[str] = frozenset()) -> None:
        self.url = ""  # what [provider] url must say
        self._folder = folder
        self._instant = instant
        self._tokens = tokens
        self._faxes: OrderedDict[str, Received] = OrderedDict()
        self._documents: OrderedDict[str, Received] = OrderedDict()
        self._tries: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._news = asyncio.Condition()
        self.refused: list[str] = []  # why forms were not as documented, the last hundred

    @property
    def faxes(self) -> list[Received]:
        """The faxes taken, oldest first."""
        return list(self._faxes.values())

    async def received(self, count: int) -> list[Received]:
        """Wait until so many faxes were taken."""
        async with self._news:
            await self._news.wait_for(lambda: len(self._faxes) >= count)
        return self.faxes

    def application(self) -> Starlette:
        """The API and the pages as an ASGI application."""
        return Starlette(
            routes=[
                Route("/api/fax/send", self._send, methods=["POST"]),
                Route("/api/fax/status", self._status),
                Route("/", self._page),
                Route("/faxes", self._list),
                Route("/faxes/{uuid}.pdf", self._document),
            ]
        )

    # -- the API

    async def _send(self, request: Request) -> Response:
        with tempfile.TemporaryFile(dir=self._folder) as file:
            try:
                await _spool(request, file)
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                    sent = form.read(content, request.headers.get("Content-Type", ""))
                    document = content[sent.start : sent.end]
            except ClientDisconnect:
                return Response(status_code=400)
            except (form.NotAsDocumented, ValueError) as error:
                self.refused = [*self.refused[-99:], str(error)]
                return _error(400, str(error))
        if self._tokens and sent.token not in self._tokens:
            # As the vendor's sister endpoints do it, token and all.
            return _error(401, f"Invalid Token {sent.token}")
        return await self._answer(request, sent, document)

    async def _answer(self, request: Request, sent: form.Form, document: bytes) -> Response:
        scenario = self._scenario(sent)
        fax = await self._take(sent, document, scenario) if scenario.takes else None
        await asyncio.sleep(scenario.pause)
        if fax is None:
            return _refusal(scenario, sent)
        match scenario.shape:
            case Shape.LOST | Shape.HANG:
                if scenario.shape is Shape.LOST:
                    request.state.transport.abort()
                # Nothing is left to receive but the news that the client is gone.
                await request.receive()
            case Shape.HTML:
                return HTMLResponse("<html><body>Your fax is being processed</body></html>")
            case Shape.CUT:
                return Response('{"uuid": "' + fax.uuid[:9], media_type="application/json")
            case Shape.NO_UUID:
                return JSONResponse({"status": "Loading"})
        return JSONResponse({"uuid": fax.uuid, "status": "Loading"})

    async def _status(self, request: Request) -> Response:
        token = request.query_params.get("token", "")
        if self._tokens and token not in self._tokens:
            return _error(401, f"Invalid Token {token}")
        fax = self._faxes.get(request.query_params.get("uuid", ""))
        if fax is None:
            return _error(404, "Fax not found")
        fax.polls += 1
        if fax.polls <= fax.scenario.bad_polls:
            return Response("Internal Server Error", status_code=500)
        return JSONResponse({"status": fax.status})

    def _scenario(self, sent: form.Form) -> Scenario:
        if self._instant:
            return Scenario("instant", AT_ONCE)
        scenario = SCENARIOS.get(sent.number, DEFAULT)
        if scenario.tries is None:
            return scenario
        tries = self._tries[sent.number, sent.name] = self._tries.pop((sent.number, sent.name), 0) + 1
        if len(self._tries) > FAXES:
            self._tries.popitem(last=False)
        return scenario if tries <= scenario.tries else DEFAULT

    async def _take(self, sent: form.Form, document: bytes, scenario: Scenario) -> Received:
        fax = Received(
            # Not always a valid UUID: the documentation's own example is none.
            uuid=f"{secrets.token_hex(3)}W{secrets.randbelow(100):02}-{secrets.token_hex(8)}",
            number=sent.number,
            name=sent.name,
            size=len(document),
            sha256=hashlib.sha256(document).hexdigest(),
            received_at=datetime.now(UTC),
            scenario=scenario,
            taken_at=time.monotonic(),
        )
        if not self._instant:
            self._keep(fax, document)
        self._faxes[fax.uuid] = fax
        if len(self._faxes) > FAXES:
            self._faxes.popitem(last=False)
        async with self._news:
            self._news.notify_all()
        return fax

    def _keep(self, fax: Received, document: bytes) -> None:
        fax.document = self._folder / f"{fax.uuid}.pdf"
        fax.document.write_bytes(document)
        self._documents[fax.uuid] = fax
        if len(self._documents) > DOCUMENTS:
            _, oldest = self._documents.popitem(last=False)
            if oldest.document:
                oldest.document.unlink()
                oldest.document = None

    # -- for people

    async def _page(self, _request: Request) -> Response:
        page = _PAGE.render(faxes=self.faxes[:-101:-1], refused=self.refused, scenarios=SCENARIOS, default=DEFAULT)
        return HTMLResponse(page)

    async def _list(self, _request: Request) -> Response:
        return JSONResponse([fax.public() for fax in self.faxes[-1000:]])

    async def _document(self, request: Request) -> Response:
        fax = self._faxes.get(request.path_params["uuid"])
        if fax is None or fax.document is None:
            return Response("This document is not kept any more.", status_code=404)
        return FileResponse(fax.document, media_type="application/pdf")


@contextlib.asynccontextmanager
async def serve(
    listen: str = SANDBOX_LISTEN, *, instant: bool = False, tokens: frozenset[str] = frozenset()
) -> AsyncIterator[Sandbox]:
    """A sandbox that can be reached while the context is open; its `url` says where. Port 0 takes a free one.

    `instant`: every fax is a success at once and no document is kept, for load tests. `tokens`: the only ones that
    are accepted; none given: any is.
    """
    with tempfile.TemporaryDirectory(prefix="mail2fax-sandbox-") as folder:
        sandbox = Sandbox(Path(folder), instant=instant, tokens=tokens)
        bound = _bound(listen)
        host, port = bound.getsockname()[:2]
        sandbox.url = f"http://{f'[{host}]' if ':' in host else host}:{port}/api/fax"
        server = _Server(sandbox.application())
        running = asyncio.create_task(server.serve(sockets=[bound]), name="sandbox")
        try:
            await server.ready.wait()
            yield sandbox
        finally:
            server.should_exit = True
            await running


class _Connection(H11Protocol):
    """Lets a handler hang up without an answer."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class _Server(uvicorn.Server):
    def __init__(self, application: Starlette) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                http=_Connection,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=1,
                timeout_keep_alive=60,
            )
        )
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    def capture_signals(self) -> contextlib.AbstractContextManager[None]:  # type: ignore[override]
        """Signals belong to whoever runs the sandbox."""
        return contextlib.nullcontext()


def _bound(listen: str) -> socket.socket:
    parts = urlsplit(f"//{listen}")
    family = socket.AF_INET6 if ":" in (parts.hostname or "") else socket.AF_INET
    bound = socket.create_server((parts.hostname or "", parts.port or 0), family=family, backlog=512)
    # Connections inherit it. asyncio would set it, but not on one accepted here: measured, 44 ms for each answer.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return bound


async def _spool(request: Request, file: IO[bytes]) -> None:
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > LARGEST:
            raise form.NotAsDocumented(f"the form is larger than {LARGEST} bytes")
        file.write(piece)
    file.flush()


def _refusal(scenario: Scenario, sent: form.Form) -> Response:
    if scenario.error_code:
        return _error(scenario.error_code, f"Refused for {sent.token}")
    headers = {"Retry-After": str(scenario.retry_after)} if scenario.retry_after is not None else None
    return JSONResponse({"status": 0, "message": scenario.what}, status_code=scenario.http, headers=headers)


def _error(code: int, message: str) -> Response:
    """An error as the vendor's sister endpoints answer it: with HTTP 200."""
    return JSONResponse({"status": 0, "error_code": code, "message": message})
