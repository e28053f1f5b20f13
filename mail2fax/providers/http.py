"""HTTP as all adapters speak it: a body whose end is held back, answers of a bounded size, notes without secrets.

No httpx exception leaves this module: what a request brought is an `Answer`, or a verdict.
"""

import asyncio
import http.cookiejar
import logging
import os
import socket
import ssl
import zlib
from collections.abc import Iterator, Mapping
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, quote_plus

import httpx

from mail2fax import __version__, log
from mail2fax.config import Provider
from mail2fax.model import Line, Reason, Temporary
from mail2fax.providers import Commit, UnusableProvider, verdicts
from mail2fax.providers.early_answer import Transport
from mail2fax.providers.held_body import HeldBody

LONGEST_ANSWER = 65_536  # bytes; one fax has a few hundred
LONGEST_LIST = 4 * 1024 * 1024  # bytes of a list of faxes
CONNECT = 10.0  # seconds for the connection and its TLS handshake
IDLE = 15.0  # seconds that an idle connection for polls stays open
REST = 10.0  # seconds for the rest of an answer that has begun
STALL = 60.0  # seconds in which the other side must take the next piece


class Api:
    """One address, for the whole node."""

    def __init__(self, settings: Provider) -> None:
        self.url = httpx.URL(settings.url)
        self._timeout = settings.timeout
        self._tls = _trusting(settings) if self.url.scheme == "https" else None
        # A POST never goes out on a used connection: one that the server is just closing would leave us in doubt.
        self.sender = _client(Transport(self._tls, listening=True), self._timeout)
        kept = Transport(self._tls, listening=False, keep=settings.concurrency, idle=IDLE)
        self.asker = _client(kept, self._timeout)
        logging.getLogger("httpx").addFilter(_without_query)

    async def post(
        self, path: str, body: HeldBody, commit: Commit, headers: Mapping[str, str] | None = None
    ) -> verdicts.Answer:
        """POST a body whose end waits for the commit. Raises the verdict on a silence, or what our own side raised."""

        async def unhurried() -> None:
            # The database takes the time it takes. Then the answer has the whole time again: giving up on it leaves
            # a person in doubt.
            deadline.reschedule(None)
            await commit()
            deadline.reschedule(asyncio.get_running_loop().time() + self._timeout)

        head = {**body.headers, **(headers or {})}
        request = self.sender.build_request(
            "POST", f"{self.url}{path}", content=body.sent_after(unhurried), headers=head
        )
        try:
            async with asyncio.timeout(self._timeout) as deadline:
                response = await self.sender.send(request, stream=True)
            return await _read(response, self._timeout, LONGEST_ANSWER)
        except Exception as error:  # noqa: BLE001 -- after the commit whatever happens leaves us in doubt
            note = _note(error)
        # Out of the handler, so that no exception of the library hangs on to ours: it holds the request.
        if body.failure is not None:
            raise body.failure
        raise verdicts.no_answer(note, committed=body.committed)

    async def ask(self, method: str, url: str, *, longest: int = LONGEST_ANSWER, **how: Any) -> verdicts.Answer:
        """One request that changes nothing, or may be repeated. Raises Temporary when it brings no answer.

        `url` begins with a slash for a path below our address. `how` is for httpx: params, headers, data.
        """
        request = self.asker.build_request(method, f"{self.url}{url}" if url.startswith("/") else url, **how)
        try:
            async with asyncio.timeout(self._timeout):
                response = await self.asker.send(request, stream=True)
            return await _read(response, self._timeout, longest)
        except Exception as error:  # noqa: BLE001 -- whatever happens to a poll only delays the next one
            note = _note(error)
        raise Temporary(Reason.PROVIDER_UNREACHABLE, note=note)

    async def reach(self) -> None:
        """Connect, with TLS where the URL says so, and hang up. Raises Temporary with a note that says why not."""
        port = self.url.port or (443 if self._tls else 80)
        try:
            async with asyncio.timeout(min(CONNECT, self._timeout)):
                _, writer = await asyncio.open_connection(self.url.host, port, ssl=self._tls)
        except OSError as error:
            raise Temporary(Reason.PROVIDER_UNREACHABLE, note=_note(error)) from None
        writer.transport.abort()  # reached: how the other side likes our leaving does not matter

    async def close(self) -> None:
        """Close the connections."""
        await self.sender.aclose()
        await self.asker.aclose()


