"""`make bench`: every program once, then one table of the figures that have a goal.

    python -m benchmarks            some four minutes
    python -m benchmarks --brief    a few seconds each, to see that all of it runs: no figures to quote

Each program alone takes less than a minute and says more; README.md lists them.
"""

import argparse
import os
import sys

from benchmarks import accept, idle, memory, peers, pipeline, polling, scale
from benchmarks.accept import GOALS, SIZES, US, Cell
from benchmarks.mails import KB, MB
from benchmarks.table import machine, show

Row = tuple[str, str, str]  # what, goal, figure


def acceptance(*, brief: bool) -> list[Row]:
    """Every size at 16 connections, and text, against Postfix and the baseline."""
    sizes = [10 * KB] if brief else list(SIZES)
    cells = [Cell(size, 16) for size in sizes] + [Cell(size, 16, "prose") for size in sizes[1:]]
    rows = []
    for name, connections, ours, _, _, postfix, stock, cpu in accept.run(cells, *_turns(brief), accept.starters()):
        size = next((size for size, text in SIZES.items() if text == name), 0)
        goal = f">= {GOALS[size]} x Postfix" if size else ">= 0.6 x Postfix"
        rows.append((f"{name} x {connections}", goal, f"{_times(postfix)} ({ours:,.0f}/s)"))
        if size:
            rows.append((f"{name} x {connections}, processor", "<= 0.6 x Postfix's", _times(cpu)))
            rows.append((f"{name} x {connections}", ">= 5 x stock aiosmtpd", _times(stock)))
    return rows


def _turns(brief: bool) -> tuple[int, float]:
    """Rounds, and seconds each."""
    return (1, 0.2) if brief else (3, 0.5)


def slow_disk(*, brief: bool) -> list[Row]:
    """The same with 5 ms added to every fsync."""
    sizes = [10 * KB] if brief else [10 * KB, 100 * KB]
    with peers.slow_disk(5.0) as env:
        servers = accept.starters(baseline=False, **env)
        found = accept.run([Cell(size, 16) for size in sizes], *_turns(brief), servers)
    return [(f"{row[0]} x 16, fsync + 5 ms", ">= 1.0 x Postfix", _times(row[5])) for row in found]


def server_memory(*, brief: bool) -> list[Row]:
    """Large mails, and faxes in flight."""
    found = memory.run(3, MB, 500, 1) if brief else memory.run(10, memory.LARGE, 10_000, 8)
    return [
        ("NOOP while four 25 MB mails arrive, worst", "<= 25 ms", f"{1000 * found['noop']:.1f} ms"),
        ("10 x 25 MB at once, memory over idle", "<= 150 MB", f"{found['over'] / MB:.0f} MB"),
        ("a fax in flight, memory", "<= 2048 bytes", f"{found['each']:.0f} bytes"),
    ]


def whole_pipeline(*, brief: bool) -> list[Row]:
    """Mails to replies, and what a claim costs as the spool grows."""
    found = [pipeline.run(20 if brief else 250, 100 * KB)]
    pipeline.tell(found)
    grown = pipeline.growth((100, 1000), 1000) if brief else pipeline.growth()
    cpu = sum(pipeline.split(found[0]).values())
    return [
        ("mails to replies, 100 KB", ">= 40 faxes/s", f"{found[0]['rate']:.1f} faxes/s"),
        ("processor, whole pipeline", "<= 40 ms a fax", f"{cpu:.1f} ms"),
        (f"claim with {grown[-1][0]:,} rows", "<= 1.3 x with 100", f"{max(grown[-1][4:]):.2f} x"),
    ]


def looks(*, brief: bool) -> list[Row]:  # noqa: ARG001 -- takes a second
    """Polls and the delay of the news."""
    rows = {(row[0], row[1]): row for row in polling.run()}
    _, _, polls, delay, _ = rows["three minutes", "shipped"]
    return [("a fax of three minutes", "<= 15 polls, news <= 3 s late", f"{polls:.1f} polls, {delay:.1f} s")]


def nothing_to_do(*, brief: bool) -> list[Row]:
    """Start, and idle."""
    found = idle.run(1 if brief else 10, 2 if brief else 4)
    return [
        ("start to the first 220, existing spool", "<= 1.0 s", f"{found['start']:.2f} s"),
        ("idle node", "< 0.5 % of a core", f"{found['idle']:.2f} %"),
    ]


def nodes(*, brief: bool) -> list[Row]:
    """Nodes on one PostgreSQL."""
    if not os.environ.get(scale.VARIABLE):
        print(f"\nThe nodes are left out: set {scale.VARIABLE}, or run under .ci/postgres")
        return []
    found = {count: scale.run(count, 16 if brief else 80, 100 * KB) for count in (1, 2)}
    scale.tell(found)
    return [("two nodes, processor a fax", "<= 1.15 x one", f"{found[2]['cpu'] / found[1]['cpu']:.2f} x")]


def _times(ratio: float | str) -> str:
    return f"{ratio:.2f} x" if isinstance(ratio, float) else "no peer"


def main() -> None:
    """All of it."""
    options = argparse.ArgumentParser()
    options.add_argument("--brief", action="store_true")
    brief = options.parse_args().brief
    print(machine())
    rows: list[Row] = []
    for part in (acceptance, slow_disk, server_memory, whole_pipeline, looks, nothing_to_do, nodes):
        try:
            rows += part(brief=brief)
        except (OSError, RuntimeError, AssertionError) as problem:  # one that fails does not hide the others
            rows.append((part.__name__, "", f"failed: {problem}"))
    show(f"Figures that have a goal ({US})", ("what", "goal", "here"), rows)
    sys.exit(any("failed" in row[2] for row in rows))


if __name__ == "__main__":
    main()
