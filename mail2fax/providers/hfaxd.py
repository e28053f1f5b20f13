"""The dialogue with HylaFAX's server hfaxd: FTP's replies and data connections (RFC 959), with commands for jobs.

One dialogue is one connection. It is never kept: the server sees a job's state change only on a fresh one.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import BinaryIO

LONGEST_LINE = 8192  # bytes of one reply line; longer is no hfaxd
CHUNK = 65_536
LEAVING = 1.0  # seconds for what is still to be sent when a connection ends
PORT = 4559


class Refused(Exception):  # noqa: N818 -- an answer
    """The server said no, in words: nothing was done."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text


class Lost(Exception):  # noqa: N818 -- a fact about the connection
    """The connection ended, or something that is no hfaxd answered: nobody knows what became of the last command."""


class Dialogue:
    """One logged in connection. Raises Refused, Lost, OSError or, by its caller's limit, TimeoutError."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def log_in(self, user: str, password: str) -> None:
        """Wait for the greeting and say who we are. Raises Refused (530) when that is not welcome."""
        await self._reply()
        code, _ = await self.say(f"USER {user}")
        if code == 331:
            await self.say(f"PASS {password}")
        await self.say("TYPE I")

    async def say(self, command: str) -> tuple[int, str]:
        """One command, and the reply's code and text. Raises Refused for 4yz and 5yz."""
        self._writer.write(command.encode() + b"\r\n")
        await self._writer.drain()
        return await self._reply()

    async def ask(self, parameter: str) -> str:
        """A parameter of the job that was selected by JOB."""
        return (await self.say(f"JPARM {parameter}"))[1].strip('"')

    async def store(self, file: BinaryIO) -> str:
        """Store a document under a name of the server's choice, which is gone when the connection ends."""
        async with self._data("STOT") as (_, writer, opened):
            while chunk := file.read(CHUNK):  # of a file that was written a moment ago: quicker than a thread
                writer.write(chunk)
                await writer.drain()
            writer.write_eof()
        _, done = await self._reply()
        found = re.search(r"FILE: (\S+?)[ )]", f"{opened} {done} ")
        if not found:
            raise Lost("the server did not say under which name it keeps the document")
        return found[1]

    async def listed(self, queue: str, form: str) -> list[str]:
        """The jobs of a queue, each as this JOBFMT shows it."""
        await self.say(f'JOBFMT "{form}"')
        async with self._data(f"LIST {queue}") as (reader, _, _):
            came = await reader.read(-1)
        await self._reply()
        return came.decode(errors="replace").splitlines()

    async def leave(self) -> None:
        """End the connection."""
        await _closed(self._writer)

    @asynccontextmanager
    async def _data(self, command: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, str]]:
        """A data connection for one command (RFC 959 section 3.2), to the host that we speak to already."""
        host = self._writer.get_extra_info("peername")[0]  # not what PASV says: behind NAT that is another
        reader, writer = await asyncio.open_connection(host, await self._passive(wide=":" in host))
        try:
            _, opened = await self.say(command)
            yield reader, writer, opened
        finally:
            await _closed(writer)

    async def _passive(self, *, wide: bool) -> int:
        """The port of the next data connection; RFC 2428's form where the address is one of IPv6."""
        _, answer = await self.say("EPSV" if wide else "PASV")
        found = re.search(r"\|(\d+)\|" if wide else r"(\d+),(\d+)\)", answer)
        if not found:
            raise Lost("no port for the data was given")
        return int(found[1]) if wide else int(found[1]) * 256 + int(found[2])

    async def _reply(self) -> tuple[int, str]:
        """One reply, of one line or several (RFC 959 section 4.2): its code, and the text of its last line."""
        first = ""
        while True:
            try:
                line = (await self._reader.readuntil(b"\n")).decode(errors="replace").rstrip("\r\n")
            except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                raise Lost("the server closed the connection") from None
            code, mark, text = line[:3], line[3:4], line[4:].strip()
            if not first and not (code.isascii() and code.isdigit()):
                raise Lost("what answers is no hfaxd")
            if mark == "-":
                first = first or code
            elif first in {"", code} and code.isdigit():
                if code[0] in "45":
                    raise Refused(int(code), text)
                return int(code), text


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        async with asyncio.timeout(LEAVING):
            await writer.wait_closed()


@asynccontextmanager
async def opened(host: str, port: int, user: str, password: str) -> AsyncIterator[Dialogue]:
    """A dialogue for as long as the context lasts. The caller sets the limit of time."""
    reader, writer = await asyncio.open_connection(host, port, limit=LONGEST_LINE)
    dialogue = Dialogue(reader, writer)
    try:
        await dialogue.log_in(user, password)
        yield dialogue
    finally:
        await dialogue.leave()
