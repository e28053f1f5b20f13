"""Who gets to the operator's pages: a login, an open session, and for every act a form that this session was given.

    browser --cookie--> session --role--> page
    browser --POST: cookie and token--> act

A stranger's page can make a browser send a form, with its cookies, but cannot read our token (CSRF); browsers say as
well where a form comes from. Both must be right.
"""

import hmac
import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Any, TypeVar
from urllib.parse import parse_qsl, quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from mail2fax import log
from mail2fax.config import Web
from mail2fax.operate.sessions import COOKIE, Session, Sessions
from mail2fax.smtp.limits import Window
from mail2fax.smtp.users import ROLES, Users

_SECONDS, _FROM_ONE_CLIENT, _FOR_ONE_NAME = 600.0, 10, 20  # wrong passwords
_LONGEST_FORM = 16_384  # bytes

Pages = TypeVar("Pages")
Form = Mapping[str, str]
Handler = Callable[[Any, Request, Session], Awaitable[Response]]


class NotAllowed(Exception):  # noqa: N818 -- an answer to a person
    """What this person may not do, or a form that is not ours. The text says which."""


class Gate:
    """Logins and sessions of one listener."""

    def __init__(self, settings: Web, users: Users) -> None:
        self._settings = settings
        self._users = users
        self._secret = settings.proxy_secret.get_secret_value()
        self._sessions = Sessions()
        self._by_client, self._by_name = Window(_SECONDS), Window(_SECONDS)

    def session(self, request: Request) -> tuple[Session | None, str]:
        """Who asks; and the value of a cookie that is to be set, or ""."""
        known = self._sessions.find(request.cookies.get(COOKIE, ""))
        name = self._proxied(request)
        wanted = name or (known.name if known else "")
        user = self._users.named(wanted)
        # A role that was taken away, or another password, ends what was begun before.
        if known and known.name == wanted and known.user == user and (user or name):
            return known, ""
        if not name:
            return None, ""
        key, fresh = self._sessions.begin(name, user)
        return fresh, key

    def _proxied(self, request: Request) -> str:
        """The name that the proxy in front vouches for: only with the secret that it shares with us."""
        return request.headers.get(self._settings.proxy_user_header, "") if self._by_proxy(request) else ""

    def _by_proxy(self, request: Request) -> bool:
        shown = request.headers.get("x-mail2fax-secret", "")
        return bool(self._secret) and hmac.compare_digest(shown.encode("utf-8", "replace"), self._secret.encode())

    def client(self, request: Request) -> str:
        """Whose passwords are counted: behind the proxy that has our secret the address that it saw, else the peer."""
        peer = request.client.host if request.client else ""
        if not self._by_proxy(request):
            return peer
        # The last one is the proxy's own word; what stands before it may be the client's invention.
        seen = ",".join(request.headers.getlist("x-forwarded-for")).rpartition(",")[2].strip()
        try:
            return str(ipaddress.ip_address(seen.strip("[]")))
        except ValueError:
            return peer

    async def log_in(self, name: str, password: str, client: str) -> tuple[str, Session]:
        """A new session and its cookie. Raises NotAllowed, in the same words whatever was wrong."""
        if self._tired(client, name):
            log.operator_refused(who=name, client=client, why="too many wrong passwords")
            raise NotAllowed("Too many wrong passwords. Wait ten minutes and try again.")
        # Counted before the password is looked at, so that many at the same moment are no way around the limit.
        self._by_client.add(client)
        self._by_name.add(name.casefold())
        user = await self._users.verify(name, password)
        if user is None or not user.roles:
            log.operator_refused(who=name, client=client, why="wrong name or password, or no role")
            raise NotAllowed("Name or password is wrong, or this login has no right to this page.")
        log.operator_logged_in(who=user.name, client=client)
        self._by_client.take_back(client)
        self._by_name.take_back(name.casefold())
        return self._sessions.begin(user.name, user)

    def _tired(self, client: str, name: str) -> bool:
        return (
            self._by_client.count(client) >= _FROM_ONE_CLIENT or self._by_name.count(name.casefold()) >= _FOR_ONE_NAME
        )

    def log_out(self, request: Request) -> None:
        """End this browser's session."""
        self._sessions.end(request.cookies.get(COOKIE, ""))

    def keep(self, response: Response, key: str) -> None:
        """Give the browser its cookie: for this site's own pages alone (SameSite), out of reach of scripts."""
        secure = self._settings.operate_https
        response.set_cookie(COOKIE, key, path="/", httponly=True, samesite="strict", secure=secure)


def needs(role: str) -> Callable[[Handler], Callable[[Any, Request], Awaitable[Response]]]:
    """A page for those who have this right; others are asked to log in, or are told that they have not."""
    if role not in ROLES:
        raise ValueError(role)

    def guarded(handler: Handler) -> Callable[[Any, Request], Awaitable[Response]]:
        @wraps(handler)
        async def answer(pages: Any, request: Request) -> Response:
            session, key = pages.gate.session(request)
            if session is None:
                return _to_login(request)
            if not session.may(role):
                raise NotAllowed(f"Your login may not do that: it lacks the role {role!r}.")
            response = await handler(pages, request, session)
            if key:
                pages.gate.keep(response, key)
            return response

        return answer

    return guarded


async def form(request: Request, session: Session) -> Form:
    """What was filled in. Raises NotAllowed unless the form was made for this session, on a page of ours."""
    fields = await plain_form(request)
    if not session.fits(fields.get("token", "")):
        raise NotAllowed("This form is not of your session: it may have ended meanwhile. Nothing was done; try again.")
    return fields


async def plain_form(request: Request) -> Form:
    """The fields of a form, the last of each name. Raises NotAllowed when it is too long, or another site's."""
    refuse_strangers(request)
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _LONGEST_FORM:
            raise NotAllowed("This form is too long.")
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def refuse_strangers(request: Request) -> None:
    """Raises NotAllowed when a page of another site sent this form, as the browser says; also a login's."""
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise NotAllowed("This form came from another site. Nothing was done.")


def _to_login(request: Request) -> Response:
    """To the login, and from there back to where this person wanted to go; a form that was sent is asked for again."""
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/login?next={quote(here)}", 303)
