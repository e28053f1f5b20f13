"""A real `mail2fax serve` in a process of its own: started, killed, paused and stopped like a server's.

async with ServedBy(folder, settings) as node:
    await node.up()
    ... node.address ... node.kill() ... await node.up() ... assert await node.stop() == 0
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from tests.support.patience import PATIENCE
from tests.support.ports import free_port

PROGRAM = (sys.executable, "-c", "from mail2fax.__main__ import main; main()")


def toml(settings: Mapping[str, Any]) -> str:
    """A settings file. What JSON writes of strings, numbers and lists is TOML, too."""
    lines = []
    for section, keys in settings.items():
        many = isinstance(keys, list)
        for table in keys if many else [keys]:
            lines.append(f"[[{section}]]" if many else f"[{section}]")
            lines += [f"{name} = {json.dumps(value)}" for name, value in table.items()]
    return "\n".join([*lines, ""])


def environment(**more: str) -> dict[str, str]:
    """This process's, without settings of its own; nor the width that pytest-xdist says a terminal has."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("MAIL2FAX_")}
    ours.pop("COLUMNS", None)
    return ours | more


async def command(file: Path, *words: str, program: Sequence[str] = PROGRAM, **env: str) -> tuple[int, Any, str]:
    """Run one command of the program. Its exit status, what it printed (as data with --json), its errors."""
    process = await asyncio.create_subprocess_exec(
        *(*program, *words, "--config", str(file)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(**env),
    )
    out, err = await process.communicate()
    printed = json.loads(out) if "--json" in words and out else out.decode()
    return process.returncode, printed, err.decode()


class ServedBy:
    """One node. Its port stays the same from one start to the next."""

    def __init__(self, folder: Path, settings: Mapping[str, Mapping[str, Any]], *, name: str = "node") -> None:
        self.port = free_port()
        self.file = folder / f"{name}.toml"
        self.lines: list[str] = []  # all that was written to standard error
        self.events: list[dict[str, Any]] = []  # those of the lines that are events, since the last start
        self._wanted = {**settings, "smtp": {"listen": [f"127.0.0.1:{self.port}"], **settings.get("smtp", {})}}
        self._wanted.setdefault("log", {"format": "json"})
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._reads = False
        self._news = asyncio.Condition()

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def change(self, section: str, **keys: Any) -> None:
        """Other settings, from the next start on."""
        self._wanted[section] = {**self._wanted.get(section, {}), **keys}

    async def launch(self, *, under: Sequence[str] = (), program: Sequence[str] = PROGRAM, **env: str) -> None:
        """Start it, perhaps under another program, without waiting until it is up."""
        self.file.write_text(toml(self._wanted))
        self.events = []
        self._process = await asyncio.create_subprocess_exec(
            *(*under, *program, "serve", "--config", str(self.file)),
            stderr=asyncio.subprocess.PIPE,
            env=environment(**env),
            limit=2**20,
        )
        self._reads = True
        self._reading = asyncio.create_task(self._read(self._process.stderr))

    async def up(self, timeout: float = PATIENCE, **how: Any) -> None:
        """Start it, and wait until mail can be sent to it."""
        await self.launch(**how)
        await self.event("started", timeout=timeout)

    async def event(self, name: str, count: int = 1, timeout: float = PATIENCE) -> dict[str, Any]:
        """The event of this name, once there were so many since the start."""
        async with asyncio.timeout(timeout), self._news:
            await self._news.wait_for(lambda: self.count(name) >= count or not self._reads)
        found = [event for event in self.events if event["event"] == name]
        assert len(found) >= count, f"ended without {name}:\n" + "\n".join(self.lines[-40:])
        return found[count - 1]

    def count(self, name: str) -> int:
        """How many events of this name there were since the start."""
        return sum(event["event"] == name for event in self.events)

    def signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    async def kill(self) -> None:
        """kill -9."""
        self.signal(signal.SIGKILL)
        await self.ended()

    async def sleep(self, seconds: float) -> None:
        """SIGSTOP, and after so many seconds SIGCONT."""
        self.signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            self.signal(signal.SIGCONT)

    async def stop(self, timeout: float = PATIENCE) -> int:
        """SIGTERM. The exit status."""
        self.signal(signal.SIGTERM)
        return await self.ended(timeout)

    async def ended(self, timeout: float = PATIENCE) -> int:
        """Wait until the process is gone. Its exit status."""
        async with asyncio.timeout(timeout):
            status = await self._process.wait()
            await self._reading
        return status

    async def _read(self, stream: asyncio.StreamReader) -> None:
        try:
            while line := await stream.readline():
                self.lines.append(line.decode(errors="replace").rstrip())
                with suppress(ValueError):
                    self.events.append(json.loads(line))
                await self._tell()
        finally:
            self._reads = False
            await self._tell()

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.running:
            self.signal(signal.SIGCONT)
            await self.kill()
