"""The operator's page as a server: [web] operate. Lists, one fax, what was refused, a month, and the acts."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any, Concatenate, ParamSpec, TypeVar

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from mail2fax import httpd, timezones
from mail2fax.config import Settings
from mail2fax.documents.pool import Pool
from mail2fax.health import Health
from mail2fax.model import Fax, NoSuch, Permanent, Refused, State, Temporary
from mail2fax.operate import acts, filters, papers, table, why
from mail2fax.operate.acts import ACTS, Wish
from mail2fax.operate.gate import Gate, NotAllowed, form, needs, plain_form
from mail2fax.operate.sessions import ACT, DOCUMENTS, LOOK, Session
from mail2fax.rules.address import AddressError
from mail2fax.smtp.users import Users
from mail2fax.spool import Spool, SpoolUnavailable, operator, overview, questions, search, turned_away
from mail2fax.web.host_guard import Guard
from mail2fax.web.templates import Templates

_PAGE, _FEW, _PIECE = 50, 15, 2_000  # faxes on a page of a list, on the front page, in a piece of a table
_REFUSALS = 100
_PICTURES = 30  # pages that are shown as pictures
_PATIENCE = 10.0  # seconds until a page does without the database
_LONGEST_ACT = 60.0  # seconds; what is then done all the same stands in the history
_QUEUE = 30.0  # seconds that somebody waits until others have seen their documents

P = ParamSpec("P")
T = TypeVar("T")


@contextlib.asynccontextmanager
async def serving(settings: Settings, spool: Spool, health: Health, pool: Pool, users: Users) -> AsyncIterator[str]:
    """Serve [web] operate as long as the context lasts. The address as bound. Raises OSError."""
    pages = Pages(settings, spool, health, pool, Gate(settings.web, users))
    async with httpd.serving(pages.application(), settings.web.operate, place=settings.web.place("operate")) as address:
        yield address


class Pages:
    """The handlers."""

    def __init__(self, settings: Settings, spool: Spool, health: Health, pool: Pool, gate: Gate) -> None:
        self.gate = gate
        self._settings, self._spool, self._health, self._pool = settings, spool, health, pool
        self._zone = timezones.zone(settings.reply.time_zone)
        self._templates = Templates(settings, "operate", "web")
        self._turns = asyncio.Semaphore(1)

    def application(self) -> ASGIApp:
        """Everything that is served, guarded."""
        routes = [
            Route("/", self._front),
            Route("/faxes", self._faxes),
            Route("/faxes.csv", self._csv),
            Route("/fax/{name}", self._fax),
            Route("/fax/{name}/document.pdf", self._document),
            Route("/fax/{name}/reply", self._reply),
            Route("/fax/{name}/printed", self._printed),
            Route("/explain", self._explain, methods=["GET", "POST"]),
            Route("/act/{name}", self._act, methods=["GET", "POST"]),
            Route("/refused", self._refused),
            Route("/month", self._month),
            Route("/login", self._login, methods=["GET", "POST"]),
            Route("/logout", self._logout, methods=["POST"]),
        ]
        sorry = {
            404: self._not_found,
            NoSuch: self._no_such,
            Refused: self._refused_act,
            AddressError: self._refused_act,
            NotAllowed: self._not_allowed,
            Permanent: self._no_pictures,
            Temporary: self._no_pictures,
            SpoolUnavailable: self._no_answer,
            TimeoutError: self._no_answer,
        }
        host = self._settings.web.operate.rpartition(":")[0].strip("[]")
        names = (host, self._settings.smtp.hostname, *self._settings.web.hosts)
        return Guard(Starlette(routes=routes, exception_handlers=sorry), names, methods={"GET", "HEAD", "POST"})

    # -- looking

    @needs(LOOK)
    async def _front(self, _request: Request, session: Session) -> Response:
        standing = await self._ask(overview.standing)
        unknown = await self._ask(search.found, search.Search(states=(State.UNKNOWN,)), limit=_FEW)
        owed = await self._ask(search.found, search.Search(owed=True), limit=_FEW)
        latest = await self._ask(search.found, search.Search(), limit=_FEW)
        return self._html("front.html", session, standing=standing, unknown=unknown, owed=owed, latest=latest)

    @needs(LOOK)
    async def _faxes(self, request: Request, session: Session) -> Response:
        query = request.query_params
        wanted = filters.search(query, self._zone)
        faxes = await self._ask(search.found, wanted, before=filters.cleaned(query.get("before", "")), limit=_PAGE + 1)
        shown, more = faxes[:_PAGE], len(faxes) > _PAGE
        return self._html(
            "list.html",
            session,
            faxes=shown,
            counted=await self._ask(search.counted, wanted),
            lines=await self._ask(search.lines),
            query=query,
            table=filters.address("/faxes.csv", query),
            older=filters.address("/faxes", query, before=shown[-1].id) if more else "",
            newest=filters.address("/faxes", query) if query.get("before") else "",
        )

    @needs(LOOK)
    async def _csv(self, request: Request, _session: Session) -> Response:
        wanted = filters.search(request.query_params, self._zone)
        first = await self._ask(search.found, wanted, limit=_PIECE)  # what goes wrong is told while it can be
        named = {"Content-Disposition": 'attachment; filename="faxes.csv"'}
        return StreamingResponse(self._table(wanted, first), media_type=table.MEDIA_TYPE, headers=named)

    async def _table(self, wanted: search.Search, faxes: list[Fax]) -> AsyncIterator[str]:
        """All of them, a piece at a time: no reader waits long, and none is held in memory."""
        yield table.header()
        while faxes:
            yield table.lines(faxes)
            faxes = await self._ask(search.found, wanted, before=faxes[-1].id, limit=_PIECE)

    @needs(LOOK)
    async def _fax(self, request: Request, session: Session) -> Response:
        found = await self._named(request)
        if len(found) > 1:
            return self._html("several.html", session, faxes=found)
        fax = found[0]
        message = await self._ask(questions.message, fax.message_id)
        events = await self._ask(questions.history, fax.id)
        siblings = [one for one in await self._ask(questions.named, fax.message_id) if one.id != fax.id]
        return self._html("one.html", session, fax=fax, events=events, parts_of_mail=message.parts, siblings=siblings)

    @needs(LOOK)
    async def _refused(self, request: Request, session: Session) -> Response:
        text = filters.cleaned(request.query_params.get("q", ""))
        before = filters.row(request.query_params.get("before", ""))
        found = await self._ask(turned_away.read, text, before=before, limit=_REFUSALS)
        return self._html("refused.html", session, refusals=found, text=text, full=len(found) == _REFUSALS)

    @needs(LOOK)
    async def _month(self, request: Request, session: Session) -> Response:
        since, until = filters.month(request.query_params.get("month", ""), self._zone)
        sums = await self._ask(search.sums, since, until)
        return self._html("month.html", session, sums=sums, month=f"{since.astimezone(self._zone):%Y-%m}")

    @needs(LOOK)
    async def _explain(self, request: Request, session: Session) -> Response:
        """Why a mail would be faxed, or not; and what was refused of this sender lately."""
        if request.method != "POST":
            return self._html("explain.html", session, explained=None, refusals=[], fields={})
        async with why.filled_in(request, session, self._settings.smtp.max_message_size) as fields:
            sender = filters.cleaned(str(fields.get("sender", "")))
            refusals = await self._ask(turned_away.read, sender, limit=_FEW) if sender else []
            async with self._turn():
                explained = await why.explained(self._settings, fields)
            return self._html("explain.html", session, explained=explained, refusals=refusals, fields=fields)

    @needs(DOCUMENTS)
    async def _printed(self, request: Request, session: Session) -> Response:
        """The pages as the other machine prints them. Who looked stands in the fax's history."""
        fax = (await self._named(request))[0]
        async with self._turn():
            pages, count = await papers.printed(self._pool, self._spool, fax, most=_PICTURES)
        await self._viewed(fax, session, "pages")
        pictures = [base64.b64encode(page).decode() for page in pages]
        return self._html("printed.html", session, fax=fax, pictures=pictures, count=count)

    @needs(DOCUMENTS)
    async def _document(self, request: Request, session: Session) -> Response:
        """The document as it was handed over. Who looked stands in the fax's history."""
        fax = (await self._named(request))[0]
        if not fax.document_id:
            raise Refused(f"{fax.id} has no document: none was made, or it is no longer kept")
        async with self._spool.document(fax.document_id) as path:
            content = await asyncio.to_thread(path.read_bytes)
        await self._viewed(fax, session, "document")
        named = {"Content-Disposition": f'attachment; filename="{fax.id}.pdf"'}
        return Response(content, media_type="application/pdf", headers=named)

    @needs(DOCUMENTS)
    async def _reply(self, request: Request, session: Session) -> Response:
        """The reply to the sender. Who looked stands in the fax's history."""
        fax = (await self._named(request))[0]
        subject, text = await papers.reply(self._settings, self._spool, fax)
        await self._viewed(fax, session, "reply")
        return self._html("reply.html", session, fax=fax, subject=subject, text=text)

    async def _viewed(self, fax: Fax, session: Session, what: str) -> None:
        """Put down who looked; without that nothing is shown."""
        async with asyncio.timeout(_PATIENCE):
            await self._spool.change(operator.viewed, fax.id, f"{session.name} (page)", what)

    # -- acting

    @needs(ACT)
    async def _act(self, request: Request, session: Session) -> Response:
        """Asked by GET, carried out by POST. Its object stands in the URL, so that a login in between keeps it."""
        name = request.path_params["name"]
        if name not in ACTS:
            return await self._not_found(request, KeyError(name))
        wish = _wish(request, session)
        if request.method != "POST":
            async with asyncio.timeout(_PATIENCE):
                question = await ACTS[name].ask(self._spool, wish)
            return self._html("ask.html", session, question=question, here=str(request.url.query), name=name, wish=wish)
        await form(request, session)
        async with asyncio.timeout(_LONGEST_ACT):
            done = await acts.carry_out(self._spool, name, wish)
        session.flash = done.text
        return RedirectResponse(f"/fax/{done.fax}" if done.fax else "/", 303)

    # -- in and out

    async def _login(self, request: Request) -> Response:
        following = _own_path(request.query_params.get("next", "/"))
        if request.method != "POST":
            return self._html("login.html", None, following=following, problem="")
        fields = await plain_form(request)
        try:
            client = self.gate.client(request)
            key, _ = await self.gate.log_in(fields.get("name", ""), fields.get("password", ""), client)
        except NotAllowed as refusal:
            return self._html("login.html", None, 403, following=following, problem=str(refusal))
        response = RedirectResponse(following, 303)
        self.gate.keep(response, key)
        return response

    async def _logout(self, request: Request) -> Response:
        session, _ = self.gate.session(request)
        if session:  # one that is over already needs no more
            await form(request, session)
            self.gate.log_out(request)
        return RedirectResponse("/login", 303)

    # -- no

    async def _not_found(self, request: Request, _error: Exception) -> Response:
        return self._sorry(request, 404, "There is no such page.")

    async def _no_such(self, request: Request, error: Exception) -> Response:
        return self._sorry(request, 404, f"{error}")

    async def _refused_act(self, request: Request, error: Exception) -> Response:
        return self._sorry(request, 409, error.text if isinstance(error, AddressError) else f"{error}")

    async def _not_allowed(self, request: Request, error: Exception) -> Response:
        return self._sorry(request, 403, f"{error}")

    async def _no_pictures(self, request: Request, _error: Exception) -> Response:
        return self._sorry(request, 503, "The pages could not be drawn now. Try again in a minute.")

    async def _no_answer(self, request: Request, _error: Exception) -> Response:
        return self._sorry(request, 503, "The database does not answer. Nothing is lost; try again in a minute.")

    def _sorry(self, request: Request, status: int, text: str) -> Response:
        session, _ = self.gate.session(request)
        return self._html("no.html", session, status, text=text)

    def _html(self, template: str, session: Session | None, status: int = 200, **facts: Any) -> Response:
        text = self._templates.render(
            template,
            session=session,
            flash=session.told() if session else "",
            now=_clock(facts.get("faxes") or ()),
            late=self._settings.reply.delay_notice or 900.0,
            health=self._health,
            **facts,
        )
        return HTMLResponse(text, status, {"Content-Security-Policy": self._templates.policy})

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """One document at a time is made for people to see: the mails need the processors, too."""
        try:
            async with asyncio.timeout(_QUEUE):
                await self._turns.acquire()
        except TimeoutError:
            raise Refused("Other documents are being looked at just now. Try again in a minute.") from None
        try:
            yield
        finally:
            self._turns.release()

    async def _named(self, request: Request) -> list[Fax]:
        """The fax of this id, or those of the mail. Raises Refused when there is none."""
        return await self._ask(questions.named, filters.cleaned(request.path_params["name"]))

    async def _ask(self, question: Callable[Concatenate[Any, P], T], *arguments: P.args, **options: P.kwargs) -> T:
        async with asyncio.timeout(_PATIENCE):
            return await self._spool.read(question, *arguments, **options)


def _wish(request: Request, session: Session) -> Wish:
    asked = {name: filters.cleaned(request.query_params.get(name, "")) for name in Wish.__dataclass_fields__}
    return Wish(**{**asked, "who": session.name})


def _own_path(text: str) -> str:
    """Where to go after the login: a path of this site, never another one's (open redirect)."""
    return text if text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable() else "/"


def _clock(faxes: "tuple[Fax, ...] | list[Fax]") -> datetime:
    """The database's clock where a list brings it along."""
    return (faxes[0].now if faxes else None) or datetime.now(UTC)
