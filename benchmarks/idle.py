"""What a node costs that has nothing to do, and how long it takes from `mail2fax serve` to the first 220.

    python -m benchmarks.idle [--seconds 10]

The second start is the one that counts: the spool exists, the schema is as it should be.
"""

import argparse
import socket
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import peers, processes
from benchmarks.table import machine, median, show


def start(config: Path, port: int) -> tuple[subprocess.Popen, float]:
    """Start a node. The process, and the seconds until it said 220."""
    command = [sys.executable, "-c", "from mail2fax.__main__ import main; main()", "serve", "--config", str(config)]
    begun = time.monotonic()
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True, env=processes.as_installed())
    processes.prefer(process.pid)
    while time.monotonic() - begun < 60:
        try:
            with socket.create_connection(("127.0.0.1", port)) as client:
                assert client.recv(3) == b"220"
                return process, time.monotonic() - begun
        except ConnectionError:
            time.sleep(0.005)
    raise RuntimeError("no 220 within a minute")


def run(seconds: float, starts: int = 4) -> dict[str, float]:
    """Measure and print."""
    with peers.folder() as place:
        port, config = peers.free_port(), Path(place) / "bench.toml"
        config.write_text(
            f'[smtp]\nlisten = ["127.0.0.1:{port}"]\n[provider]\ntoken = "bench"\n'
            f'[spool]\nurl = "sqlite:///{place}/spool.db"\n[reply]\nrelay = "smtp://127.0.0.1:9"\n'
        )
        took, cpu = [], []
        for _ in range(starts):
            process, until = start(config, port)
            took.append(until)
            cpu.append(processes.cpu(process.pid))
            if len(took) == starts:
                time.sleep(min(seconds, 3))  # templates are read, the forkserver loads
                before, begun = processes.cpu(process.pid), time.monotonic()
                time.sleep(seconds)
                share = (processes.cpu(process.pid) - before) / (time.monotonic() - begun)
                weight = processes.memory(process.pid)
            process.terminate()
            process.wait(30)
    found = {"first": took[0], "start": median(took[1:]), "cpu": median(cpu[1:]), "idle": 100 * share, "memory": weight}
    rows = [
        ("start to 220, empty spool, s", found["first"]),
        ("start to 220, existing spool, s", found["start"]),
        ("processor time of that start, s", found["cpu"]),
        ("idle, % of a core", found["idle"]),
        ("memory with its forkserver, MB", weight / 1e6),
    ]
    show("A node that has nothing to do", ("what", "figure"), rows)
    return found


def main() -> None:
    """As the command line says."""
    options = argparse.ArgumentParser()
    options.add_argument("--seconds", type=float, default=10)
    options.add_argument("--starts", type=int, default=4)
    wanted = options.parse_args()
    print(machine())
    run(wanted.seconds, wanted.starts)


if __name__ == "__main__":
    main()
