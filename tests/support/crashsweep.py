"""Kill -9 at every moment that matters, restart, and count what was lost or doubled.

    python -m tests.support.crashsweep [--every] [--seed N] [--postgres URL]

A run goes through a list of moments on one spool: at each the node is started with a trap, fed with mails until it is
dead, and started again with the next trap, so that what the last kill left is recovered under the next one. In the
end a node without a trap brings everything to its end, and the ledger is read.
"""

import argparse
import asyncio
import json
import random
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support import outbox
from tests.support.faxapi import LOST, FaxApi, Reply, Upload
from tests.support.ledger import Ledger
from tests.support.processes import PROGRAM, ServedBy
from tests.support.samples import pdf

TRAP = (sys.executable, "-m", "tests.support.killpoint")
# How often a batch of mails brings a node to each kind of moment, about: further ones are hardly reached.
REACH = {"commit": 45, "fsync": 6, "client": 30, "provider": 20, "smarthost": 40, "fdatasync": 40}
SETTLING = 60.0  # seconds a node without a trap may take to end all that was left
_FIRST_LOOK = 25.0  # seconds for a trap to be met


@dataclass(frozen=True)
class Moment:
    """When to die: the n-th of its kind. `fdatasync` is strace's: in the middle of SQLite's own commit."""

    kind: str
    number: int
    side: str = "before"

    def __str__(self) -> str:
        return f"{self.kind}:{self.number}:{self.side}"


@dataclass
class Report:
    """What a sweep found."""

    tried: int = 0
    kills: int = 0
    mails: int = 0
    wrongs: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)  # moments that the node never came to

    def __str__(self) -> str:
        lost = sum(wrong.startswith("lost") for wrong in self.wrongs)
        doubled = sum(wrong.startswith("doubled") for wrong in self.wrongs)
        other = len(self.wrongs) - lost - doubled
        figures = f"points tried {self.tried}, kills {self.kills}, mails {self.mails}, lost {lost}, doubled {doubled}"
        return "\n".join([f"crash sweep: {figures}, otherwise wrong {other}", *self.wrongs])


def every(kinds: Sequence[str]) -> Iterator[Moment]:
    """All moments of these kinds that a batch of mails comes to."""
    for kind in kinds:
        for number in range(1, REACH[kind] + 1):
            for side in ("before",) if kind == "fdatasync" else ("before", "after"):
                yield Moment(kind, number, side)


