"""The dialogue with a real hfaxd, broken at byte after byte of it: what the adapter says then, and what HylaFAX has.

Nobody is called: the number's job is killed as soon as it is counted.
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from mail2fax.config import Provider
from mail2fax.model import Line, Temporary, Trace, Unclear
from mail2fax.providers import hfaxd
from mail2fax.providers.hylafax import HylaFax
from tests.support.faultproxy import Fault, FaultProxy
from tests.support.samples import pdf

NUMBER = "4165550102"
LINE = Line("", "")
WAYS = (("up", "close"), ("up", "reset"), ("down", "close"), ("down", "reset"))
_PATIENCE = 60.0  # seconds until a doubt counts as one that cannot be settled


@dataclass
class Broken:
    """What came of it. `ends`: taken, not taken, found (in doubt, and HylaFAX had it), never (in doubt, it had not)."""

    ends: Counter[str] = field(default_factory=Counter)
    doubled: int = 0
    lost: int = 0  # said to be taken, or found, and not there; or the other way round
    unknown: int = 0  # doubts that were not settled

    def __str__(self) -> str:
        ends = ", ".join(f"{count} {end}" for end, count in sorted(self.ends.items()))
        return (
            f"the dialogue broken at {self.ends.total()} places: {ends}; "
            f"{self.doubled} doubled, {self.lost} told wrongly, {self.unknown} unknown"
        )


async def sweep(port: int, folder: Path, steps: dict[tuple[str, str], int]) -> Broken:
    """Break the dialogue in each way, at every so many bytes until it gets through."""
    document = folder / "broken.pdf"
    document.write_bytes(pdf())
    seen = Broken()
    for (way, how), step in steps.items():
        after, end = 0, ""
        while end != "taken":
            end = await _once(port, document, way, Fault(after=after, how=how), seen)
            after += step
    return seen


async def _once(port: int, document: Path, way: str, fault: Fault, seen: Broken) -> str:
    sure = HylaFax(Provider(name="hylafax", url=f"hylafax://mail2fax@127.0.0.1:{port}", timeout=10.0))
    tag = f"REAL{way}{fault.how}{fault.after}-1"
    end, ref = await _offered(port, document, tag, way, fault)
    if end == "doubt":
        end = await _settled(sure, tag, ref)
    found = await jobs(port, tag)
    seen.ends[end] += 1
    seen.unknown += end == "unknown"
    seen.doubled += len(found) > 1
    seen.lost += bool(found) != (end in {"taken", "found"})
    for job in found:
        await sure.cancel(LINE, f"{job}:{tag}")
    return end


async def _offered(port: int, document: Path, tag: str, way: str, fault: Fault) -> tuple[str, str]:
    kept = []

    async def commit(ref: str = "") -> None:
        kept.append(ref)

    async with FaultProxy(port) as proxy:
        setattr(proxy, way, fault)
        to = HylaFax(Provider(name="hylafax", url=f"hylafax://mail2fax@127.0.0.1:{proxy.port}", timeout=2.0))
        try:
            await to.submit(LINE, NUMBER, document, "x.pdf", commit, tag)
        except Unclear:
            return "doubt", kept[0]
        except Temporary:
            return "not taken", ""
    return "taken", kept[0]


async def _settled(sure: HylaFax, tag: str, ref: str) -> str:
    """Ask as the bridge does, until it is known."""
    began = time.monotonic()
    while time.monotonic() - began < _PATIENCE:
        trace = await sure.find(LINE, tag, NUMBER, datetime.now(UTC), ref)
        if trace != Trace():
            return "found" if trace.ref else "never"
        await asyncio.sleep(0.05)
    return "unknown"


async def jobs(port: int, tag: str) -> list[str]:
    """The jobs with this tag that were submitted."""
    found = []
    async with hfaxd.opened("127.0.0.1", port, "mail2fax", "") as dialogue:
        for queue in ("sendq", "doneq"):
            for row in await dialogue.listed(queue, "%j|%a|%J"):
                job, letter, its = [*row.strip().split("|"), "", ""][:3]
                if its.strip() == tag and letter != "T":
                    found.append(job)
    return found
