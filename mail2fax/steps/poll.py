"""Step 4 of 5: ask the provider how a fax goes, until its last word. Errors of any kind only delay the next look.

After [poll] deadline an answer that is no last word ends it: nobody knows. A look that fails proves nothing:
perhaps the machine slept, or the provider was away for the night. So failing looks end it only when they went on for a
while, and those that did not reach the provider only after [retry] give_up more.
"""

import random
import time
from collections.abc import Callable, Mapping

from mail2fax import log
from mail2fax.config import Settings
from mail2fax.model import Fax, Line, Outcome, Progress, Reason, State, Temporary, Verdict
from mail2fax.providers import Provider
from mail2fax.rules.backoff import poll_pause
from mail2fax.spool import Spool

PATIENCE = 300.0  # seconds in which looks after the deadline must fail before they count for an answer


class Poll:
    """The step."""

    def __init__(
        self,
        settings: Settings,
        spool: Spool,
        provider: Provider,
        lines: Mapping[str, Line],
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`chance`, in [0, 1), spreads the load of many that wait."""
        self._rules = settings.poll
        self._give_up = settings.retry.give_up
        self._chance = chance
        self._failing: dict[str, float] = {}  # since when the looks after the deadline fail, by this process's clock
        self._spool = spool
        self._provider = provider
        self._lines = lines

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
        line = self._lines.get(fax.line)
        if line is None:
            raise Temporary(Reason.LINE_HELD, note=f'there is no [[line]] named "{fax.line}" any more')
        return await self._provider.status(line, fax.provider_ref)

    async def _note(self, fax: Fax, progress: Progress) -> None:
        if progress.final is State.DELIVERED:
            await self._spool.end(fax, Outcome(State.DELIVERED, "2.0.0"), {"word": progress.word})
        elif progress.final is not None:
            # RFC 3461 section 6.3: no specific reason is known, so the code is the general one.
            outcome = Outcome(progress.final, "5.0.0", Reason.PROVIDER_FAILED)
            await self._spool.end(fax, outcome, {"word": progress.word})
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
