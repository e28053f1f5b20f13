"""One, two and four nodes on one PostgreSQL, and a model of what ten million faxes a day need.

    MAIL2FAX_TEST_POSTGRES=postgresql://user@host:port/database python -m benchmarks.scale
    python -m benchmarks.scale --model

The database is one of its own, made and dropped. On a machine whose cores the nodes, the database, the client and the
outside share, more nodes cannot be faster: what is to be seen there is that a fax costs no more processor time.
"""

import argparse
import contextlib
import json
import os
import secrets
import signal
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

from benchmarks import peers
from benchmarks.accept import load
from benchmarks.mails import KB
from benchmarks.pipeline import Arrivals, split
from benchmarks.table import machine, show

VARIABLE = "MAIL2FAX_TEST_POSTGRES"
NODES = (1, 2, 4)


@contextlib.contextmanager
def database() -> Iterator[str]:
    """The URL of an empty database."""
    import psycopg  # noqa: PLC0415 -- an extra: without it the rest of the program still runs

    server, name = os.environ[VARIABLE], f"bench_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    try:
        yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def run(nodes: int, count: int, size: int) -> dict[str, float]:
    """Send so many mails to so many nodes, evenly. Faxes a second, and milliseconds of processor time a fax."""
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(database())
        place = stack.enter_context(peers.folder())
        outside, addresses = stack.enter_context(peers.started("benchmarks.outside", place))
        arrivals = Arrivals(outside)
        bridges = []
        for _ in range(nodes):
            own = stack.enter_context(peers.folder())
            bridges.append(stack.enter_context(peers.started("benchmarks.bridge", own, *addresses, url)))
        for mails in (4 * nodes, count):
            for bridge, _ in bridges:
                bridge.send_signal(signal.SIGUSR1)
            arrivals.moments.clear()
            for _, (address, *_) in bridges:
                words = ["--connections", "4", "--size", str(size), "--count", str(mails // nodes)]
                load(int(address.rpartition(":")[2]), words, 0.0)
            arrivals.wait(mails // nodes * nodes, 120)
        spent = []
        for bridge, _ in bridges:
            bridge.send_signal(signal.SIGTERM)
            assert bridge.stdout
            spent.append(json.loads(bridge.stdout.read().splitlines()[-1]))
    moments = sorted(arrivals.moments)
    cpu = sum(sum(split({"spent": one, "count": count}).values()) for one in spent)
    return {"rate": (len(moments) - 1) / max(moments[-1] - moments[0], 1e-9), "cpu": cpu}


def model(
    cpu_seconds: float = 0.033, per_day: int = 10_000_000, minutes: float = 3.0, peak: float = 3.0
) -> list[tuple]:
    """What so many faxes a day need, out of what one costs here. Every input is in the table."""
    rate = per_day / 86_400
    busy = rate * peak
    flying = busy * minutes * 60
    rows = [
        ("faxes a day", per_day, "given"),
        ("a second, on average", rate, "/ 86,400"),
        ("busy hour, times the average", peak, "assumed: office hours"),
        ("a second, busy hour", busy, ""),
        ("processor seconds a fax", cpu_seconds, "one node on PostgreSQL, above"),
        ("cores for the nodes at 60 % load", busy * cpu_seconds / 0.6, "busy x seconds / 0.6"),
        ("minutes a fax takes", minutes, "assumed: four pages"),
        ("faxes in flight", flying, "busy x minutes"),
        ("polls a second", busy * 15, "15 a fax, benchmarks.polling"),
        ("transactions a second", busy * (10 + 15), "10 a fax, and one a poll; grouped into fewer commits"),
        ("MB/s of documents, 100 KB each", busy * 0.1 * 3, "mail in, document kept, document out"),
        ("TB kept for 7 days", per_day * 7 * 2e5 / 1e12, "[documents] keep_days: mail and document"),
        ("fax channels", flying, "the provider's affair, and by far the largest"),
    ]
    show("What ten million faxes a day need", ("what", "by", "figure"), [(what, by, value) for what, value, by in rows])
    return rows


def main() -> None:
    """As the command line says."""
    options = argparse.ArgumentParser()
    options.add_argument("--count", type=int, default=96)
    options.add_argument("--size", type=int, default=100 * KB)
    options.add_argument("--nodes", type=int, action="append")
    options.add_argument("--model", action="store_true", help="only the model")
    wanted = options.parse_args()
    print(machine())
    if wanted.model or not os.environ.get(VARIABLE):
        if not wanted.model:
            print(f"The nodes are left out: set {VARIABLE}, or run under .ci/postgres")
        model()
        return
    tell({nodes: run(nodes, wanted.count, wanted.size) for nodes in wanted.nodes or NODES})
    model()


def tell(found: dict[int, dict[str, float]]) -> None:
    """The table."""
    first = next(iter(found.values()))
    rows = [(nodes, one["rate"], one["cpu"], one["cpu"] / first["cpu"]) for nodes, one in found.items()]
    cores = len(os.sched_getaffinity(0))
    show(f"Nodes on one PostgreSQL, all on {cores} cores", ("nodes", "faxes/s", "CPU ms/fax", "x first"), rows)


if __name__ == "__main__":
    main()
