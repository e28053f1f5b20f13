"""A fake token server (RFC 6749): gives a new token each time, or answers what a test wants. `tokens` is everybody's."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from tests.support.ports import free_port

HANG = -1  # never answer


@dataclass
class TokenServer:
    """`asked` holds the form of each request; `answer`, when set, is said instead of a token: status and body."""

    lifetime: object = 3600
    answer: tuple[int, str] | None = None
    asked: list[dict[str, str]] = field(default_factory=list)
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/tenant/oauth2/v2.0/token"

    @property
    def token(self) -> str:
        """The one given last."""
        return f"token-{len(self.asked)}-of-many"

    async def up(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def down(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert head.startswith("post /tenant/oauth2/v2.0/token "), head
        assert "content-type: application/x-www-form-urlencoded" in head
        length = int(head.partition("content-length: ")[2].partition("\r")[0])
        form = parse_qs((await reader.readexactly(length)).decode(), strict_parsing=True)
        self.asked.append({name: value for name, (value,) in form.items()})
        good = {"token_type": "Bearer", "expires_in": self.lifetime, "access_token": self.token}
        status, body = self.answer or (200, json.dumps({k: v for k, v in good.items() if v is not None}))
        if status != HANG:
            writer.write(
                f"HTTP/1.1 {status} x\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()
            )
            await writer.drain()
        else:
            await reader.read()
        writer.close()


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[TokenServer]:
    server = TokenServer()
    await server.up()
    try:
        yield server
    finally:
        await server.down()
