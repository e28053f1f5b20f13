"""A recording SMTP server: the smarthost of the tests, with faults on demand. Everybody's fixture `outbox`.

    async def test_it(outbox):
        ... reply.relay = outbox.url ...
        mail = await outbox.next()                  # waits for the next mail that was taken
        outbox.fault("rcpt", "450 4.2.1 later")      # once; times=… for more
        outbox.fault("dot", DROP)                    # take the mail, then cut the line without an answer
        await outbox.down(); await outbox.up()       # nobody listens, then again on the same port

Stages: connect, ehlo, starttls, auth, mail, rcpt, data (the 354), dot (the answer to the final dot), rset, quit.
"""

import asyncio
import base64
import contextlib
import email.policy
import ssl
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from email.message import EmailMessage

import pytest

from tests.support.patience import PATIENCE
from tests.support.ports import free_port

DROP = "DROP"  # close the connection instead of answering
HANG = "HANG"  # never answer


@dataclass
class Mail:
    """One mail that the server answered with 250, or would have (DROP)."""

    sender: str
    recipient: str
    content: bytes
    mail_options: list[str]
    rcpt_options: list[str]
    session: int  # which connection brought it, from 1
    tls: bool
    user: str
    answered: bool = True  # False: taken, and the line cut without an answer, so that it has to come again
    at: float = field(default_factory=time.monotonic)  # when it began to come

    @property
    def message(self) -> EmailMessage:
        return email.message_from_bytes(self.content, policy=email.policy.default)

    @property
    def subject(self) -> str:
        return str(self.message["Subject"])

    @property
    def text(self) -> str:
        return self.message.get_body(("plain",)).get_content()

    @property
    def html(self) -> str:
        return self.message.get_body(("html",)).get_content()


