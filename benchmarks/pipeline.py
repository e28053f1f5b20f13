"""Mails to replies: faxes a second through the whole bridge, and what each step takes of the processor.

    python -m benchmarks.pipeline [--count 400] [--size 100000]
    python -m benchmarks.pipeline --growth        what a claim costs with 1,000, 10,000 and 100,000 rows of history

A real node with all checks and a fresh process for every document; the fax API and the mail server outside answer at
once, from a process that shares the machine, as the client does.
"""

import argparse
import asyncio
import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from benchmarks import history, peers
from benchmarks.accept import load
from benchmarks.mails import KB, MB
from benchmarks.table import machine, median, show
from mail2fax.config import Settings
from mail2fax.model import State
from mail2fax.spool import Work, open_spool

HISTORY = (100, 1_000, 10_000, 100_000)
IN_FLIGHT = 10_000
_WARM_UP = 16  # mails that are not counted: templates are read, connections opened
_EDGE = 0.1  # of the replies at each end are not counted: the way fills and empties there


def run(count: int, size: int, spool: str = "") -> dict:
    """Send so many mails and wait for their replies. Rate, processor time by step, replies that were no success."""
    with peers.folder() as place, peers.started("benchmarks.outside", place) as (outside, addresses):
        arrivals = Arrivals(outside)
        words = [place, *addresses, *([spool] if spool else [])]
        with peers.started("benchmarks.bridge", *words) as (bridge, (address,)):
            for mails in (_WARM_UP, count):
                bridge.send_signal(signal.SIGUSR1)
                arrivals.moments.clear()
                port = int(address.rpartition(":")[2])
                load(port, ["--connections", "4", "--size", str(size), "--count", str(mails)], 0.0)
                arrivals.wait(mails, 120)
            bridge.send_signal(signal.SIGTERM)
            spent = json.loads(bridge.stdout.read().splitlines()[-1])
            bridge.wait(30)
    moments = sorted(arrivals.moments)
    edge = max(int(count * _EDGE), 1)
    rate = (count - 2 * edge) / max(moments[-edge - 1] - moments[edge - 1], 1e-9)
    return {"rate": rate, "spent": spent, "count": count, "size": size, "odd": arrivals.odd}


class Arrivals:
    """Reads when replies came."""

    def __init__(self, outside: subprocess.Popen) -> None:
        self.moments: list[float] = []
        self.odd = 0  # replies that do not say that a fax was delivered
        self._news = threading.Condition()
        threading.Thread(target=self._read, args=(outside.stdout,), daemon=True).start()

    def _read(self, stream) -> None:
        for line in stream:
            moment, _, subject = line.decode().partition(" ")
            with self._news:
                self.moments.append(float(moment))
                self.odd += not subject.startswith("Faxed to")
                self._news.notify_all()

    def wait(self, count: int, seconds: float) -> None:
        """Back when so many have come."""
        with self._news:
            if not self._news.wait_for(lambda: len(self.moments) >= count, seconds):
                raise RuntimeError(f"{len(self.moments)} of {count} replies within {seconds} s")


def tell(found: list[dict]) -> None:
    """The tables."""
    head = ("mail", "faxes", "faxes/s", "CPU ms/fax", "not delivered")
    rows = [
        (f"{one['size'] // KB} KB", one["count"], one["rate"], sum(split(one).values()), one["odd"]) for one in found
    ]
    show("Mails to replies, whole pipeline", head, rows)
    names = list(split(found[0]))
    rows = [(name, "", *(split(one)[name] for one in found)) for name in names]
    show("CPU ms per fax by step", ("step", "", *(f"{one['size'] // KB} KB" for one in found)), rows)


def split(one: dict) -> dict[str, float]:
    """Milliseconds a fax by who spent them."""
    steps, threads = one["spent"]["steps"], one["spent"]["threads"]
    work = ("prepare", "submit", "poll", "reply")
    seconds = {f"{name}, event loop": steps.get(name, 0.0) for name in work}
    seconds["accept, claims and the rest of the event loop"] = threads["MainThread"] - sum(steps.values())
    seconds["writer thread"] = threads.get("writer", 0.0)
    others = (name for name in threads if name not in {"MainThread", "writer"})
    seconds["readers and other threads"] = sum(threads[name] for name in others)
    seconds["documents: forkserver and workers"] = one["spent"]["processes"]["documents"]
    return {name: 1000 * spent / one["count"] for name, spent in seconds.items()}


async def claim_cost(finished: int, in_flight: int) -> dict[str, float]:
    """Milliseconds for a claim of eight, the median of many, with so many rows of history and faxes in flight."""
    with peers.folder() as place:
        settings = Settings.model_validate({"spool": {"url": f"sqlite:///{Path(place)}/spool.db"}})
        async with open_spool(settings, serving=True) as spool:
            await spool.change(history.fill, finished, in_flight)
            return {work: await _claims(spool, work) for work in (Work.SUBMIT, Work.POLL)}


async def _claims(spool, work: str) -> float:
    states = {Work.SUBMIT: State.PREPARED, Work.POLL: State.SUBMITTED}
    times = []
    for _ in range(60):
        begun = time.perf_counter()
        claimed, _ = await spool.claim(work, 8)
        times.append(time.perf_counter() - begun)
        assert len(claimed) == 8
        for fax in claimed:  # as a step does that could do nothing; the next claim takes the next eight
            await spool.put_back(fax)
        assert all(fax.state is states[work] for fax in claimed)
    return 1000 * median(times)


def growth(sizes: tuple[int, ...] = HISTORY, in_flight: int = IN_FLIGHT) -> list[tuple]:
    """What a claim costs as the history grows."""
    rows = []
    for finished in sizes:
        flying = min(in_flight, finished)
        cost = asyncio.run(claim_cost(finished, flying))
        rows.append((finished, flying, cost[Work.SUBMIT], cost[Work.POLL]))
    base = rows[0]
    rows = [(*row, row[2] / base[2], row[3] / base[3]) for row in rows]
    head = ("rows of history", "in flight", "claim to submit ms", "claim to poll ms", "x first", "x first")
    show("A claim of eight, as the spool grows (fsync included)", head, rows)
    return rows


def main() -> None:
    """As the command line says."""
    options = argparse.ArgumentParser()
    options.add_argument("--count", type=int, default=300)
    options.add_argument("--size", type=int, action="append")
    options.add_argument("--growth", action="store_true", help="only what a claim costs")
    wanted = options.parse_args()
    print(machine())
    if not wanted.growth:
        sizes = wanted.size or [100 * KB, MB]
        tell([run(max(wanted.count // (1 if size < MB else 2), 10), size) for size in sizes])
    if wanted.growth or not wanted.size:
        growth()


if __name__ == "__main__":
    sys.exit(main())