def _trusting(settings: Provider) -> ssl.SSLContext:
    """TLS as the system trusts it, or as the file says. httpx by itself would bring its own list of authorities."""
    try:
        return ssl.create_default_context(cafile=settings.ca_file or None)
    except OSError as error:
        raise UnusableProvider(f"{settings.place('ca_file')}: {settings.ca_file}: {_reason(error)}") from None


def _client(transport: httpx.AsyncBaseTransport, timeout: float) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=transport,
        trust_env=False,  # HTTPS_PROXY and SSL_CERT_FILE of some shell must not steer faxes elsewhere
        follow_redirects=False,
        timeout=httpx.Timeout(timeout, connect=min(CONNECT, timeout), write=min(STALL, timeout)),
        # RFC 9110 section 12.5.3: an answer that need not be unpacked cannot be a bomb.
        headers={"User-Agent": f"mail2fax/{__version__}", "Accept": "application/json", "Accept-Encoding": "identity"},
        # One line's session must not become another's.
        cookies=http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[])),
    )


async def _read(response: httpx.Response, limit: float, longest: int) -> verdicts.Answer:
    """The answer, as much of it as comes within the limit in seconds. The status line decides most cases, and what
    cuts the rest short must not hide it.
    """
    body = bytearray()
    with suppress(httpx.HTTPError, TimeoutError):
        async with asyncio.timeout(min(REST, limit)), aclosing(response):
            async for piece in response.aiter_raw():
                body += piece
                if len(body) > longest:
                    break
    pause = verdicts.retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
    coding = response.headers.get("Content-Encoding", "")
    return verdicts.Answer(response.status_code, _unpacked(bytes(body), coding, longest), pause)


def _unpacked(body: bytes, coding: str, longest: int) -> bytes:
    """As it was before a proxy that listens to nobody packed it (RFC 9110 section 8.4.1), or as it came."""
    if coding.strip().lower() in {"gzip", "x-gzip", "deflate"}:
        with suppress(zlib.error):
            return zlib.decompressobj(wbits=47).decompress(body, longest)  # 47: gzip or zlib, as its head says
    return body


def opened(document: Path) -> BinaryIO:
    """The document, to be read while it is sent."""
    return document.open("rb")


def hide(line: Line) -> None:
    """Second net, for whatever a library may print: the token as it stands in a form, and in a URL."""
    for form in (line.token, quote(line.token, safe=""), quote_plus(line.token)):
        log.hide(form)


def _note(error: BaseException) -> str:
    """One line for operators out of the exception and its causes, made of what cannot hold a URL."""
    reasons = [reason for cause in _chain(error) if (reason := _reason(cause))]
    what = next((words for kind, words in _HAPPENED if isinstance(error, kind)), "the request failed")
    return ": ".join([what, *reasons[:1]])


# What an exception of the library's says, in words; the first that fits.
_HAPPENED = (
    (httpx.ConnectTimeout, "no connection in time"),
    (httpx.WriteTimeout, "the other side stopped reading"),
    (httpx.PoolTimeout, "too many requests at once"),
    (httpx.TimeoutException | TimeoutError, "no answer in time"),
    (httpx.ConnectError | OSError, "no connection"),
    (httpx.WriteError, "the connection broke while sending"),
    (httpx.ReadError, "the connection broke before the answer"),
    (httpx.RemoteProtocolError, "the connection was closed without an answer, or with one that is no HTTP"),
)


def _reason(error: BaseException) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"certificate: {error.verify_message}"
        case ssl.SSLError():
            return getattr(error, "reason", "") or ""  # not set on one that Python code made
        case socket.gaierror():
            return error.strerror or ""
        case OSError(errno=int(number)):
            return os.strerror(number)
    return ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _without_query(record: logging.LogRecord) -> bool:
    """The library logs each URL at INFO: what follows its question mark is cut off."""
    if isinstance(record.args, tuple):
        record.args = tuple(arg.copy_with(query=None) if isinstance(arg, httpx.URL) else arg for arg in record.args)
    return True


def shown(text: str) -> str:
    """A text of theirs as it may be shown: on one line, printable, without secrets."""
    return "".join(character if character.isprintable() else "?" for character in " ".join(log.redact(text).split()))
