"""A whole node as `mail2fax serve` runs it, which in the end says what each of its steps took of the processor.

    python -m benchmarks.bridge FOLDER HTTP SMTP [SPOOL_URL]

The steps' coroutines are metered each time they are resumed, so what they await counts for whoever does it: the
writer's thread, the readers', the processes that make documents. Shipped settings but for [poll] first: at five
seconds every run would begin with five idle ones.
"""

import asyncio
import json
import os
import resource
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import processes
from mail2fax import collector, log, node
from mail2fax.config import Settings
from mail2fax.steps.worker import Station, Worker

by_step: defaultdict[str, float] = defaultdict(float)  # processor seconds by step


class Metered:
    """An awaitable that counts what its every resumption takes of this thread's processor time."""

    def __init__(self, name: str, awaitable: Awaitable[Any]) -> None:
        self._name = name
        self._steps = awaitable.__await__()

    def __await__(self) -> Generator[Any, Any, Any]:
        """As the awaitable's own."""
        value, error = None, None
        while True:
            begun = time.thread_time()
            try:
                awaited = self._steps.throw(error) if error else self._steps.send(value)
            except StopIteration as end:
                return end.value
            finally:
                by_step[self._name] += time.thread_time() - begun
            value, error = None, None
            try:
                value = yield awaited
            except BaseException as thrown:
                error = thrown


def metered(name: str, step: Callable[[Any], Awaitable[object]]) -> Callable[[Any], Awaitable[object]]:
    """The step, metered."""

    async def do(one: Any) -> object:
        return await Metered(name, step(one))

    return do


class MeteredWorker(Worker):
    """The worker, with every station's step metered."""

    def __init__(self, spool: Any, pipeline: Mapping[str, Station]) -> None:
        super().__init__(spool, {work: replace(one, step=metered(work, one.step)) for work, one in pipeline.items()})


def by_thread() -> dict[str, float]:
    """Processor seconds by thread: `MainThread`, `writer`, `reader`, `disk`, …"""
    found: defaultdict[str, float] = defaultdict(float)
    for thread in threading.enumerate():
        if thread.ident:
            found[thread.name.partition("-")[0].partition("_")[0]] += time.clock_gettime(
                time.pthread_getcpuclockid(thread.ident)
            )
    return dict(found)


def settings(folder: Path, http: str, smtp: str, spool: str) -> Settings:
    """As shipped, towards the world outside."""
    return Settings.model_validate(
        {
            "smtp": {"listen": ["127.0.0.1:0"], "max_messages_per_connection": 1_000_000},
            "provider": {"url": f"http://{http}", "token": "bench"},
            "poll": {"first": 0.1},
            "reply": {"relay": f"smtp://{smtp}"},
            "spool": {"url": spool or f"sqlite:///{folder}/spool.db"},
        }
    )


async def serve(folder: Path, http: str, smtp: str, spool: str) -> None:
    """Run until SIGTERM. The last line says what was spent since the last SIGUSR1."""
    chosen = settings(folder, http, smtp, spool)
    log.configure(chosen.log.format, chosen.log.level)
    node.Worker = MeteredWorker  # type: ignore[misc]
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    async with node.running(chosen) as running:
        collector.spare_the_collector()
        before: dict[str, dict[str, float]] = {}
        loop.add_signal_handler(signal.SIGUSR1, lambda: before.update(meters()))
        before.update(meters())
        print(running.addresses[0], flush=True)
        await stopping.wait()
        spent = {kind: _less(now, before[kind]) for kind, now in meters().items()}
    print(json.dumps(spent), flush=True)


def meters() -> dict[str, dict[str, float]]:
    """Processor seconds until now: by step, by thread, and of the processes that make documents."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    documents = processes.cpu(os.getpid()) - own.ru_utime - own.ru_stime
    return {"steps": dict(by_step), "threads": by_thread(), "processes": {"documents": documents}}


def _less(now: dict[str, float], before: dict[str, float]) -> dict[str, float]:
    return {name: seconds - before.get(name, 0.0) for name, seconds in now.items()}


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4] if len(sys.argv) > 4 else ""))
