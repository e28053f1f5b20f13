"""The server's memory: ten mails of 25 MB at once, and 10,000 faxes in flight; and who waits meanwhile.

    python -m benchmarks.memory

Memory is the server's own process. Documents are made in processes of their own, with limits of their own
([documents] memory), two at once on two processors.
"""

import argparse
import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from benchmarks import history, peers, processes
from benchmarks.load import quantile
from benchmarks.mails import MB
from benchmarks.table import machine, show
from mail2fax.config import Settings
from mail2fax.spool import open_spool

LARGE = 25 * MB


def large(count: int, size: int) -> dict[str, float]:
    """So many large mails at once: memory over idle, and how long another client waits for an answer."""
    with peers.mail2fax() as server:
        idle = processes.memory(server.pid)
        processes.forget_peak(server.pid)
        base = processes.peak(server.pid)
        waits = _while_sending(server.port, count, size)
        return {
            "idle": idle,
            "over": processes.peak(server.pid) - base,
            "p50": quantile(waits, 0.5),
            "most": max(waits),
        }


def _while_sending(port: int, count: int, size: int) -> list[float]:
    """Seconds that each NOOP waited while so many mails were sent at once."""
    words = ["--connections", str(count), "--count", str(count), "--size", str(size), "--seconds", "0"]
    command = [sys.executable, "-m", "benchmarks.load", str(port), *words]
    client = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    processes.prefer(client.pid)
    over = threading.Event()
    threading.Thread(target=lambda: (client.wait(), over.set())).start()
    waits = []
    with socket.create_connection(("127.0.0.1", port)) as other:
        other.recv(1000)
        while not over.wait(0.005):
            begun = time.perf_counter()
            other.sendall(b"NOOP\r\n")
            other.recv(1000)
            waits.append(time.perf_counter() - begun)
    if client.returncode:
        raise RuntimeError("the load client failed")
    assert client.stdout
    assert json.loads(client.stdout.read())["messages"] == count
    return waits


def in_flight(count: int, seconds: float) -> int:
    """Bytes of a node's own process with so many faxes in flight, polled and submitted as they fall due."""
    with peers.folder() as place:
        asyncio.run(_fill(Path(place), count))
        with (
            peers.started("benchmarks.outside", place) as (_, addresses),
            peers.started("benchmarks.bridge", place, *addresses) as (bridge, _),
        ):
            time.sleep(seconds)
            return processes.peak(bridge.pid)


async def _fill(place: Path, count: int) -> None:
    settings = Settings.model_validate({"spool": {"url": f"sqlite:///{place}/spool.db"}})
    async with open_spool(settings, serving=True) as spool:
        await spool.change(history.fill, 0, count)


def run(mails: int, size: int, faxes: int, seconds: float) -> dict[str, float]:
    """Measure and print."""
    few = large(4, size)
    many = large(mails, size)
    base = in_flight(100, seconds)
    full = in_flight(faxes, seconds)
    found = {"over": many["over"], "noop": few["most"], "each": (full - base) / faxes}
    rows = [
        (f"{mails} x {size / MB:g} MB at once: over idle, MB", many["over"] / MB),
        (f"4 x {size / MB:g} MB at once: over idle, MB", few["over"] / MB),
        (f"4 x {size / MB:g} MB: another client's NOOP, median ms", 1000 * few["p50"]),
        (f"4 x {size / MB:g} MB: another client's NOOP, worst ms", 1000 * few["most"]),
        ("idle, MB", many["idle"] / MB),
        (f"{faxes:,} faxes in flight: peak of the server, MB", full / MB),
        ("100 faxes in flight: peak of the server, MB", base / MB),
        ("bytes a fax in flight", found["each"]),
    ]
    show("Memory of the server", ("what", "figure"), rows)
    return found


def main() -> None:
    """As the command line says."""
    options = argparse.ArgumentParser()
    options.add_argument("--mails", type=int, default=10)
    options.add_argument("--size", type=int, default=LARGE)
    options.add_argument("--faxes", type=int, default=10_000)
    options.add_argument("--seconds", type=float, default=8, help="that faxes in flight are worked on")
    wanted = options.parse_args()
    print(machine())
    run(wanted.mails, wanted.size, wanted.faxes, wanted.seconds)


if __name__ == "__main__":
    main()
