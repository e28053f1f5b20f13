"""Claim, do the step, write the result: the loop that moves every fax. Never silence: what a step does not foresee is
tried again and, when the attempts run out, ends in an outcome that the sender is told.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from mail2fax import log
from mail2fax.model import ERROR, Fax, LeaseLost, Notice, Outcome, Reason, State
from mail2fax.rules.backoff import Backoff
from mail2fax.spool import LOOK_SECONDS, Spool, Work, questions
from mail2fax.steps.alerts import alert

ATTEMPTS = 12  # of a step that ends in an error of our own
_AGAIN = Backoff(5.0, 900.0)

# What becomes of a fax whose step fails again and again.
_LAST = {
    State.RECEIVED: State.FAILED,
    State.PREPARED: State.FAILED,
    State.SUBMITTING: State.UNKNOWN,
    State.SUBMITTED: State.UNKNOWN,
}


class Claimed(Protocol):
    """A fax or a notice, ours while the lease lasts."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def lease(self) -> str:
        """The lease's token."""


Step = Callable[[Any], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Station:
    """One step of the way, and how many faxes it may have at once."""

    step: Step
    at_once: int


@dataclass(slots=True)
class _Running:
    """A station at work."""

    work: Work
    station: Station
    running: dict[asyncio.Task[None], Claimed] = field(default_factory=dict)
    hungry: bool = False  # more may be due than there were places for

    @property
    def free(self) -> int:
        """Places left."""
        return self.station.at_once - len(self.running)


class Worker:
    """Serves every station of the pipeline until it is told to stop."""

    def __init__(
        self, spool: Spool, pipeline: Mapping[Work, Station], chance: Callable[[], float] = random.random
    ) -> None:
        """`chance`, in [0, 1), spreads the load of steps that failed together."""
        self._spool = spool
        self._chance = chance
        self._steps = [_Running(work, station) for work, station in pipeline.items()]
        self._stopping = asyncio.Event()

    async def run(self, drain_seconds: float) -> None:
        """Work until `stop`; then let steps in flight finish for `drain_seconds`, and put the others back."""
        renewing = asyncio.create_task(self._renew())
        try:
            async with asyncio.TaskGroup() as group:
                for step in self._steps:
                    group.create_task(self._serve(step))
        finally:
            await self._drain(drain_seconds)
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)

    def stop(self) -> None:
        """Claim nothing more."""
        self._stopping.set()

    @property
    def in_flight(self) -> int:
        """Steps at work."""
        return sum(len(step.running) for step in self._steps)

    async def _serve(self, step: _Running) -> None:
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            while not self._stopping.is_set():
                pause = await self._claim(step)
                waiting = asyncio.create_task(self._spool.wait(step.work, pause))
                await asyncio.wait({waiting, stopped}, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
        finally:
            stopped.cancel()

    async def _claim(self, step: _Running) -> float:
        """Fill the free places. Seconds until it is worth to look again."""
        if not step.free:
            step.hungry = True
            return LOOK_SECONDS
        limit = step.free
        try:
            claimed, next_due = await self._take(step.work, limit)
        except Exception as error:  # noqa: BLE001 -- a database that is away comes back
            log.spool_failed(work=step.work, error=error)
            return LOOK_SECONDS
        step.hungry = len(claimed) == limit
        for one in claimed:
            task = asyncio.create_task(self._do(step, one))
            step.running[task] = one
            task.add_done_callback(lambda done: self._done(step, done))
        return min(LOOK_SECONDS, max(next_due or LOOK_SECONDS, 0.005))

    async def _take(self, work: Work, limit: int) -> tuple[Sequence[Claimed], float | None]:
        return await (self._spool.claim_notices(limit) if work == Work.NOTICE else self._spool.claim(work, limit))

    def _done(self, step: _Running, task: asyncio.Task[None]) -> None:
        del step.running[task]
        if step.hungry:
            self._spool.wake(step.work)

    async def _do(self, step: _Running, one: Claimed) -> None:
        try:
            await step.station.step(one)
        except LeaseLost:
            log.lease_lost(fax=one.id)
        except asyncio.CancelledError:
            await self._put_back(one)
        except Exception as error:  # noqa: BLE001 -- what a step does not foresee must not end in silence
            await self._unforeseen(one, error)

    async def _put_back(self, one: Claimed) -> None:
        log.drained(fax=one.id)
        with contextlib.suppress(Exception):  # its lease ends by itself
            if isinstance(one, Fax):
                await self._spool.put_back(one)
            elif isinstance(one, Notice):
                await self._spool.noticed(one, "", 0.0)

    async def _unforeseen(self, one: Claimed, error: Exception) -> None:
        state, attempts = getattr(one, "state", Work.NOTICE), getattr(one, "attempts", 0) + 1
        log.step_failed(fax=one.id, state=state, attempts=attempts, error=error)
        with contextlib.suppress(Exception):  # the database itself may be away: the lease ends by itself
            # Not the attempts: those of a fax that is polled, or waits for a provider, are many and no errors.
            errors = await self._spool.read(questions.errors, one.id) + 1
            pause = _AGAIN.pause(errors, self._chance())
            if isinstance(one, Notice):
                await self._spool.failed_notice(one, pause if errors < ATTEMPTS else None)
            elif isinstance(one, Fax) and errors < ATTEMPTS:
                await self._spool.postpone(one, pause, what=ERROR, event={"error": "internal"})
            elif isinstance(one, Fax):
                await self._give_up(one)

    async def _give_up(self, fax: Fax) -> None:
        if fax.final:
            await self._spool.replied(fax, "undeliverable", error="internal")
            await alert(self._spool, "undeliverable", fax, "an error of our own, see the log")
        else:
            outcome = Outcome(_LAST[fax.state], "5.3.0", Reason.INTERNAL)
            await self._spool.end(fax, outcome, {"reason": Reason.INTERNAL})

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._spool.lease_seconds / 3)
            leases = {one.lease for step in self._steps for one in step.running.values()}
            if leases:
                with contextlib.suppress(Exception):  # a lease that is lost is noticed by the next write
                    await self._spool.renew(leases)

    async def _drain(self, seconds: float) -> None:
        tasks = [task for step in self._steps for task in step.running]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=seconds)
            self._spool.database.end_soon()
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
