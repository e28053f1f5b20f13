"""Step 3 of 5: hand a prepared document to the provider. Never sends twice without proof that the first was refused.

`submitting` is committed just before the end of the request's body leaves: without its end no server can act on it,
so every failure before that is safe to try again, and every doubt after it stays a doubt.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any

from mail2fax import log
from mail2fax.config import Settings
from mail2fax.model import (
    Capabilities,
    Fax,
    LeaseLost,
    LineHeld,
    Outcome,
    Permanent,
    Reason,
    State,
    Temporary,
    Unclear,
    Verdict,
)
from mail2fax.providers.routes import Route
from mail2fax.rules.backoff import Backoff
from mail2fax.spool import Spool, SpoolUnavailable, Work, questions
from mail2fax.steps.alerts import opened, shut
from mail2fax.steps.recover import LOOKING, reference


class Submit:
    """The step."""

    def __init__(
        self,
        settings: Settings,
        spool: Spool,
        routes: Mapping[str, Route],
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`chance`, in [0, 1), spreads the load of many that wait."""
        self._settings = settings
        self._chance = chance
        self._spool = spool
        self._routes = routes
        self._backoff = Backoff(settings.retry.first, settings.retry.longest)

    async def __call__(self, fax: Fax) -> None:
        """Submit the fax and write down what is known of it then."""
        if verdict := await self._too_much(fax):
            await self._end(fax, State.FAILED, verdict)
            return
        attempt = _Attempt(self._spool, fax)
        try:
            ref = await self._offer(attempt)
        except Verdict as verdict:
            await _to_its_end(self._judge(attempt.fax, verdict))
        except (asyncio.CancelledError, Exception):
            # LeaseLost ends here too, with nothing sent: the commit itself found out.
            await _to_its_end(self._cut_short(attempt))
            raise
        else:
            await _to_its_end(self._taken(attempt, ref))

    async def _too_much(self, fax: Fax) -> Permanent | None:
        """Why its provider could never take this document; None if it may."""
        route = self._routes.get(fax.line)
        can = route.provider.capabilities if route else Capabilities()
        pages = fax.pages or 0
        if can.max_pages and pages > can.max_pages:
            return Permanent(Reason.TOO_MANY_PAGES, "5.3.4", pages=pages, limit=can.max_pages)
        if can.max_bytes and (size := await self._spool.read(questions.size, fax.document_id)) > can.max_bytes:
            return Permanent(Reason.TOO_LARGE, "5.3.4", size=size, limit=can.max_bytes)
        return None

    async def _offer(self, attempt: "_Attempt") -> str:
        fax = attempt.fax
        route = self._routes.get(fax.line)
        if route is None:
            raise LineHeld(Reason.LINE_HELD, note=f'there is no [[line]] named "{fax.line}" any more')
        async with self._spool.document(fax.document_id) as path:
            word = reference(fax.id, fax.submissions + 1)
            return await route.provider.submit(route.line, fax.number, path, f"{fax.id}.pdf", attempt.commit, word)

    async def _taken(self, attempt: "_Attempt", ref: str) -> None:
        await attempt.commit()
        fax = attempt.fax
        # Here, and then on disk: two records of a reference that is told only once.
        log.submitted(fax=fax.id, number=fax.number, ref=ref, line=fax.line)
        _, trouble, others = await self._spool.taken(fax, ref, self._settings.poll.first)
        await opened(self._spool, fax, trouble)
        for other in others:
            log.same_ref(fax=fax.id, ref=ref, other=other)

    async def _judge(self, fax: Fax, verdict: Verdict) -> None:
        """The provider's answer, or its silence, turned into the fax's next state."""
        if isinstance(verdict, Permanent):
            await self._end(fax, State.FAILED, verdict, proof=fax.state is State.SUBMITTING)
            await opened(self._spool, fax, await self._spool.calm(fax.line))
        elif isinstance(verdict, Unclear) and fax.state is State.SUBMITTING:
            await self._doubt(fax, verdict)
            await self._shut(fax, "unreachable", verdict)
        elif isinstance(verdict, LineHeld):
            await self._shut(fax, "held", verdict)
            await self._again(fax, 0.0, verdict)
        else:
            await self._postpone(fax, verdict)

    async def _doubt(self, fax: Fax, verdict: Verdict) -> None:
        """Nobody knows, unless the provider can be asked: then `recover` does that, at once."""
        route = self._routes.get(fax.line)
        if route and route.provider.capabilities.finds:
            await self._spool.postpone(fax, 0.0, what=LOOKING, event={"note": verdict.note})
        else:
            await self._end(fax, State.UNKNOWN, verdict)

    async def _postpone(self, fax: Fax, verdict: Verdict) -> None:
        await self._shut(fax, "unreachable" if verdict.retry_after is None else "busy", verdict)
        if self._overdue(fax):
            hours = round(self._settings.retry.give_up / 3600, 1)
            late = Temporary(Reason.GAVE_UP, "4.4.7", note=verdict.note, hours=hours)
            await self._end(fax, State.FAILED, late, proof=fax.state is State.SUBMITTING)
            return
        pause = self._backoff.pause(fax.attempts + 1, self._chance())
        await self._again(fax, max(pause, verdict.retry_after or 0.0), verdict)

    def _overdue(self, fax: Fax) -> bool:
        waiting_since = fax.prepared_at or fax.received_at
        return bool(fax.now and (fax.now - waiting_since).total_seconds() > self._settings.retry.give_up)

    async def _again(self, fax: Fax, pause: float, verdict: Verdict) -> None:
        log.postponed(fax=fax.id, note=verdict.note, seconds=pause)
        event: dict[str, Any] = {"note": verdict.note}
        if pause:  # else it waits for its line
            event["seconds"] = round(pause, 1)
        if fax.state is not State.SUBMITTING:
            await self._spool.postpone(fax, pause, event=event)
            return
        try:
            await self._spool.advance(fax, State.PREPARED, due_in=pause, proof=True, event=event)
        except LeaseLost:
            # Its sender may know of a doubt, and have sent it anew himself: he hears that this one did not go.
            late = Temporary(Reason.GAVE_UP, "4.4.7", note=verdict.note)
            await self._end(fax, State.FAILED, late, proof=True)

    async def _shut(self, fax: Fax, kind: str, verdict: Verdict) -> None:
        """The line goes first, so that its fax does not come back at once; but the fax's own word is no less sure."""
        try:
            await shut(self._spool, fax, kind, verdict)
        except (SpoolUnavailable, OSError) as error:
            log.spool_failed(work=Work.SUBMIT, error=error)

    async def _end(self, fax: Fax, state: State, verdict: Verdict, *, proof: bool = False) -> None:
        outcome = Outcome(state, verdict.status, verdict.reason, verdict.detail)
        await self._spool.end(fax, outcome, {"note": verdict.note, "status": verdict.status}, proof=proof)

    async def _cut_short(self, attempt: "_Attempt") -> None:
        """We are stopped, or failed ourselves: after the commit the provider may have the fax."""
        if attempt.let_go:
            await self._doubt(attempt.fax, Unclear(Reason.INTERRUPTED))
        else:
            await attempt.take_back()


