"""Durable acceptance: mails a second until 250, when 250 means fsynced, against Postfix and stock aiosmtpd.

    python -m benchmarks.accept                       the cells with a goal, in under a minute
    python -m benchmarks.accept --all                 every size at 1, 4, 16 and 50 connections
    python -m benchmarks.accept --size 10000 --connections 16 --rounds 5
    python -m benchmarks.accept --slow-disk 5         with 5 ms added to every fsync, of all of them
    python -m benchmarks.accept --against ../parent   another checkout, with its own .venv, instead of aiosmtpd

The servers run side by side and are measured in turns (A B A B), so that whatever else the machine does meets all;
figures are medians, ratios are medians of the rounds' own ratios.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from benchmarks import peers, processes
from benchmarks.mails import KB, MB
from benchmarks.peers import Peer, Starter
from benchmarks.table import machine, median, show

SIZES = {10 * KB: "10 KB", 100 * KB: "100 KB", MB: "1 MB", 10 * MB: "10 MB"}
CONNECTIONS = (1, 4, 16, 50)
GOALS = {10 * KB: 2.5, 100 * KB: 1.3, MB: 1.4, 10 * MB: 1.7}
_PATIENCE = 50 * MB  # in flight at once
US, PEER, BASE, OTHER = "mail2fax", "Postfix", "aiosmtpd", "the other"


@dataclass(frozen=True, slots=True)
class Cell:
    """What is sent, over how many connections."""

    size: int
    connections: int
    kind: str = "office"
    fresh: bool = False

    @property
    def words(self) -> list[str]:
        """As options of the load client."""
        options = ["--size", self.size, "--connections", self.connections, "--kind", self.kind]
        return [*(str(one) for one in options), *(["--fresh"] if self.fresh else [])]

    @property
    def name(self) -> str:
        """As the table calls it."""
        size = SIZES.get(self.size, f"{self.size} B")
        return size + (" text" if self.kind == "prose" else "") + (", new connection" if self.fresh else "")


@dataclass(frozen=True, slots=True)
class Figures:
    """One round of one cell at one server."""

    rate: float  # messages a second
    speed: float  # bytes a second
    p50: float  # seconds
    p99: float
    cpu: float  # seconds a mail
    memory: int  # bytes, the most seen


def measure(peer: Peer, cell: Cell, seconds: float, *, weigh: bool = False) -> Figures:
    """Send for so long. Weighing the memory disturbs, so the rounds that count do without."""
    before = processes.cpu(peer.pid)
    with _weighed(peer, on=weigh) as weights:
        result = load(peer.port, cell.words, seconds)
    cpu = (processes.cpu(peer.pid) - before) / result["messages"]
    rate, speed = result["messages"] / result["seconds"], result["bytes"] / result["seconds"]
    return Figures(rate, speed, result["p50"], result["p99"], cpu, max(weights, default=0))


def load(port: int, words: Sequence[str], seconds: float) -> dict:
    """Run the load client. What it says."""
    command = [sys.executable, "-m", "benchmarks.load", str(port), "--seconds", str(seconds), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as client:
        processes.prefer(client.pid)
        said, _ = client.communicate(timeout=120)
    if client.returncode:
        raise RuntimeError(f"the load client failed with status {client.returncode}")
    return json.loads(said)


@contextlib.contextmanager
def _weighed(peer: Peer, *, on: bool) -> Iterator[list[int]]:
    weights: list[int] = []
    over = threading.Event()

    def weigh() -> None:
        while not over.wait(0.15):
            weights.append(processes.memory(peer.pid))

    thread = threading.Thread(target=weigh)
    if on:
        thread.start()
    yield weights
    if on:
        over.set()
        thread.join()
        weights.append(processes.memory(peer.pid))


def rounds(cell: Cell, servers: Sequence[Peer], count: int, seconds: float) -> dict[str, list[Figures]]:
    """Measure the servers in turns. The first round, in which they warm up and are weighed, gives only its memory."""
    found: dict[str, list[Figures]] = {}
    weight = {one.name: measure(one, cell, min(seconds, 0.3), weigh=True).memory for one in servers}
    for _ in range(count):
        for one in servers:
            figures = replace(measure(one, cell, seconds), memory=weight[one.name])
            found.setdefault(one.name, []).append(figures)
    return found


def ratio(found: dict[str, list[Figures]], what: str, peer: str) -> float | str:
    """Ours to the peer's, round by round."""
    if peer not in found:
        return "-"
    pairs = zip(found[US], found[peer], strict=True)
    return median(getattr(ours, what) / max(getattr(theirs, what), 1e-9) for ours, theirs in pairs)


