"""Step 4 of 5: ask the provider how a fax goes, until its last word. Errors of any kind only delay the next look.

After [poll] deadline an answer that is no last word ends it: nobody knows. A look that fails proves nothing:
perhaps the machine slept, or the provider was away for the night. So failing looks end it only when they went on for a
while, and those that did not reach the provider only after [retry] give_up more.
"""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from mail2fax import log
from mail2fax.config import Settings
from mail2fax.model import (
    NO_CREDIT,
    NO_PAGE_WENT,
    Cause,
    Fax,
    LineHeld,
    Outcome,
    Progress,
    Reason,
    State,
    Temporary,
    Verdict,
)
from mail2fax.providers.routes import Route
from mail2fax.rules.backoff import poll_pause
from mail2fax.spool import Spool, questions
from mail2fax.steps.alerts import opened, shut

REDIALS = (300.0, 900.0, 1800.0)  # seconds until each further call, where the provider makes none by itself

# RFC 3463: 4.1 the line was busy or nobody took the call, 4.2 the call could not be brought to its end, 1.1 a bad
# address, 7.1 not authorized, 6.0 the media, 3.0 the mail system. RFC 3461 section 6.3: 5.0.0 where nothing is known.
_STATUS: Mapping[Cause, str] = {
    Cause.BUSY: "5.4.1",
    Cause.NO_ANSWER: "5.4.1",
    Cause.NO_FAX: "5.4.2",
    Cause.HUNG_UP: "5.4.2",
    Cause.LINE_TROUBLE: "5.4.2",
    Cause.NUMBER_INVALID: "5.1.1",
    Cause.NOT_PERMITTED: "5.7.1",
    Cause.DOCUMENT: "5.6.0",
    Cause.ACCOUNT: "5.3.0",
    Cause.CANCELLED: "5.7.0",
    Cause.PROVIDER: "5.3.0",
}
PATIENCE = 300.0  # seconds in which looks after the deadline must fail before they count for an answer


