"""Tokens for a relay that wants XOAUTH2: had by client credentials (RFC 6749 section 4.4), kept while they are good.

Promise: no token and no secret stands in any text; what keeps a token from being had is Temporary, and so replies wait.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx
from aiosmtplib.auth import auth_xoauth2_encode
from oauthlib.oauth2 import BackendApplicationClient, OAuth2Error

from mail2fax import log
from mail2fax.config import Reply
from mail2fax.model import Reason, Temporary
from mail2fax.model.text import cut

_LIFETIME = 300.0  # seconds, where the server does not say (RFC 6749 section 5.1 allows that)
_MARGIN = 300.0  # seconds before its end, at the most, from which on a token is not used
_PAUSE = 10.0  # seconds before a server that gave none, or a bad one, is asked again, however many replies wait
_OLD = 32  # tokens that are still hidden after another took their place
_NOTE = 300  # characters of the server's own words that are kept


class Tokens:
    """The token of one application, the same for all connections. `clock` counts seconds."""

    def __init__(self, settings: Reply, user: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = settings.relay_oauth_token_url
        self._host = urlsplit(self._url).netloc
        self._client = BackendApplicationClient(settings.relay_oauth_client_id)
        self._secret = settings.relay_oauth_client_secret.get_secret_value()
        self._scope = settings.relay_oauth_scope
        self._timeout = settings.timeout / 2  # the rest is for the relay
        self._user = user
        self._clock = clock
        self._turn = asyncio.Lock()
        self._token = ""
        self._good_until = 0.0
        self._hidden: deque[tuple[float, tuple[str, ...]]] = deque()  # each token's end, and its forms
        self._failure: Temporary | None = None
        self._asked_at = -_PAUSE
        log.hide(self._secret)

    async def get(self) -> str:
        """The token. Raises Temporary."""
        async with self._turn:  # one asks for all who wait
            if not self._token or self._clock() >= self._good_until:
                await self._renew()
            return self._token

    def refused(self, token: str) -> None:
        """The relay did not believe this one: another is asked for, not at once. It stays hidden: relays repeat it."""
        if token == self._token:
            self._good_until = -math.inf
            note = f"{self._host} gave a token that the relay refused; see [reply] relay_oauth_scope and relay's user"
            self._failure = Temporary(Reason.RELAY_DEFERRED, "4.7.8", note=note)

    async def _renew(self) -> None:
        now = self._clock()
        if self._failure and now < self._asked_at + _PAUSE:
            raise Temporary(self._failure.reason, self._failure.status, note=self._failure.note)
        self._asked_at = now
        try:
            token, lifetime = _read(await self._asked())
        except (httpx.HTTPError, OAuth2Error, TimeoutError, ValueError) as error:
            self._failure = _verdict(error, self._host)
            raise self._failure from None
        self._failure = None
        self._hide(token, now, now + lifetime)
        self._token, self._good_until = token, now + lifetime - min(_MARGIN, lifetime / 10)

    async def _asked(self) -> httpx.Response:
        form = self._client.prepare_request_body(
            include_client_id=True, client_secret=self._secret, scope=self._scope or None
        )
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        async with asyncio.timeout(self._timeout), httpx.AsyncClient(timeout=self._timeout) as client:
            return await client.post(self._url, content=form, headers=headers)

    def _hide(self, token: str, now: float, end: float) -> None:
        """And look no longer for those that ran out. An older one may still be on its way in another connection."""
        forms = self._forms(token)
        over = [held for held in self._hidden if held[0] <= now or held[1] == forms]
        if not over and len(self._hidden) > _OLD:
            over = [self._hidden[0]]
        for held in over:
            self._hidden.remove(held)
            for secret in held[1]:
                log.unhide(secret)
        self._hidden.append((end, forms))
        for secret in forms:
            log.hide(secret)

    def _forms(self, token: str) -> tuple[str, ...]:
        """As a server might repeat it: by itself, and as it was said to the relay."""
        return (token, auth_xoauth2_encode(self._user, token).decode()) if token else ()


def _read(answer: httpx.Response) -> tuple[str, float]:
    """The token and its lifetime in seconds. Raises OAuth2Error, ValueError, httpx.HTTPStatusError."""
    if answer.status_code >= 500 or answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
        answer.raise_for_status()
    client = BackendApplicationClient("")  # of its own: it keeps what it reads
    try:
        found = client.parse_request_body_response(answer.text)
        token, lifetime = found["access_token"], float(found.get("expires_in") or _LIFETIME)
    except OAuth2Error:
        raise
    except Exception:  # noqa: BLE001 -- the library has no one error for an answer that is nothing of the kind
        raise ValueError(f"HTTP {answer.status_code} without a token") from None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or lifetime <= 0:
        raise ValueError("a token that cannot be used")
    return token, lifetime


def _verdict(error: Exception, host: str) -> Temporary:
    place = "[reply] relay_oauth_token_url"
    match error:
        case OAuth2Error():
            words = f"{error.error}: {error.description or ''}".rstrip(": ")
            note = f"{host} gave no token: {words}; see [reply] relay_oauth_client_id and _secret"
            return Temporary(Reason.RELAY_DEFERRED, "4.7.8", note=_noted(note))
        case httpx.HTTPStatusError():
            note = f"{host} gave no token: HTTP {error.response.status_code}"
            return Temporary(Reason.RELAY_DEFERRED, "4.4.1", note=note)
        case ValueError():
            return Temporary(Reason.RELAY_DEFERRED, "4.7.8", note=_noted(f"{host} answered {error}; see {place}"))
        case TimeoutError() | httpx.TimeoutException():
            return Temporary(Reason.RELAY_UNREACHABLE, "4.4.2", note=f"{host} did not answer in time; see {place}")
        case _:
            note = _noted(f"{host} cannot be asked for a token: {error}; see {place}")
            return Temporary(Reason.RELAY_UNREACHABLE, "4.4.1", note=note)


def _noted(note: str) -> str:
    # Blanked before it is cut: a secret cut in two would not be known again.
    shown = log.redact("".join(c if c.isprintable() else " " for c in note))
    return cut(shown, _NOTE)