@dataclass
class Outbox:
    """The server. `mails` holds what it took, in order."""

    tls: ssl.SSLContext | None = None
    implicit: bool = False
    users: dict[str, str] = field(default_factory=dict)  # name -> password; empty: AUTH is not offered
    auth: str = "PLAIN LOGIN"
    extensions: tuple[str, ...] = ("SIZE 20000000", "8BITMIME", "ENHANCEDSTATUSCODES")
    host: str = "127.0.0.1"
    port: int = field(default_factory=free_port)
    mails: list[Mail] = field(default_factory=list)
    sessions: int = 0
    commands: list[str] = field(default_factory=list)
    on_taken: Callable[[], object] = lambda: None  # called before a mail's final dot is answered

    def __post_init__(self):
        self._faults = defaultdict(deque)
        self._news = asyncio.Condition()
        self._server = None
        self._open = set()
        self._read = 0

    @property
    def url(self) -> str:
        scheme = "smtps" if self.implicit else "smtp"
        return f"{scheme}://{self.host}:{self.port}"

    def fault(self, stage: str, reply: str, times: int = 1) -> None:
        """Answer the next commands of this stage so. times=-1: until `heal`."""
        self._faults[stage].append([reply, times])

    def heal(self) -> None:
        self._faults.clear()

    async def next(self, timeout: float = PATIENCE) -> Mail:
        """The next mail that was not asked for yet."""
        mails = await self.wait(self._read + 1, timeout)
        self._read += 1
        return mails[self._read - 1]

    async def wait(self, count: int, timeout: float = PATIENCE) -> list[Mail]:
        """All mails, once there are so many."""
        async with asyncio.timeout(timeout), self._news:
            await self._news.wait_for(lambda: len(self.mails) >= count)
        return list(self.mails)

    async def seen(self, verb: str, count: int = 1, timeout: float = PATIENCE) -> None:
        """Wait until a command was received so often."""
        async with asyncio.timeout(timeout), self._news:
            await self._news.wait_for(lambda: sum(c.upper().startswith(verb) for c in self.commands) >= count)

    async def idle(self, timeout: float = PATIENCE) -> None:
        """Wait until no connection is open."""
        async with asyncio.timeout(timeout), self._news:
            await self._news.wait_for(lambda: not self._open)

    async def up(self) -> None:
        context = self.tls if self.implicit else None
        self._server = await asyncio.start_server(self._serve, self.host, self.port, ssl=context, limit=2**20)

    async def down(self) -> None:
        """Stop listening, and cut every connection."""
        self._server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        await self._server.wait_closed()

    def drop_connections(self) -> None:
        for task in list(self._open):
            task.cancel()

    def _fault(self, stage: str) -> str | None:
        waiting = self._faults[stage]
        if not waiting:
            return None
        reply, times = waiting[0]
        waiting[0][1] = times - 1
        if times == 1:
            waiting.popleft()
        return reply

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._open.add(task)
        self.sessions += 1
        try:
            await _Session(self, reader, writer, self.sessions).run()
        except (_DroppedError, ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(task)
            writer.transport.abort()
            await self._tell()

    async def _tell(self):
        async with self._news:
            self._news.notify_all()


class _DroppedError(Exception):
    pass


class _Session:
    def __init__(self, outbox, reader, writer, number):
        self.outbox, self.reader, self.writer, self.number = outbox, reader, writer, number
        self.tls = outbox.implicit
        self.user = ""
        self.envelope = None

    async def run(self):
        await self.answer("connect", "220 outbox.test ESMTP")
        while line := await self.reader.readline():
            command = line.decode("utf-8", "surrogateescape").rstrip("\r\n")
            verb, _, rest = command.partition(" ")
            self.outbox.commands.append(command)
            await self.outbox._tell()
            handler = getattr(self, f"on_{verb.lower()}", None)
            if handler is None:
                await self.say("500 5.5.1 what?")
            else:
                await handler(rest)

    async def say(self, reply):
        self.writer.write(reply.encode() + b"\r\n")
        await self.writer.drain()

    async def answer(self, stage, reply) -> bool:
        """Say the reply, or the fault in its place. Whether it was a good one."""
        return await self.give(self.outbox._fault(stage), reply)

    async def give(self, fault, reply) -> bool:
        if fault == DROP:
            raise _DroppedError
        if fault == HANG:
            await self.reader.read()  # until the client has had enough
            raise _DroppedError
        await self.say(fault or reply)
        if fault and fault.startswith("421"):
            raise _DroppedError
        return not fault or fault[0] in "23"

    async def on_ehlo(self, _name):
        offers = ["outbox.test", *self.outbox.extensions]
        if self.outbox.tls and not self.tls:
            offers.append("STARTTLS")
        if self.outbox.users:
            offers.append(f"AUTH {self.outbox.auth}")
        lines = [f"250-{offer}" for offer in offers[:-1]] + [f"250 {offers[-1]}"]
        await self.answer("ehlo", "\r\n".join(lines))

    async def on_helo(self, _name):
        await self.answer("helo", "250 outbox.test")

    async def on_starttls(self, _rest):
        if await self.answer("starttls", "220 2.0.0 go ahead"):
            await self.writer.start_tls(self.outbox.tls)
            self.tls = True

    async def on_auth(self, rest):
        mechanism, _, first = rest.partition(" ")
        if mechanism.upper() == "XOAUTH2":
            user, password = base64.b64decode(first).decode().removesuffix("\1\1").split("\1auth=Bearer ")
            user = user.removeprefix("user=")
            if self.outbox.users.get(user) != password:  # the reason as a challenge, then the answer
                await self.ask(base64.b64encode(b'{"status":"401"}').decode())
        elif mechanism.upper() == "PLAIN":
            _, user, password = base64.b64decode(first or await self.ask("")).decode().split("\0")
        else:
            user = base64.b64decode(first or await self.ask("VXNlcm5hbWU6")).decode()
            password = base64.b64decode(await self.ask("UGFzc3dvcmQ6")).decode()
        good = self.outbox.users.get(user) == password
        if await self.answer("auth", "235 2.7.0 welcome" if good else "535 5.7.8 no"):
            self.user = user if good else ""

    async def ask(self, challenge):
        await self.say(f"334 {challenge}")
        return (await self.reader.readline()).strip()

    async def on_mail(self, rest):
        if self.outbox.users and not self.user:
            await self.say("530 5.7.0 log in first")
            return
        path, options = _path(rest)
        if await self.answer("mail", "250 2.1.0 ok"):
            self.envelope = Mail(path, "", b"", options, [], self.number, self.tls, self.user)

    async def on_rcpt(self, rest):
        if self.envelope is None:
            await self.say("503 5.5.1 MAIL first")
            return
        path, options = _path(rest)
        if await self.answer("rcpt", "250 2.1.5 ok"):
            self.envelope.recipient, self.envelope.rcpt_options = path, options

    async def on_data(self, _rest):
        if self.envelope is None or not self.envelope.recipient:
            await self.say("503 5.5.1 RCPT first")
            return
        if not await self.answer("data", "354 go ahead"):
            return
        lines = []
        while (line := await self.reader.readline()) != b".\r\n":
            if not line:
                raise _DroppedError
            lines.append(line[1:] if line.startswith(b".") else line)
        mail, self.envelope = self.envelope, None
        mail.content = b"".join(lines)
        fault = self.outbox._fault("dot")  # once: others come in between
        if not fault or fault in (DROP, HANG) or fault[0] == "2":
            mail.answered = fault not in (DROP, HANG)
            self.outbox.mails.append(mail)
            self.outbox.on_taken()
            await self.outbox._tell()
        await self.give(fault, f"250 2.0.0 taken as {len(self.outbox.mails)}")

    async def on_rset(self, _rest):
        self.envelope = None
        await self.answer("rset", "250 2.0.0 ok")

    async def on_noop(self, _rest):
        await self.answer("noop", "250 2.0.0 ok")

    async def on_quit(self, _rest):
        await self.answer("quit", "221 2.0.0 bye")
        raise _DroppedError


def _path(rest):
    path, *options = rest.partition(":")[2].split(" ")
    return path.removeprefix("<").removesuffix(">"), options


@contextlib.asynccontextmanager
async def serving(**options) -> AsyncIterator[Outbox]:
    outbox = Outbox(**options)
    await outbox.up()
    try:
        yield outbox
    finally:
        await outbox.down()


@pytest.fixture
async def outbox() -> AsyncIterator[Outbox]:
    """The smarthost of the tests."""
    async with serving() as box:
        yield box
