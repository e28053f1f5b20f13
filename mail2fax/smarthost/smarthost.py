"""The way out: hand one mail to the outgoing mail server (the smarthost), over connections that are kept for the next.

Promise: it returns only after the smarthost's 250, and raises Temporary or Permanent for everything else. A connection
that is lost after the final dot leaves the mail perhaps taken: that is Temporary too, and the next attempt carries the
same Message-ID, by which mail servers and people know it again (RFC 5321 section 6.1 prefers two copies to none).
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import aiosmtplib
from aiosmtplib.email import parse_address

from mail2fax import log
from mail2fax.config import Reply
from mail2fax.model import Permanent, Reason
from mail2fax.smarthost.relay import Relay
from mail2fax.smarthost.verdicts import verdict

if TYPE_CHECKING:
    from mail2fax.smarthost.oauth import Tokens

_IDLE = 15.0  # seconds a connection waits for the next mail; servers close theirs after some minutes
_GOODBYE = 5.0  # seconds for QUIT


class Smarthost:
    """The outgoing mail server of [reply] relay. `hostname` is the name said in EHLO."""

    def __init__(self, settings: Reply, hostname: str) -> None:
        self._relay = Relay.of(settings)
        self._sender = settings.envelope_sender
        self._timeout = settings.timeout
        self._hostname = hostname
        self._tls: ssl.SSLContext | None = None
        self._places = asyncio.Semaphore(settings.concurrency)
        self._idle: dict[aiosmtplib.SMTP, asyncio.TimerHandle] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._tokens = _tokens(settings, self._relay.user)
        for secret in self._relay.secrets:
            log.hide(secret)

    async def hand_over(self, message: bytes, recipient: str, *, utf8: bool = False) -> None:
        """Give the mail away. `utf8` says that its header is in UTF-8 (RFC 6531). Raises Temporary or Permanent."""
        if not _writable(recipient):
            raise Permanent(Reason.RELAY_REFUSED, "5.1.3", note="the recipient is not a mail address")
        utf8 = utf8 or not (recipient + self._sender).isascii()
        with self._mapped():
            async with self._places, asyncio.timeout(self._timeout):
                await self._send(message, recipient, utf8=utf8)

    async def check(self, recipient: str) -> None:
        """All of a reply but the mail: connect, log in, MAIL and RCPT, then RSET. Raises Temporary or Permanent."""
        with self._mapped():
            async with asyncio.timeout(self._timeout):
                client = await self._begun(b"", utf8=not (recipient + self._sender).isascii())
                async with _cleared(client):
                    await client.rcpt(recipient)
                    await client.rset()
                await _leave(client)

    async def close(self) -> None:
        """Say goodbye on the connections that wait."""
        for client in list(self._idle):
            self._dismiss(client)
        await asyncio.gather(*self._leaving)

    @contextlib.contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except (aiosmtplib.SMTPException, OSError) as error:
            # From None: aiosmtplib's texts may repeat what was sent.
            raise verdict(error, self._relay.name) from None

    async def _send(self, message: bytes, recipient: str, *, utf8: bool) -> None:
        client = await self._begun(message, utf8=utf8)
        async with _cleared(client):
            # RFC 3461 section 6.1, RFC 3834 section 3.3: nobody is to be told that a reply could not be delivered.
            never = ["NOTIFY=NEVER"] if client.supports_extension("dsn") else []
            await client.rcpt(recipient, options=never, encoding="utf-8" if utf8 else "ascii")
            await client.data(message if message.endswith(b"\n") else message + b"\r\n")
        self._keep(client)

    async def _begun(self, message: bytes, *, utf8: bool) -> aiosmtplib.SMTP:
        """A connection on which MAIL was accepted."""
        while client := self._waiting():
            # It may have ended meanwhile, or be at its limit of mails (421): nothing of this mail was said yet, so
            # another connection can be asked.
            with contextlib.suppress(aiosmtplib.SMTPServerDisconnected):
                try:
                    return await self._mail(client, message, utf8=utf8)
                except aiosmtplib.SMTPSenderRefused as error:
                    if error.code != aiosmtplib.SMTPStatus.domain_unavailable:
                        raise
        return await self._mail(await self._connected(), message, utf8=utf8)

    async def _mail(self, client: aiosmtplib.SMTP, message: bytes, *, utf8: bool) -> aiosmtplib.SMTP:
        async with _cleared(client):
            options = self._options(client, message, utf8=utf8)
            await client.mail(self._sender, options=options, encoding="utf-8" if utf8 else "ascii")
        return client

    def _options(self, client: aiosmtplib.SMTP, message: bytes, *, utf8: bool) -> list[str]:
        # RFC 3461 section 6.1: the envelope of a notification carries no RET.
        options = [f"SIZE={len(message)}"] if client.supports_extension("size") else []
        if not message.isascii() and client.supports_extension("8bitmime"):
            options.append("BODY=8BITMIME")
        if utf8:
            if not client.supports_extension("smtputf8"):
                # RFC 6531 section 3.5: it is not sent to a server that does not offer the extension.
                raise Permanent(Reason.RELAY_REFUSED, "5.6.7", note=f"{self._relay.name} does not offer SMTPUTF8")
            options.append("SMTPUTF8")
        return options

    async def _connected(self) -> aiosmtplib.SMTP:
        if self._tokens is None:
            return await self._opened(None)
        token = await self._tokens.get()
        try:
            return await self._opened(token)
        except aiosmtplib.SMTPAuthenticationError:
            self._tokens.refused(token)
            raise

    async def _opened(self, token: str | None) -> aiosmtplib.SMTP:
        """A connection that is logged in, by this token or with the password, if either is set."""
        relay = self._relay

        async def given() -> str:
            return token or ""

        client = aiosmtplib.SMTP(
            hostname=relay.host,
            port=relay.port,
            use_tls=relay.tls == "implicit",
            start_tls=relay.tls == "starttls",  # True insists: never in the clear where TLS was asked for
            tls_context=await self._trust() if relay.tls else None,
            username=relay.user or None,
            password=relay.password if relay.user and token is None else None,
            oauth_token_generator=given if token is not None else None,
            local_hostname=self._hostname,
            timeout=self._timeout,
        )
        await client.connect()
        async with _cleared(client):
            # RFC 3207 section 4.2: what was offered before TLS does not count.
            if client.is_ehlo_or_helo_needed:
                await client.ehlo()
        return client

    async def _trust(self) -> ssl.SSLContext:
        if self._tls is None:
            # Reading the system's list of authorities takes some 20 ms of the loop's time.
            self._tls = await asyncio.to_thread(ssl.create_default_context, cafile=self._relay.ca_file or None)
        return self._tls

    def _waiting(self) -> aiosmtplib.SMTP | None:
        """The connection used last that still stands."""
        while self._idle:
            client = next(reversed(self._idle))
            self._idle.pop(client).cancel()
            if client.is_connected:
                return client
        return None

    def _keep(self, client: aiosmtplib.SMTP) -> None:
        self._idle[client] = asyncio.get_running_loop().call_later(_IDLE, self._dismiss, client)

    def _dismiss(self, client: aiosmtplib.SMTP) -> None:
        self._idle.pop(client).cancel()
        task = asyncio.create_task(_leave(client))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


def _tokens(settings: Reply, user: str) -> "Tokens | None":
    if not settings.relay_oauth_token_url:
        return None
    from mail2fax.smarthost.oauth import Tokens  # noqa: PLC0415 -- its library is loaded where it is used

    return Tokens(settings, user)


def _writable(address: str) -> bool:
    """Whether aiosmtplib would say this very address, and nothing else, in RCPT."""
    try:
        return bool(address) and address.isprintable() and parse_address(address) == address
    except ValueError:
        return False


@contextlib.asynccontextmanager
async def _cleared(client: aiosmtplib.SMTP) -> AsyncIterator[None]:
    """Whatever goes wrong here, no later mail finds the connection in an unknown state: it is ended."""
    try:
        yield
    except aiosmtplib.SMTPResponseException:
        await _leave(client)
        raise
    except BaseException:
        client.close()
        raise


async def _leave(client: aiosmtplib.SMTP) -> None:
    with contextlib.suppress(aiosmtplib.SMTPException, OSError):
        await client.quit(timeout=_GOODBYE)
    client.close()