def default_cells() -> list[Cell]:
    """The goals' own: every size at 16 connections, and text."""
    return [*(Cell(size, 16) for size in SIZES), *(Cell(size, 16, "prose") for size in list(SIZES)[1:])]


def all_cells() -> list[Cell]:
    """Every size at every number of connections, text, and a connection for each mail."""
    office = [Cell(size, connections) for size in SIZES for connections in CONNECTIONS]
    prose = [Cell(size, connections, "prose") for size in list(SIZES)[1:] for connections in (1, 16)]
    fresh = [Cell(size, 16, fresh=True) for size in list(SIZES)[:2]]
    return office + prose + fresh


def run(cells: Sequence[Cell], count: int, seconds: float, starters: Sequence[Starter]) -> list[tuple]:
    """Measure and print. The rows: cell, our rate, ratio to Postfix, ratio to the baseline, ratio of CPU."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(starter()) for starter in starters]
        return _run(cells, count, seconds, servers)


def _run(cells: Sequence[Cell], count: int, seconds: float, servers: Sequence[Peer]) -> list[tuple]:
    summary, details = [], []
    base = OTHER if any(one.name == OTHER for one in servers) else BASE
    for cell in cells:
        # The baseline takes two mails of 10 MB a second: half a minute for one figure.
        asked = [one for one in servers if one.name != BASE or cell.size * cell.connections <= _PATIENCE]
        found = rounds(cell, asked, count, seconds)
        for name, figures in found.items():
            details.append((cell.name, cell.connections, name, *_medians(figures)))
        rates = {name: median(one.rate for one in figures) for name, figures in found.items()}
        ratios = ratio(found, "rate", PEER), ratio(found, "rate", base), ratio(found, "cpu", PEER)
        summary.append((cell.name, cell.connections, *(rates.get(name, "-") for name in (US, PEER, base)), *ratios))
        print(
            f"  {cell.name} x {cell.connections}: " + ", ".join(f"{n} {r:,.0f}/s" for n, r in rates.items()), flush=True
        )
    head = (
        "mail",
        "connections",
        "mail2fax/s",
        "Postfix/s",
        f"{base}/s",
        "x Postfix",
        f"x {base}",
        "CPU / Postfix's",
    )
    show(f"Durable acceptance, median of {count} rounds of {seconds:g} s", head, summary)
    head = ("mail", "connections", "server", "mails/s", "MB/s", "p50 ms", "p99 ms", "CPU ms/mail", "memory MB")
    show("The same in detail", head, details)
    return summary


def _medians(figures: Sequence[Figures]) -> tuple:
    def of(what: str) -> float:
        return median(getattr(one, what) for one in figures)

    return (of("rate"), of("speed") / MB, of("p50") * 1000, of("p99") * 1000, of("cpu") * 1000, of("memory") / MB)


def starters(*, baseline: bool = True, postfix: bool = True, against: Path | None = None, **env: str) -> list[Starter]:
    """The servers there are."""
    found: list[Callable[..., contextlib.AbstractContextManager[Peer]]] = [peers.mail2fax]
    if not postfix or (why := peers.why_no_postfix()):
        print("Postfix is left out" if not postfix else why)
    else:
        found.append(peers.postfix)
    if against:
        found.append(partial(peers.other, against))
    elif baseline:
        found.append(peers.stock)
    return [partial(one, **env) for one in found]


def main() -> None:
    """As the command line says."""
    options = argparse.ArgumentParser()
    options.add_argument("--all", action="store_true")
    options.add_argument("--size", type=int, action="append")
    options.add_argument("--connections", type=int, action="append")
    options.add_argument("--kind", choices=["office", "prose"], default="office")
    options.add_argument("--fresh", action="store_true")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=float, default=0.5)
    options.add_argument("--no-baseline", action="store_true", help="without aiosmtpd")
    options.add_argument("--no-postfix", action="store_true")
    options.add_argument("--against", type=Path, metavar="FOLDER", help="a checkout of another build, with its .venv")
    options.add_argument("--slow-disk", type=float, default=0.0, help="milliseconds added to every fsync")
    wanted = options.parse_args()
    if wanted.size or wanted.connections:
        sizes, connections = wanted.size or list(SIZES), wanted.connections or [16]
        cells = [Cell(size, number, wanted.kind, wanted.fresh) for size in sizes for number in connections]
    else:
        cells = all_cells() if wanted.all else default_cells()
    print(machine())
    with peers.slow_disk(wanted.slow_disk) as env:
        asked = {"baseline": not wanted.no_baseline, "postfix": not wanted.no_postfix, "against": wanted.against}
        run(cells, wanted.rounds, wanted.seconds, starters(**asked, **env))


if __name__ == "__main__":
    main()