def some(kinds: Sequence[str], count: int, chance: random.Random) -> list[Moment]:
    """So many of them, of each kind alike, spread over its length."""
    chosen = []
    for kind in kinds:
        moments = list(every([kind]))
        share = max(1, count // len(kinds))
        step = len(moments) / share
        chosen += [moments[int(step * (n + chance.random()))] for n in range(share)]
    chance.shuffle(chosen)
    return chosen


async def sweep(folder: Path, moments: Sequence[Moment], *, spool_url: str = "") -> Report:
    """Go through these moments, one after the other, on one spool."""
    report = Report()
    async with FaxApi() as faxapi, outbox.serving() as box:
        faxapi.words = ["Sending", "Success"]
        faxapi.before_post = _now_and_then_lost
        ledger = Ledger(faxapi, box)
        wanted = settings(faxapi, box, spool_url or f"sqlite:///{folder}/spool.db")
        async with ServedBy(folder, wanted) as node:
            ports = {node.port: "client", faxapi.port: "provider", box.port: "smarthost"}
            sending: list[asyncio.Task[Any]] = []
            for moment in moments:
                await node.launch(**_trapped(moment, ports, folder))
                sending += _feed(ledger, node)
                report.tried += 1
                if await _died(node, ledger, sending):
                    report.kills += 1
                else:
                    report.missed.append(str(moment))
                    await node.kill()
                report.wrongs += broken(folder)
            await node.up()
            with suppress(TimeoutError):
                async with asyncio.timeout(SETTLING):
                    await asyncio.gather(*sending)
            report.wrongs += [f"never accepted: {task}" for task in sending if not task.done()]
            await ledger.settled(SETTLING)
            if await node.stop() != 0:
                report.wrongs.append("the last node did not end cleanly")
            report.wrongs += broken(folder)
        report.mails = len(ledger.mails)
        report.wrongs += ledger.wrongs()
        if report.wrongs:
            report.wrongs += node.lines[-60:]
    return report


def settings(faxapi: FaxApi, box: outbox.Outbox, spool_url: str) -> dict[str, dict[str, Any]]:
    """A bridge in a hurry, whose replies also say in JSON what they tell."""
    return {
        "provider": {"url": faxapi.url, "token": "canary-token-7391", "timeout": 5.0},
        "spool": {"url": spool_url, "lease": 5.0, "drain": 5.0},
        "poll": {"first": 0.2, "longest": 0.5},
        "retry": {"first": 0.2, "longest": 0.5},
        "reply": {"relay": box.url, "retry_first": 0.2, "json_part": True},
    }


def _now_and_then_lost(upload: Upload) -> Reply | None:
    """Some answers never come: the fax is then unknown, and stays so through every crash."""
    return LOST if int(upload.number) % 7 == 0 else None


def _trapped(moment: Moment, ports: dict[int, str], folder: Path) -> dict[str, Any]:
    if moment.kind == "fdatasync":
        trap = f"inject=fsync,fdatasync:signal=SIGKILL:when={moment.number}"
        strace = ("strace", "-D", "-f", "-qq", "-e", "trace=fsync,fdatasync", "-e", trap)
        return {"under": (*strace, "-o", str(folder / "strace.log")), "program": PROGRAM}
    return {"program": TRAP, "KILL_AT": str(moment), "KILL_PORTS": json.dumps(ports)}


def _feed(ledger: Ledger, node: ServedBy) -> list[asyncio.Task[Any]]:
    """Mails of every kind: to two numbers, in a segment, in a file, without anything to fax."""
    batch = (([pdf(1)], 2), ([pdf(1, size=50_000)], 1), ([pdf(1, size=200_000)], 1), ([], 1))
    return [asyncio.create_task(ledger.deliver(lambda: node.address, *pdfs, numbers=n)) for pdfs, n in batch]


async def _died(node: ServedBy, ledger: Ledger, sending: list[asyncio.Task[Any]]) -> bool:
    """Wait for the trap. False when everything came to its end, and it was not met."""
    dying = asyncio.create_task(node.ended())
    idle = asyncio.create_task(_idle(ledger, sending))
    await asyncio.wait({dying, idle}, timeout=_FIRST_LOOK, return_when=asyncio.FIRST_COMPLETED)
    idle.cancel()
    died = dying.done()
    dying.cancel()
    await asyncio.gather(dying, idle, return_exceptions=True)
    return died


async def _idle(ledger: Ledger, sending: list[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*map(asyncio.shield, sending))
    await ledger.settled(_FIRST_LOOK)
    await asyncio.sleep(0.3)  # the last answers are on their way


def broken(folder: Path) -> list[str]:
    """What SQLite itself finds wrong with the file."""
    file = folder / "spool.db"
    if not file.exists():
        return []
    connection = sqlite3.connect(file)
    try:
        said = [row[0] for row in connection.execute("PRAGMA integrity_check")]
    finally:
        connection.close()
    return [] if said == ["ok"] else [f"wrong: spool.db: {said}"]


def kinds() -> list[str]:
    """What can be tried on this machine."""
    return [kind for kind in REACH if kind != "fdatasync" or shutil.which("strace")]


async def _main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", action="store_true", help="each moment, not some")
    parser.add_argument("--count", type=int, default=60, help="how many moments otherwise")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--kinds", nargs="+", choices=list(REACH), default=kinds())
    parser.add_argument("--at-once", type=int, default=20, help="moments on one spool")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    moments = list(every(options.kinds)) if options.every else some(options.kinds, options.count, chance)
    print(f"seed {options.seed}, {len(moments)} moments", flush=True)
    failed = False
    for first in range(0, len(moments), options.at_once):
        with tempfile.TemporaryDirectory() as folder:
            report = await sweep(Path(folder), moments[first : first + options.at_once])
        failed = failed or bool(report.wrongs)
        print(report, *(f"never reached: {missed}" for missed in report.missed), sep="\n", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(asyncio.run(_main()))
