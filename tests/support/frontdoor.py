"""What the front door's tests share: a listener before a shelf that keeps mails in memory, and a client of raw lines."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from mail2fax.config import Settings
from mail2fax.model import Envelope, Receipt, Usage
from mail2fax.rules.policy import Policy
from mail2fax.smtp.listener import Listener
from mail2fax.spool import Spool
from mail2fax.spool.contents.incoming import Incoming

SENDER, NUMBER = "me@office.example", "6135550123@fax.local"
WAIT = 40.0


@dataclass
class Shelf:
    """Stands where the spool stands. `gate` holds commits back, `fault` makes them fail."""

    folder: Path
    mails: list[tuple[Envelope, bytes]] = field(default_factory=list)
    forwarded: list[tuple[str, bytes]] = field(default_factory=list)
    discarded: int = 0
    free: int | None = None
    faxes_waiting: int = 0
    used: Usage = field(default_factory=Usage)
    today: dict[str, int] = field(default_factory=dict)  # faxes of today, by number
    fault: Exception | None = None
    write_fault: Exception | None = None
    gate: asyncio.Event | None = None
    committing: asyncio.Event = field(default_factory=asyncio.Event)
    pens: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(2))
    places: list["Place"] = field(default_factory=list)

    def incoming(self) -> "Place":
        self.places.append(Place(self, f"m{len(self.places) + 1}"))
        return self.places[-1]

    async def put(self, envelope: Envelope, content: Incoming) -> Receipt:
        data = await self._keep(content)
        known = (envelope.reverse_path, data) in [(one.reverse_path, kept) for one, kept in self.mails]
        self.mails.append((envelope, data))
        return Receipt(content.name, tuple(one.address for one in envelope.recipients) if known else ())

    async def forward(self, envelope: Envelope, content: Incoming, recipient: str) -> str:
        self.forwarded.append((recipient, await self._keep(content)))
        return content.name

    async def _keep(self, content: Incoming) -> bytes:
        self.committing.set()
        if self.gate:
            await self.gate.wait()
        if self.fault:
            content.discard()
            raise self.fault
        await content.finish()
        content.close()
        return content.path.read_bytes() if content.inline is None else content.inline

    async def usage(self, reverse_path: str | None) -> Usage:
        return self.used

    async def number_today(self, number: str) -> int:
        return self.today.get(number, 0)

    async def waiting(self) -> int:
        return self.faxes_waiting

    def free_bytes(self) -> int | None:
        return self.free


class Place(Incoming):
    """One mail's place on the shelf, which tells when it is given up, and may have no room."""

    def __init__(self, shelf: Shelf, name: str) -> None:
        super().__init__(shelf.folder, name, shelf.pens)
        self._shelf = shelf

    def write(self, data: bytes) -> None:
        if self._shelf.write_fault:
            raise self._shelf.write_fault
        super().write(data)

    def discard(self) -> None:
        self._shelf.discarded += not self._shelf.fault
        super().discard()


class Client:
    """A connection that says what it is told, and hears whole answers."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> str:
        """One answer, its lines joined by newlines; "" when the connection ended."""
        lines = []
        async with asyncio.timeout(WAIT):
            while line := (await self.reader.readline()).decode("ascii"):
                assert line.endswith("\r\n"), line
                lines.append(line[:-2])
                if line[3:4] != "-":
                    break
        return "\n".join(lines)

    async def ask(self, command: str | bytes) -> str:
        self.send((command.encode() if isinstance(command, str) else command) + b"\r\n")
        return await self.answer()

    async def mail(self, content: bytes = b"Subject: x\r\n\r\nx\r\n", *, sender: str = SENDER, to: str = NUMBER) -> str:
        """A whole transaction; the answer that ended it."""
        for command in (f"MAIL FROM:<{sender}>", f"RCPT TO:<{to}>", "DATA"):
            answer = await self.ask(command)
            if answer[0] not in "23":
                return answer
        self.send(content + b".\r\n")
        return await self.answer()

    async def silent(self, seconds: float = 0.2) -> bool:
        """Whether nothing is said for a while: only for proofs that something does not happen."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return not await self.reader.read(1)
        return True

    async def starttls(self, context: ssl.SSLContext) -> None:
        assert (await self.ask("STARTTLS")).startswith("220 2.0.0")
        await self.writer.start_tls(context, server_hostname="fax.local")

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await self.writer.wait_closed()


class Door:
    """A running listener."""

    def __init__(self, listener: Listener, shelf: Shelf, addresses: list[str]) -> None:
        self.listener, self.shelf = listener, shelf
        self.addresses = [(host.strip("[]"), int(port)) for host, _, port in (a.rpartition(":") for a in addresses)]
        self._clients: list[Client] = []

    async def connect(self, *, at: int = 0, tls: ssl.SSLContext | None = None) -> Client:
        """A connection that has not heard the greeting yet."""
        name = "fax.local" if tls else None
        client = Client(*await asyncio.open_connection(*self.addresses[at], ssl=tls, server_hostname=name))
        self._clients.append(client)
        return client

    async def client(self, **how) -> Client:
        """A connection that has said EHLO."""
        client = await self.connect(**how)
        assert (await client.answer()).startswith("220 fax.local ")
        assert (await client.ask("EHLO me")).startswith("250-fax.local\n")
        return client

    async def hang_up_clients(self) -> None:
        for client in self._clients:
            await client.close()


@contextlib.asynccontextmanager
async def opened(
    folder: Path, smtp: dict | None = None, *, spool: Spool | None = None, **sections: dict
) -> AsyncIterator[Door]:
    """A listener on a free port before a real spool or a shelf; other keywords are sections of the settings."""
    settings = Settings.model_validate({"smtp": {"listen": ["127.0.0.1:0"], **(smtp or {})}, **sections})
    shelf = spool or Shelf(folder)
    listener = Listener(settings, shelf, Policy(settings))
    door = Door(listener, shelf, await listener.start())
    try:
        yield door
    finally:
        await door.hang_up_clients()
        await listener.close()