class Poll:
    """The step."""

    def __init__(
        self,
        settings: Settings,
        spool: Spool,
        routes: Mapping[str, Route],
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`chance`, in [0, 1), spreads the load of many that wait."""
        self._rules = settings.poll
        self._give_up = settings.retry.give_up
        self._pause = settings.retry.longest  # seconds until an account in trouble is tried again
        self._chance = chance
        self._failing: dict[str, float] = {}  # since when the looks after the deadline fail, by this process's clock
        self._spool = spool
        self._routes = routes

    async def __call__(self, fax: Fax) -> None:
        """Look once, and write down what is new."""
        try:
            progress = await self._look(fax)
        except Verdict as verdict:
            log.poll_failed(fax=fax.id, note=verdict.note)
            if self._hopeless(fax, verdict):
                await self._give_up_on(fax, {"note": verdict.note})
            else:
                await self._later(fax, fax.progress, {"note": verdict.note}, verdict.retry_after or 0.0)
        else:
            self._failing.pop(fax.id, None)
            await self._note(fax, progress)

    def _hopeless(self, fax: Fax, verdict: Verdict) -> bool:
        """Whether looks have failed for so long after the deadline that no more are worth it."""
        age = self._age(fax)
        if age <= self._rules.deadline:
            return False
        failing = time.monotonic() - self._failing.setdefault(fax.id, time.monotonic())
        reached = verdict.reason is Reason.PROVIDER_BUSY
        last = self._rules.deadline + (0.0 if reached else self._give_up)
        return age > last and failing > min(PATIENCE, self._rules.deadline)

    async def _look(self, fax: Fax) -> Progress:
        route = self._routes.get(fax.line)
        if route is None:
            raise Temporary(Reason.LINE_HELD, note=f'there is no [[line]] named "{fax.line}" any more')
        return await route.provider.status(route.line, fax.provider_ref)

    async def _note(self, fax: Fax, progress: Progress) -> None:
        progress = _completed(fax, progress)
        if progress.final is not None and progress.cause not in (Cause.ACCOUNT, Cause.CANCELLED):
            await self._open(fax)
        if progress.final is not None and self._dials_again(fax, progress):
            await self._dial_again(fax, progress)
        elif progress.final is State.FAILED and self._waits_for_account(fax, progress):
            await self._hold(fax, progress)
        elif progress.final is not None:
            await self._spool.end(fax, _outcome(fax, progress), {"word": progress.word, **progress.facts})
            await self._forget(fax)
        else:
            news = progress.word != fax.progress
            if news:
                log.progress(fax=fax.id, word=progress.word)
                if not progress.known:
                    log.odd_word(fax=fax.id, word=progress.word)
            if self._age(fax) > self._rules.deadline:
                await self._give_up_on(fax, {"word": progress.word})
            else:
                await self._later(fax, progress.word, {"word": progress.word} if news else {}, 0.0)

    async def _forget(self, fax: Fax) -> None:
        """What the provider keeps of the document is for nobody now. If it cannot be told, its own rules apply."""
        route = self._routes[fax.line]
        if route.provider.capabilities.forgets:
            try:
                await route.provider.forget(route.line, fax.provider_ref)
            except Verdict as verdict:
                log.not_forgotten(fax=fax.id, note=verdict.note)

    def _dials_again(self, fax: Fax, progress: Progress) -> bool:
        """Whether another call may help, costs no page twice, and is nobody else's affair."""
        again = progress.cause in NO_PAGE_WENT and not progress.pages_sent
        ours = not self._routes[fax.line].provider.capabilities.dials_again
        return again and ours and fax.detail.get("redials", 0) < len(REDIALS) and "stop" not in fax.detail

    async def _dial_again(self, fax: Fax, progress: Progress) -> None:
        """Offer it anew: one reply at the end tells how often."""
        redials = fax.detail.get("redials", 0)
        pause = REDIALS[redials] * (1 - 0.2 * self._chance())
        log.redialed(fax=fax.id, cause=progress.cause or "", seconds=pause)
        event = {"note": f"{progress.cause}: dialled again", "seconds": round(pause, 1), **progress.facts}
        detail = {"redials": redials + 1, "cause": progress.cause}
        await self._spool.advance(fax, State.PREPARED, due_in=pause, event=event, detail=detail, progress=progress.word)

    def _waits_for_account(self, fax: Fax, progress: Progress) -> bool:
        """Whether it failed for the account's trouble alone: no other fax of the line would fare better."""
        ours = progress.cause is Cause.ACCOUNT and not progress.pages_sent and "stop" not in fax.detail
        return ours and fax.age < self._give_up

    async def _hold(self, fax: Fax, progress: Progress) -> None:
        """Take it back, and hold its line as a 402 does; it was not called, so another line may have it."""
        note = f"the line's account has no credit, or is at a limit: {progress.code or progress.word}"
        verdict = LineHeld(Reason.LINE_HELD, note=note, retry_after=self._pause, cause="credit")
        await shut(self._spool, fax, NO_CREDIT, verdict)
        event = {"note": note, **progress.facts}
        await self._spool.advance(fax, State.PREPARED, event=event, progress=progress.word)

    async def _open(self, fax: Fax) -> None:
        """The account that had no credit has some: this fax was called, or failed for a reason of its own."""
        if await self._spool.read(questions.told_better, fax):
            await opened(self._spool, fax, await self._spool.calm(fax.line, told=True))

    async def _give_up_on(self, fax: Fax, event: Mapping[str, str]) -> None:
        """Nobody knows how it ended."""
        self._failing.pop(fax.id, None)
        hours = round(self._age(fax) / 3600, 1)
        outcome = Outcome(State.UNKNOWN, "4.4.7", Reason.NO_FINAL_WORD, {"hours": hours})
        await self._spool.end(fax, outcome, event)

    async def _later(self, fax: Fax, word: str, event: Mapping[str, str], at_least: float) -> None:
        """Look again; at the deadline in any case."""
        age = self._age(fax)
        pause = max(poll_pause(age, self._rules.first, self._rules.longest, self._chance(), fax.pages or 0), at_least)
        if age < self._rules.deadline:
            pause = min(pause, self._rules.deadline - age + 0.1)
        await self._spool.postpone(fax, pause, what="poll", event=event, progress=word)

    def _age(self, fax: Fax) -> float:
        return (fax.now - fax.submitted_at).total_seconds() if fax.now and fax.submitted_at else 0.0


def _completed(fax: Fax, progress: Progress) -> Progress:
    """With what the provider said by a webhook, which some tell more in, where the look itself leaves it open."""
    heard = fax.detail.get("heard", {}) if progress.final is State.DELIVERED else {}
    return replace(progress, **{name: value for name, value in heard.items() if getattr(progress, name) is None})


def _outcome(fax: Fax, progress: Progress) -> Outcome:
    """The last word: as much of it as the provider says."""
    if progress.final is State.DELIVERED:
        return Outcome(State.DELIVERED, "2.0.0", detail=_sum(fax, progress))
    if progress.cause is Cause.CANCELLED and "stop" in fax.detail:
        return Outcome(State.CANCELLED, "5.7.0", Reason.CANCELLED_BY_OPERATOR, _sum(fax, progress))
    status = _STATUS.get(progress.cause, "5.0.0") if progress.cause else "5.0.0"
    return Outcome(State.FAILED, status, Reason.PROVIDER_FAILED, _sum(fax, progress))


def _sum(fax: Fax, progress: Progress) -> dict[str, Any]:
    """What is known of the whole fax, with the calls that we had made before this one."""
    facts = progress.facts
    if redials := fax.detail.get("redials", 0):
        facts["calls"] = facts.get("calls", 1) + redials
    return facts
