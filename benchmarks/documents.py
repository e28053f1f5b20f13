"""What documents cost: beside ghostscript, in processes of their own, and what bombs cost.

python -m benchmarks.documents    processor seconds and memory of large files beside ghostscript's pdfwrite
python -m benchmarks.documents overhead    wait and processor time per document: in process, pool, pebble
python -m benchmarks.documents corpus FOLDER    every PDF of a folder at the shipped limits: verdict, seconds, memory
"""

import argparse
import asyncio
import contextlib
import itertools
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

try:
    import pebble  # not a dependency: to see what it would cost
except ImportError:
    pebble = None

from mail2fax.config import Documents
from mail2fax.documents import assembly
from mail2fax.documents.orders import Task
from mail2fax.documents.pool import Pool
from mail2fax.model import Permanent
from tests.support import pdfs

_numbers = itertools.count()


def task(place: Path, source: Path) -> Task:
    folder = place / str(next(_numbers))
    folder.mkdir()
    return Task(source, folder)


def letter(place: Path) -> Path:
    """A mail with a PDF of one page of text."""
    pdf = pdfs.empty()
    pdfs.page(pdf, b"".join(pdfs.words(f"Line {n} of an ordinary letter", y=720 - 16 * n, size=11) for n in range(40)))
    source = place / "mail"
    source.write_bytes(pdfs.mail((pdfs.saved(pdf), "application/pdf", "letter.pdf")))
    return source


def cpu() -> float:
    """Processor seconds of this process and all it has started, ended ones included."""
    mine, ended = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    total = mine.ru_utime + mine.ru_stime + ended.ru_utime + ended.ru_stime
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            total += sum(child.cpu_times()[:4])  # with its own ended children
    return total


class Pebble:
    """The same with pebble: a fresh process each from a forkserver that has the parsers loaded."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["mail2fax.documents.assembly"])
        self.pool = pebble.ProcessPool(max_workers=os.cpu_count(), max_tasks=1, context=context)

    async def start(self) -> None:
        pass

    async def make(self, work: Task):
        return await asyncio.wrap_future(
            self.pool.schedule(assembly.make, args=[work, work.source.read_bytes()], timeout=40)
        )

    async def close(self) -> None:
        self.pool.close()
        self.pool.join()


class InProcess:
    async def start(self) -> None:
        pass

    async def make(self, work: Task):
        return assembly.make(work, work.source.read_bytes())

    async def close(self) -> None:
        pass


async def overhead(count: int, rounds: int) -> None:
    """The ways take turns, so that what else the machine does falls on all of them."""
    ways = {"in process": InProcess(), "pool": Pool(Documents())}
    if pebble:
        ways["pebble"] = Pebble()
    waits: dict[str, list[float]] = {name: [] for name in ways}
    costs: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        source = letter(place)
        for way in ways.values():
            await way.start()
            for _ in range(4):
                await way.make(task(place, source))
        for _ in range(rounds):
            for name, way in ways.items():
                before = cpu()
                for _ in range(count):
                    begin = time.perf_counter()
                    await way.make(task(place, source))
                    waits[name].append(time.perf_counter() - begin)
                    await asyncio.sleep(0.03)  # mails do not come back to back: the next worker gets ready meanwhile
                costs[name].append((cpu() - before) / count)
        for way in ways.values():
            await way.close()
    for name in ways:
        wait = sorted(waits[name])
        print(
            f"{name:11} wait median {statistics.median(wait) * 1e3:6.1f} ms, p95 {wait[len(wait) * 95 // 100] * 1e3:6.1f} ms;"
            f" processor {statistics.median(costs[name]) * 1e3:6.1f} ms a document"
        )


async def corpus(folder: Path) -> None:
    shop = Pool(Documents())
    seconds, verdicts = {}, Counter()
    with tempfile.TemporaryDirectory() as place:
        source = Path(place, "mail")
        for file in sorted(folder.rglob("*.pdf")):
            source.write_bytes(pdfs.bare_mail(file.read_bytes()))
            begin = time.perf_counter()
            try:
                made = await shop.make(task(Path(place), source))
                verdict = made.reason.value if made.reason else "made"
            except Permanent as refused:
                verdict = refused.reason.value
            seconds[file.name] = time.perf_counter() - begin
            verdicts[verdict] += 1
            if seconds[file.name] > 3 or "bomb" in file.name:
                print(f"{file.name}: {verdict} after {seconds[file.name]:.1f} s")
    await shop.close()
    times = sorted(seconds.values())
    print(dict(verdicts))
    print(
        f"{len(times)} files: median {statistics.median(times) * 1e3:.0f} ms, p95 {times[len(times) * 95 // 100] * 1e3:.0f} ms,"
        f" most {times[-1]:.1f} s; most memory of a worker"
        f" {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["files", "overhead", "corpus"], nargs="?", default="files")
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--count", type=int, default=20, help="documents in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="of the files, those whose name holds this")
    asked = parser.parse_args()
    if asked.what == "files":
        # In a process of its own: a worker's memory is to be what the forkserver gives it, not what is loaded here.
        subprocess.run([sys.executable, "-m", "benchmarks.against_gs", str(asked.rounds), asked.only], check=True)
    elif asked.what == "overhead":
        asyncio.run(overhead(asked.count, asked.rounds))
    elif asked.folder:
        asyncio.run(corpus(asked.folder))
    else:
        parser.error("corpus needs the folder")


if __name__ == "__main__":
    main()
