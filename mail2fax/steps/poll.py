"""Step 4 of 5: ask the provider how a fax goes, until its last word. Errors of any kind only delay the next look."""

import random
from collections.abc import Mapping

from mail2fax import log
from mail2fax.config import Settings
from mail2fax.model import Fax, Line, Outcome, Progress, Reason, State, Temporary, Verdict
from mail2fax.providers import Provider
from mail2fax.rules.backoff import poll_pause
from mail2fax.spool import Spool


class Poll:
    """The step."""

    def __init__(self, settings: Settings, spool: Spool, provider: Provider, lines: Mapping[str, Line]) -> None:
        self._rules = settings.poll
        self._spool = spool
        self._provider = provider
        self._lines = lines

    async def __call__(self, fax: Fax) -> None:
        """Look once, and write down what is new."""
        try:
            progress = await self._look(fax)
        except Verdict as verdict:
            log.poll_failed(fax=fax.id, note=verdict.note)
            await self._later(fax, fax.progress, {"note": verdict.note}, verdict.retry_after or 0.0)
        else:
            await self._note(fax, progress)

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
            await self._later(fax, progress.word, {"word": progress.word} if news else {}, 0.0)

    async def _later(self, fax: Fax, word: str, event: Mapping[str, str], at_least: float) -> None:
        """Look again, unless the deadline has passed: then nobody knows how it ended."""
        age = self._age(fax)
        if age > self._rules.deadline:
            hours = round(self._rules.deadline / 3600, 1)
            outcome = Outcome(State.UNKNOWN, "4.4.7", Reason.NO_FINAL_WORD, {"hours": hours})
            await self._spool.end(fax, outcome, {"word": word})
            return
        chance = random.random()  # noqa: S311 -- spreads load, guards nothing
        pause = poll_pause(age, self._rules.first, self._rules.longest, chance, fax.pages or 0)
        # The look at the deadline is the last one: it must not come later than that.
        pause = min(max(pause, at_least), max(self._rules.deadline - age, 0.0) + 0.1)
        await self._spool.postpone(fax, pause, what="poll", event=event, progress=word)

    def _age(self, fax: Fax) -> float:
        return (fax.now - fax.submitted_at).total_seconds() if fax.now and fax.submitted_at else 0.0
