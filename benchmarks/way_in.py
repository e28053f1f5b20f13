"""What an accepted mail takes of the processor, by thread, and how often threads wait: this build, or two in turns.

    python -m benchmarks.way_in [--size 10000] [--count 500] [--rounds 7] [--against FOLDER]

A rate needs a quiet machine; processor time and waits say where it goes on a busy one, too. FOLDER is a checkout with a
`.venv` of its own. Linux only: the kernel's own counts for each thread are read.
"""

import argparse
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import accept, peers
from benchmarks.accept import CONNECTIONS, OTHER, US
from benchmarks.mails import KB
from benchmarks.peers import Peer
from benchmarks.table import machine, median, show


class Spent(NamedTuple):
    """By all threads of a process until now, or by one mail."""

    loop: float  # microseconds of the processor: the main thread
    others: float
    waits: float  # times that a thread had to wait: for another one, the network or the disk

    @classmethod
    def until_now(cls, pid: int) -> "Spent":
        """As the kernel counts it."""
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        took = {task.name: int((task / "schedstat").read_text().split()[0]) / 1000 for task in tasks}
        loop = took.pop(str(pid))
        return cls(loop, sum(took.values()), sum(_waits(task) for task in tasks))

    def of_each(self, before: "Spent", mails: int) -> "Spent":
        """What was spent since then, for each of so many mails."""
        return Spent(*((now - then) / mails for now, then in zip(self, before, strict=True)))


def _waits(task: Path) -> int:
    lines = (task / "status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))


def measure(peer: Peer, words: Sequence[str], count: int) -> Spent:
    """Send so many mails."""
    before = Spent.until_now(peer.pid)
    accept.load(peer.port, [*words, "--count", str(count)], 0.0)
    return Spent.until_now(peer.pid).of_each(before, count)


def main() -> None:
    """As the command line says."""
    options = argparse.ArgumentParser()
    options.add_argument("--size", type=int, default=10 * KB)
    options.add_argument("--count", type=int, default=500, help="mails in a round")
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--against", type=Path, metavar="FOLDER")
    wanted = options.parse_args()
    print(machine())
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(peers.mail2fax())]
        if wanted.against:
            servers.append(stack.enter_context(peers.other(wanted.against)))
        rows = [row for number in CONNECTIONS for row in _rows(servers, number, wanted)]
    head = ("server", "connections", "event loop us", "other threads us", "together us", "least", "waits")
    show(f"A mail of {wanted.size:,} bytes, medians of {wanted.rounds} rounds", head, rows)


def _rows(servers: Sequence[Peer], connections: int, wanted: argparse.Namespace) -> list[tuple]:
    words = ["--size", str(wanted.size), "--connections", str(connections)]
    found: dict[str, list[Spent]] = {US: [], OTHER: []}
    for _ in range(wanted.rounds + 1):
        for one in servers:
            found[one.name].append(measure(one, words, wanted.count))
    return [(name, connections, *_figures(spent[1:])) for name, spent in found.items() if spent]  # without the warm-up


def _figures(rounds: Sequence[Spent]) -> tuple[float, ...]:
    together = [one.loop + one.others for one in rounds]
    loop, others = median(one.loop for one in rounds), median(one.others for one in rounds)
    return loop, others, median(together), min(together), median(one.waits for one in rounds)


if __name__ == "__main__":
    main()
