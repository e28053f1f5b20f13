"""Provider `rinble`: the fax API of Rinble / CallerIP over HTTP.

Never sends twice without proof that the first was not taken: the end of the POST is held back until the commit
(held), and every answer, error or silence is judged by whether the commit came before it (verdicts).
No httpx exception leaves this module, and no token: it travels in the form, and in the URL of every poll.
"""

import asyncio
import http.cookiejar
import logging
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, quote_plus

import httpx

from mail2fax import __version__, log
from mail2fax.config import Provider
from mail2fax.model import Capabilities, Line, Progress, Reason, Stopped, Temporary, Trace
from mail2fax.providers import Commit, UnusableProvider, verdicts
from mail2fax.providers.early_answer import Transport
from mail2fax.providers.held_body import HeldBody

LONGEST_ANSWER = 65_536  # bytes; a real one has less than 100
CONNECT = 10.0  # seconds for the connection and its TLS handshake
IDLE = 15.0  # seconds that an idle connection for polls stays open
REST = 10.0  # seconds for the rest of an answer that has begun
STALL = 60.0  # seconds in which the other side must take the next piece


class Rinble:
    """See `providers.Provider`. One for the whole node."""

    capabilities = Capabilities()  # no reason, no pages, no cost, and no way to ask whether it took a fax

    def __init__(self, settings: Provider) -> None:
        self._url = httpx.URL(settings.url)
        self._timeout = settings.timeout
        self._tls = _trusting(settings.ca_file) if self._url.scheme == "https" else None
        # A POST never goes out on a used connection: one that the server is just closing would leave us in doubt.
        self._sender = _client(Transport(self._tls, listening=True), self._timeout)
        kept = Transport(self._tls, listening=False, keep=settings.concurrency, idle=IDLE)
        self._asker = _client(kept, self._timeout)
        logging.getLogger("httpx").addFilter(_without_query)

    async def submit(
        self,
        line: Line,
        number: str,
        document: Path,
        name: str,
        commit: Commit,
        reference: str = "",  # noqa: ARG002
    ) -> str:
        """Hand over a PDF; see `Provider.submit`. The API has no place for our reference but the file's name."""
        _hide(line)
        with _opened(document) as file:
            body = HeldBody(line.token, number, file, name)
            answer = await self._post(body, commit)
        ref = verdicts.submission(answer, committed=body.committed, redact=log.redact)
        if not body.committed:
            # Taken without waiting for the end. The uuid proves it, so this late commit still comes in time.
            await commit()
        return ref

    async def status(self, line: Line, ref: str) -> Progress:
        """Ask for the fax's status; see `Provider.status`."""
        _hide(line)
        request = self._asker.build_request("GET", f"{self._url}/status", params={"token": line.token, "uuid": ref})
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._asker.send(request, stream=True)
            answer = await _read(response, self._timeout)
        except Exception as error:  # noqa: BLE001 -- whatever happens to a poll only delays the next one
            note = _note(error)
        else:
            return verdicts.progress(answer, redact=log.redact)
        raise Temporary(Reason.PROVIDER_UNREACHABLE, note=note)

    async def find(self, line: Line, reference: str, number: str, since: datetime, ref: str) -> Trace:  # noqa: ARG002
        """The API cannot be asked."""
        return Trace()

    async def cancel(self, line: Line, ref: str) -> Stopped:  # noqa: ARG002
        """The API has no such thing."""
        return Stopped.CANNOT

    async def forget(self, line: Line, ref: str) -> None:
        """The API has no such thing."""

    async def check(self, line: Line) -> None:  # noqa: ARG002 -- another provider may have an address for each line
        """Connect, with TLS where the URL says so, and hang up; see `Provider.check`."""
        port = self._url.port or (443 if self._tls else 80)
        try:
            async with asyncio.timeout(min(CONNECT, self._timeout)):
                _, writer = await asyncio.open_connection(self._url.host, port, ssl=self._tls)
        except OSError as error:
            raise Temporary(Reason.PROVIDER_UNREACHABLE, note=_note(error)) from None
        writer.transport.abort()  # reached: how the other side likes our leaving does not matter

    async def close(self) -> None:
        """Close the connections."""
        await self._sender.aclose()
        await self._asker.aclose()

    async def _post(self, body: HeldBody, commit: Commit) -> verdicts.Answer:
        async def unhurried() -> None:
            # The database takes the time it takes. Then the answer has the whole time again: giving up on it leaves
            # a person in doubt.
            deadline.reschedule(None)
            await commit()
            deadline.reschedule(asyncio.get_running_loop().time() + self._timeout)

        request = self._sender.build_request(
            "POST", f"{self._url}/send", content=body.sent_after(unhurried), headers=body.headers
        )
        try:
            async with asyncio.timeout(self._timeout) as deadline:
                response = await self._sender.send(request, stream=True)
            return await _read(response, self._timeout)
        except Exception as error:  # noqa: BLE001 -- after the commit whatever happens leaves us in doubt
            note = _note(error)
        # Out of the handler, so that no exception of the library hangs on to ours: it holds the request.
        if body.failure is not None:
            raise body.failure
        raise verdicts.no_answer(note, committed=body.committed)


def _trusting(ca_file: str) -> ssl.SSLContext:
    """TLS as the system trusts it, or as the file says. httpx by itself would bring its own list of authorities."""
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        raise UnusableProvider(f'[provider] ca_file = "{ca_file}": {_reason(error)}') from None


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


async def _read(response: httpx.Response, limit: float) -> verdicts.Answer:
    """The answer, as much of it as comes within the limit in seconds. The status line decides most cases, and what
    cuts the rest short must not hide it.
    """
    body = bytearray()
    with suppress(httpx.HTTPError, TimeoutError):
        async with asyncio.timeout(min(REST, limit)), aclosing(response):
            async for piece in response.aiter_raw():
                body += piece
                if len(body) > LONGEST_ANSWER:
                    break
    pause = verdicts.retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
    return verdicts.Answer(response.status_code, bytes(body), pause)


def _opened(document: Path) -> BinaryIO:
    return document.open("rb")


def _hide(line: Line) -> None:
    """Second net, for whatever a library may print: the token as it stands in the form, and in a URL."""
    for form in (line.token, quote(line.token, safe=""), quote_plus(line.token)):
        log.hide(form)


def _note(error: BaseException) -> str:
    """One line for operators out of the exception and its causes, made of what cannot hold a URL."""
    reasons = [reason for cause in _chain(error) if (reason := _reason(cause))]
    return ", ".join([type(error).__name__, *reasons[:1]])


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
