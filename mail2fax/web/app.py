"""The node for people and machines that watch it: status page, health, metrics. It only reads, and has no login.

Promise: watching cannot hurt. At most two questions are put to the database at once, a question that hangs keeps
nothing else from going on, and no page says what a fax was about.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from mail2fax import __version__, httpd, log
from mail2fax.config import Settings
from mail2fax.health import Health
from mail2fax.model import Fax, Refused
from mail2fax.spool import Spool, SpoolUnavailable, overview, questions
from mail2fax.web import metrics
from mail2fax.web.host_guard import Guard
from mail2fax.web.html import Itself, Page, Whole
from mail2fax.web.metrics import Metrics

_AT_ONCE = 2  # questions to the database
_PATIENCE = 5.0  # seconds until a page does without the database
_SHOWN = 15  # faxes in each list of the front page
_LONGEST = 320  # characters of a question
_FOUND = 100  # faxes in an answer to a search

P = ParamSpec("P")
T = TypeVar("T")
Handler = Callable[["Pages", Request], Awaitable[Response]]


@contextlib.asynccontextmanager
async def serving(settings: Settings, spool: Spool, health: Health) -> AsyncIterator[str]:
    """Serve [web] listen as long as the context lasts. The address as bound."""
    counted = Metrics()
    pages = Pages(settings, spool, health, counted)
    with log.observed(counted.note):
        async with httpd.serving(
            pages.application(), settings.web.listen, place=settings.web.place("listen")
        ) as address:
            yield address


def _or_sorry(handler: Handler) -> Handler:
    """A page that says so when the database does not answer."""

    @wraps(handler)
    async def answer(pages: "Pages", request: Request) -> Response:
        try:
            return await handler(pages, request)
        except (TimeoutError, SpoolUnavailable) as error:
            log.spool_failed(work="status page", error=error)
            return pages.sorry("no-answer", 503)

    return answer


class Pages:
    """The handlers."""

    def __init__(self, settings: Settings, spool: Spool, health: Health, counted: Metrics) -> None:
        self._settings = settings
        self._spool = spool
        self._condition = health
        self._metrics = counted
        self._page = Page(settings)
        self._started = datetime.now(UTC)
        self._clock = time.monotonic()
        self._asking = asyncio.Semaphore(_AT_ONCE)

    def application(self) -> ASGIApp:
        """Everything that is served, guarded."""
        routes = [
            Route("/", self._front),
            Route("/find", self._find),
            Route("/fax/{name}", self._fax),
            Route("/healthz", self._healthz),
            Route("/readyz", self._readyz),
            Route("/metrics", self._exposition),
        ]
        handlers = {404: self._not_found}
        host = self._settings.web.listen.rpartition(":")[0].strip("[]")
        names = (host, self._settings.smtp.hostname, *self._settings.web.hosts)
        return Guard(Starlette(routes=routes, exception_handlers=handlers), names)

    # -- for machines

    async def _healthz(self, _request: Request) -> Response:
        """Whether the process lives and its worker runs: restart it when not."""
        alive = self._condition.alive
        seconds = round(time.monotonic() - self._clock, 1)
        facts = {"alive": alive, "node": self._spool.node, "version": __version__, "uptime": seconds}
        return JSONResponse(facts, 200 if alive else 503)

    async def _readyz(self, _request: Request) -> Response:
        """Whether mail should be brought to this node: the reasons when not."""
        problems = self._problems(self._spool.free_bytes(), writes=await self._database_writes())
        return JSONResponse({"ready": not problems, "reasons": problems}, 503 if problems else 200)

    def _problems(self, free: int | None, *, writes: bool) -> list[str]:
        """Why no mail should come. `free`: bytes on the spool's disk, None when that is not known.

        For lack of room every mail is refused at the door, too.
        """
        short = free is not None and free < self._settings.smtp.spare
        no_room = ["no room for mails: the disk is full, or the spool's folder is gone"] if short else []
        return [*self._condition.problems, *no_room, *([] if writes else ["database takes no writes"])]

    async def _database_writes(self) -> bool:
        """What a client would hear: found out by writing, for a database that only reads answers every question."""
        try:
            await self._within(self._spool.try_writing())
        except (TimeoutError, SpoolUnavailable, OSError):
            return False
        return True

    async def _exposition(self, _request: Request) -> Response:
        """Prometheus' text format. Without the database there are the counters alone."""
        standing = None
        with contextlib.suppress(TimeoutError, SpoolUnavailable):
            standing = await self._ask(overview.standing)
        up = standing is not None and await self._database_writes()
        free = self._spool.free_bytes()
        ready = not self._problems(free, writes=up)
        text = self._metrics.exposition(standing, up=up, ready=ready, free_bytes=free)
        return Response(text, media_type=metrics.CONTENT_TYPE)

    # -- for people

    @_or_sorry
    async def _front(self, request: Request) -> Response:
        seen = await self._ask(overview.overview, _SHOWN)
        free = self._spool.free_bytes()
        itself = Itself(
            node=self._spool.node,
            addresses=self._condition.addresses,
            started=self._started,
            problems=self._problems(free, writes=await self._database_writes()),
            free_bytes=free,
            domain=self._settings.smtp.domains[0],
            provider=self._settings.provider.name,
        )
        return self._html(self._page.overview(itself, seen, renew="renew" in request.query_params))

    @_or_sorry
    async def _find(self, request: Request) -> Response:
        text = _printable(request.query_params.get("q", ""))
        found = await self._ask(overview.find, text, _FOUND)
        if not found:
            return self.sorry("nothing-found", 404, text)
        return self._html(self._page.faxes(text, found))

    @_or_sorry
    async def _fax(self, request: Request) -> Response:
        name = _printable(request.path_params["name"])
        try:
            found = await self._ask(questions.named, name)
        except Refused:
            return self.sorry("no-fax", 404, name)
        if len(found) > 1:
            return self._html(self._page.faxes(name, found))
        return self._html(await self._whole(found[0], renew="renew" in request.query_params))

    async def _whole(self, fax: Fax, *, renew: bool) -> str:
        message = await self._ask(questions.message, fax.message_id)
        events = await self._ask(questions.history, fax.id)
        siblings = [one for one in await self._ask(questions.named, fax.message_id) if one.id != fax.id]
        return self._page.fax(Whole(fax, events, message.parts), siblings, renew=renew)

    async def _not_found(self, _request: Request, _error: Exception) -> Response:
        return self.sorry("no-page", 404)

    def sorry(self, why: str, status: int, asked: str = "") -> Response:
        """A page that says why there is none."""
        return self._html(self._page.sorry(why, asked), status)

    def _html(self, text: str, status: int = 200) -> Response:
        return HTMLResponse(text, status, {"Content-Security-Policy": self._page.policy})

    # -- the spool

    async def _ask(self, question: Callable[Concatenate[Any, P], T], *arguments: P.args, **options: P.kwargs) -> T:
        """Ask the database. Raises TimeoutError; the question then keeps its place until it is really over."""
        return await self._within(self._spool.read(question, *arguments, **options))

    async def _within(self, asking: Coroutine[Any, Any, T]) -> T:
        async with asyncio.timeout(_PATIENCE):
            try:
                await self._asking.acquire()
            except asyncio.CancelledError:
                asking.close()
                raise
            task = asyncio.create_task(asking)
            task.add_done_callback(self._asked)
            return await asyncio.shield(task)

    def _asked(self, task: asyncio.Task[T]) -> None:
        self._asking.release()
        if not task.cancelled():
            task.exception()  # who asked may be gone: nobody else takes note of it


def _printable(text: str) -> str:
    """What a person may have asked for: PostgreSQL takes no NUL, and RFC 5321 (section 4.5.3.1) no longer address."""
    return "".join(letter for letter in text if letter.isprintable())[:_LONGEST]
