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
import tempfile
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import IO, Any

import jinja2
import pikepdf
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from mail2fax import httpd
from mail2fax.providers import SANDBOX_LISTEN
from mail2fax.sandbox import form
from mail2fax.sandbox.scenarios import DEFAULT, INSTANT, SCENARIOS, Scenario, Shape

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
    reference: str = ""  # the client's own word for it, in dialects that have one
    stopped: bool = False  # by the client
    document: Path | None = field(default=None, repr=False)  # while it is kept
    _pages: list[str] | None = field(default=None, repr=False)

    @property
    def pages(self) -> list[str]:
        """The size of each page, "letter" or in points; the API wants 8½ x 11 inches. Empty if it was not kept."""
        if self._pages is None:
            self._pages = _page_sizes(self.document) if self.document else []
        return self._pages

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
            "pages": self.pages,
            "received_at": self.received_at.isoformat(timespec="milliseconds"),
            "polls": self.polls,
            "status": self.status,
        }


class Sandbox:
    """The API's state and its handlers. `serve` gives one that can be reached."""

    def __init__(self, folder: Path, *, instant: bool = False, tokens: frozenset[str] = frozenset()) -> None:
        self.url = ""  # what [provider] url must say
        self.folder = folder
        self._instant = instant
        self._tokens = tokens
        self._faxes: OrderedDict[str, Received] = OrderedDict()
        self._documents: deque[Received] = deque()
        self._tries: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._news = asyncio.Condition()
        self.dialects: list[Route] = []  # of other APIs
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
                *self.dialects,
                Route("/", self._page),
                Route("/faxes", self._list),
                Route("/faxes/{uuid}.pdf", self._document),
            ]
        )

    # -- the API

    async def _send(self, request: Request) -> Response:
        with tempfile.TemporaryFile(dir=self.folder) as file:
            try:
                await spooled(request, file)
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                    sent = form.read(content, request.headers.get("Content-Type", ""))
                    scenario = self.scenario(sent.number, sent.name)
                    fax = None
                    if scenario.takes and self.lets_in(sent.token):
                        with memoryview(content)[sent.start : sent.end] as document:
                            fax = self._taken(sent.number, sent.name, document, scenario)
            except ClientDisconnect:
                return Response(status_code=400)
            except (form.NotAsDocumented, ValueError) as error:
                self.refused = [*self.refused[-99:], str(error)]
                return _error(400, str(error))
        if not self.lets_in(sent.token):
            # As the vendor's sister endpoints do it, token and all.
            return _error(401, f"Invalid Token {sent.token}")
        await asyncio.sleep(scenario.pause)
        return _refusal(scenario, sent) if fax is None else await self._receipt(request, fax)

    async def _receipt(self, request: Request, fax: Received) -> Response:
        async with self._news:
            self._news.notify_all()
        match fax.scenario.shape:
            case Shape.LOST | Shape.HANG:
                if fax.scenario.shape is Shape.LOST:
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
        if not self.lets_in(token):
            return _error(401, f"Invalid Token {token}")
        fax = self._faxes.get(request.query_params.get("uuid", ""))
        if fax is None:
            return _error(404, "Fax not found")
        fax.polls += 1
        if fax.polls <= fax.scenario.bad_polls:
            return Response("Internal Server Error", status_code=500)
        return JSONResponse({"status": fax.status})

    # -- for all dialects

    def lets_in(self, token: str) -> bool:
        """Whether this token is good."""
        return not self._tokens or token in self._tokens

    def fax(self, uuid: str) -> Received | None:
        """The fax of this uuid, while it is remembered."""
        return self._faxes.get(uuid)

    def delete(self, fax: Received) -> bool:
        """Delete the document of a fax, as its client asks. Whether it was kept."""
        if fax.document is None:
            return False
        fax.document.unlink()
        fax.document = None
        return True

    async def take(
        self, number: str, name: str, document: bytes | memoryview, scenario: Scenario, reference: str = ""
    ) -> Received:
        """Take a fax, and tell whoever waits for it."""
        fax = self._taken(number, name, document, scenario)
        fax.reference = reference
        async with self._news:
            self._news.notify_all()
        return fax

    def scenario(self, number: str, name: str) -> Scenario:
        """What this number makes the sandbox do with the fax of this name now."""
        if self._instant:
            return INSTANT
        scenario = SCENARIOS.get(number, DEFAULT)
        if scenario.tries is None:
            return scenario
        tries = self._tries[number, name] = self._tries.pop((number, name), 0) + 1
        if len(self._tries) > FAXES:
            self._tries.popitem(last=False)
        return scenario if tries <= scenario.tries else DEFAULT

    def _taken(self, number: str, name: str, document: bytes | memoryview, scenario: Scenario) -> Received:
        # Not always a valid UUID: the documentation's own example is none.
        uuid = f"{secrets.token_hex(3)}W{secrets.randbelow(100):02}-{secrets.token_hex(8)}"
        fax = Received(
            uuid=uuid,
            number=number,
            name=name,
            size=len(document),
            sha256=hashlib.sha256(document).hexdigest(),
            received_at=datetime.now(UTC),
            scenario=scenario,
            taken_at=time.monotonic(),
        )
        if not self._instant:
            self._keep(fax, document)
        self._faxes[uuid] = fax
        if len(self._faxes) > FAXES:
            self._faxes.popitem(last=False)
        return fax

    def _keep(self, fax: Received, document: bytes | memoryview) -> None:
        fax.document = self.folder / f"{fax.uuid}.pdf"
        fax.document.write_bytes(document)
        self._documents.append(fax)
        if len(self._documents) > DOCUMENTS:
            oldest = self._documents.popleft()
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
        from mail2fax.sandbox import json_apis  # noqa: PLC0415 -- it needs this module

        sandbox.dialects = json_apis.JsonApis(sandbox).routes
        async with httpd.serving(sandbox.application(), listen, _Connection) as address:
            sandbox.url = f"http://{address}/api/fax"
            yield sandbox


class _Connection(H11Protocol):
    """Lets a handler hang up without an answer."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


async def spooled(request: Request, file: IO[bytes]) -> None:
    """A request's body, in a file."""
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > LARGEST:
            raise form.NotAsDocumented(f"the form is larger than {LARGEST} bytes")
        file.write(piece)
    file.flush()


def _page_sizes(document: Path) -> list[str]:
    try:
        with pikepdf.open(document) as pdf:
            return [_named(*(float(edge) for edge in page.mediabox)) for page in pdf.pages]
    except (pikepdf.PdfError, ValueError, TypeError) as error:
        return [f"unreadable: {type(error).__name__}"]


def _named(left: float, bottom: float, right: float, top: float) -> str:
    size = (round(right - left), round(top - bottom))
    return "letter" if size == (612, 792) else f"{size[0]} x {size[1]}"


def _refusal(scenario: Scenario, sent: form.Form) -> Response:
    if scenario.error_code:
        return _error(scenario.error_code, f"Refused for {sent.token}")
    headers = {"Retry-After": str(scenario.retry_after)} if scenario.retry_after is not None else None
    words = scenario.what.rpartition(": ")[2]  # without the code, which every answer has at its head
    return JSONResponse({"status": 0, "message": words}, status_code=scenario.http, headers=headers)


def _error(code: int, message: str) -> Response:
    """An error as the vendor's sister endpoints answer it: with HTTP 200."""
    return JSONResponse({"status": 0, "error_code": code, "message": message})
