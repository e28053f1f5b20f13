"""What the processes of a server cost, as the kernel counts it: processor time and memory."""

import contextlib
import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def as_installed() -> dict[str, str]:
    """The environment for a build to measure: Python keeps what it compiled, as every installed package has it.

    Without, a start compiles all of the checkout's sources again, so that a comment costs time.
    """
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, queue = [], [pid]
    while queue:
        one = queue.pop()
        found.append(one)
        queue += children.get(one, [])
    return found


def cpu(pid: int) -> float:
    """Processor seconds of a process, its descendants, and those of them that have ended."""
    ticks = 0
    for one in family(pid):
        if fields := _stat(one):
            ticks += sum(int(ticks) for ticks in fields[11:15])  # utime, stime, and of children waited for
    return ticks / _TICKS


def memory(pid: int) -> int:
    """Bytes of memory that a process and its descendants take; pages they share count once."""
    total = 0
    for one in family(pid):
        try:
            lines = Path(f"/proc/{one}/smaps_rollup").read_text()
        except OSError:  # it has ended
            continue
        total += sum(int(line.split()[1]) for line in lines.splitlines() if line.startswith("Pss:"))
    return total * 1024


def peak(pid: int) -> int:
    """The most bytes of memory that this one process has had, since `forget_peak`."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024


def forget_peak(pid: int) -> None:
    """Count the peak anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def prefer(pid: int) -> None:
    """On a machine that others use too, BENCH_NICE=-10 puts every session of a benchmark before theirs (as root)."""
    if nice := os.environ.get("BENCH_NICE"):
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/autogroup").write_text(nice)


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