class _Attempt:
    """One offer of a fax, and whether its end was let go."""

    def __init__(self, spool: Spool, fax: Fax) -> None:
        self._spool = spool
        self._writing: asyncio.Task[Fax] | None = None
        self.fax = fax
        self.let_go = False

    async def commit(self, ref: str = "") -> None:
        """Write `submitting`; only then may the end of the request leave. Raises LeaseLost."""
        if not self.let_go:
            # An older reference would be another submission's: it is written over, with nothing if need be.
            moving = self._spool.advance(self.fax, State.SUBMITTING, keep=True, provider_ref=ref)
            self._writing = asyncio.create_task(moving)
            self.fax = await asyncio.shield(self._writing)
            self.let_go = True

    async def take_back(self) -> None:
        """The end never left: should `submitting` have been written all the same, there is no doubt to be told of."""
        if self._writing:
            await asyncio.wait({self._writing})
            written = replace(self.fax, state=State.SUBMITTING)
            with contextlib.suppress(LeaseLost):
                await self._spool.advance(written, State.PREPARED, event={"note": "cut short before its end"})


async def _to_its_end(writing: Coroutine[Any, Any, None]) -> None:
    """Write down what is known now, though we are being stopped: left undone it would become a doubt."""
    task = asyncio.create_task(writing)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
