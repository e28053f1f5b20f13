"""The node for providers that call: [web] webhooks. What they say only hurries a look, and may tell the pages.

Promise: a stranger can neither end a fax nor change one. What is not signed is thrown away; what is signed twice is
heard once; and a body that is long, or slow, costs a connection for half a minute.
"""

import asyncio
import contextlib
import hashlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from mail2fax import httpd, log
from mail2fax.config import Settings
from mail2fax.providers import UnusableProvider, routes, telnyx_webhook
from mail2fax.providers.telnyx_webhook import Untrusted
from mail2fax.spool import Spool, SpoolUnavailable, Work, operator

LARGEST = 65_536  # bytes of one webhook; Telnyx's have about a thousand
PATIENCE = 10.0  # seconds for a body, and for the spool
LIFE = 30.0  # seconds of a connection as a whole
_REMEMBERED = 10_000  # webhooks
_SILENCE = 60.0  # seconds between two lines of the log about the same refusal


@contextlib.asynccontextmanager
async def serving(settings: Settings, spool: Spool) -> AsyncIterator[str]:
    """Serve [web] webhooks as long as the context lasts. The address as bound. Raises OSError, UnusableProvider."""
    application = Webhooks(keys(settings), spool).application()
    place = settings.web.place("webhooks")
    async with httpd.serving(application, settings.web.webhooks, _Brief, place=place) as address:
        yield address


def keys(settings: Settings) -> dict[str, Ed25519PublicKey]:
    """The key that each Telnyx line believes, by the line's name. Raises UnusableProvider."""
    found = {}
    for name, wanted in routes.sections(settings).items():
        if wanted.name == "telnyx" and (text := str(wanted.options.get("webhook_key", ""))):
            try:
                found[name] = telnyx_webhook.public_key(text)
            except ValueError as error:
                raise UnusableProvider(f"{wanted.place('options')}.webhook_key: {error}") from None
    if not found:
        place = settings.web.place("webhooks")
        raise UnusableProvider(f"{place}: no line at telnyx has options.webhook_key, so nobody is believed")
    return found


class Webhooks:
    """The handler."""

    def __init__(self, keys: Mapping[str, Ed25519PublicKey], spool: Spool) -> None:
        self._keys = keys
        self._spool = spool
        self._heard: OrderedDict[bytes, None] = OrderedDict()  # what was signed, hashed
        self._said: dict[str, float] = {}  # when a refusal was logged last

    def application(self) -> Starlette:
        """Everything that is served."""
        return Starlette(routes=[Route("/telnyx", self._telnyx, methods=["POST"])])

    async def _telnyx(self, request: Request) -> Response:
        try:
            async with asyncio.timeout(PATIENCE):
                body = await _body(request)
                return await self._told(body, request.headers)
        except TimeoutError:
            return _answer(408, "too slow")
        except ClientDisconnect:
            return _answer(400, "cut short")
        except _TooLong:
            return _answer(413, "too long")
        except SpoolUnavailable as error:
            log.spool_failed(work="webhook", error=error)
            return _answer(503, "try again")  # Telnyx does

    async def _told(self, body: bytes, headers: Mapping[str, str]) -> Response:
        timestamp, signature = headers.get("telnyx-timestamp", ""), headers.get("telnyx-signature-ed25519", "")
        try:
            lines = self._believing(body, timestamp, signature)
        except Untrusted as refusal:
            self._refused(str(refusal))
            return _answer(401, "not believed")
        event = telnyx_webhook.read(body)
        signed = hashlib.sha256(
            timestamp.encode() + b"|" + body
        ).digest()  # not the signature: it has several spellings
        if event.ref and signed not in self._heard:
            await self._spool.hand_on(Work.POLL, operator.heard, event.ref, lines, event.facts)
            self._remember(signed)
        return _answer(200, "thank you")

    def _believing(self, body: bytes, timestamp: str, signature: str) -> list[str]:
        """The lines whose key signed this. Raises Untrusted."""
        why = Untrusted("no line has a webhook_key")
        lines = []
        for name, key in self._keys.items():
            try:
                telnyx_webhook.verify(key, body, timestamp, signature, time.time())
            except Untrusted as refusal:
                why = refusal
            else:
                lines.append(name)
        if not lines:
            raise why
        return lines

    def _remember(self, signed: bytes) -> None:
        self._heard[signed] = None
        if len(self._heard) > _REMEMBERED:
            self._heard.popitem(last=False)

    def _refused(self, why: str) -> None:
        """Say it in the log, but not as often as a stranger likes."""
        now = time.monotonic()
        if now - self._said.get(why, -_SILENCE) >= _SILENCE:
            self._said[why] = now
            log.webhook_refused(why=why)


class _TooLong(Exception):  # noqa: N818
    """The body goes on."""


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > LARGEST:
            raise _TooLong
    return bytes(body)


def _answer(status: int, word: str) -> Response:
    """One answer a connection: what is left of a refused request is not read, and LIFE would cut a further one."""
    return PlainTextResponse(f"{word}\n", status, {"Connection": "close"})


class _Brief(httpd.Connection):
    """A connection that ends after a while, whatever goes on: a slow head, too, holds a place no longer."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._end = asyncio.get_running_loop().call_later(LIFE, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end.cancel()
        super().connection_lost(exc)
