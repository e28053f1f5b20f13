"""A TCP proxy that breaks connections on purpose, between the bridge and a provider or a smarthost."""

import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, Self

from tests.support.ports import free_port


@dataclass(frozen=True)
class Fault:
    """What happens to one direction of a connection. As it stands: nothing."""

    after: int | None = None  # bytes passed before `how`; None: never
    how: Literal["close", "reset", "half-close", "stall"] = "close"
    delay: float = 0.0  # seconds before each piece
    piece: int = 65_536  # bytes: small pieces with a delay make a slow line


NONE = Fault()


class FaultProxy:
    """`async with FaultProxy(port) as proxy:` listens on `proxy.port`. `up` is towards the server, `down` is back."""

    def __init__(self, port: int, *, up: Fault = NONE, down: Fault = NONE) -> None:
        self.up, self.down = up, down
        self.passed_up = 0  # bytes
        self.port = free_port()
        self._to = port
        self._sessions: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        # The second time on the same port: a server that was stopped and started.
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for session in self._sessions:
            session.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)
        await self._server.wait_closed()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._sessions.add(session := asyncio.current_task())
        ends = [writer]
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
            ends.append(far_writer)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(reader, far_writer, writer, self.up, counted=True))
                group.create_task(self._pass(far_reader, writer, far_writer, self.down))
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            self._sessions.discard(session)
            for end in ends:
                end.close()
                with suppress(OSError, asyncio.CancelledError):
                    await end.wait_closed()

    async def _pass(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        back: asyncio.StreamWriter,
        fault: Fault,
        *,
        counted: bool = False,
    ) -> None:
        left = fault.after
        while piece := await source.read(fault.piece):
            await asyncio.sleep(fault.delay)
            passing = piece if left is None else piece[:left]
            target.write(passing)
            await target.drain()
            self.passed_up += len(passing) if counted else 0
            if left is not None:
                left -= len(passing)
                if left == 0:
                    await self._break(fault, target, back)
                    return
        if target.can_write_eof():
            target.write_eof()

    async def _break(self, fault: Fault, target: asyncio.StreamWriter, back: asyncio.StreamWriter) -> None:
        if fault.how == "half-close":
            target.write_eof()
        if fault.how in {"half-close", "stall"}:
            await asyncio.Event().wait()
        if fault.how == "reset":
            reset(target)
            reset(back)
        raise ConnectionResetError


def reset(writer: asyncio.StreamWriter) -> None:
    """End the connection with a TCP reset, whatever is still to be read or written."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
