"""Beside step 3: what becomes of a fax whose answer was lost, or whose node died while it waited for one.

A provider that can be asked is asked, at growing intervals. Found: the fax goes on as if nothing had happened. Proved
not to be there: it is offered again. Not seen: nobody knows, and nothing is sent again by itself.
"""

import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from mail2fax import log
from mail2fax.config import Settings
from mail2fax.model import Fax, Outcome, Reason, State, Unclear, Verdict
from mail2fax.providers.routes import Route
from mail2fax.spool import Spool, questions
from mail2fax.steps.alerts import opened

LOOKING = "looking"  # the event of an answer that was lost, and is looked for
LOOK_FOR = 900.0  # seconds in which a fax that was taken should show itself
_FIRST, _LONGEST = 2.0, 120.0  # seconds between two looks: the first, and the most


def reference(fax_id: str, submission: int) -> str:
    """What the provider is told a fax is called: another word for each offer, so that a search finds this one only."""
    return fax_id if submission <= 1 else f"{fax_id}-{submission}"


class Recover:
    """The step."""

    def __init__(
        self, settings: Settings, spool: Spool, routes: Mapping[str, Route], chance: Callable[[], float] = random.random
    ) -> None:
        """`chance`, in [0, 1), spreads the load of many that wait."""
        self._settings = settings
        self._spool = spool
        self._routes = routes
        self._chance = chance

    async def __call__(self, fax: Fax) -> None:
        """Ask once, and write down what is known then."""
        route = self._routes.get(fax.line)
        if route is None or not route.provider.capabilities.finds:
            await self._unknown(fax, Reason.INTERRUPTED, "found submitting after its lease had ended")
            return
        since, reason = await self._offered(fax)
        age = (fax.now - since).total_seconds() if fax.now else 0.0
        here = datetime.now(UTC) - timedelta(seconds=age)  # an adapter has this machine's clock, not the database's
        try:
            word = reference(fax.id, fax.submissions)
            trace = await route.provider.find(route.line, word, fax.number, here, fax.provider_ref)
        except Verdict as verdict:
            log.search_failed(fax=fax.id, note=verdict.note)
            # Not asked is not "not found": the provider may be away for longer.
            await self._later(fax, reason, age, self._settings.poll.deadline, verdict.note)
            return
        if trace.ref:
            await self._found(fax, trace.ref)
        elif trace.never:
            await self._spool.advance(fax, State.PREPARED, event={"note": "the provider never took it"})
        else:
            await self._later(fax, reason, age, LOOK_FOR, "the provider does not show it")

    async def _offered(self, fax: Fax) -> tuple[datetime, Reason]:
        """When it was last offered, and why it is not known what came of it."""
        history = await self._spool.read(questions.history, fax.id)
        since = max((event.at for event in history if event.what == State.SUBMITTING), default=fax.received_at)
        lost = any(event.what == LOOKING and event.at >= since for event in history)
        return since, Reason.NO_ANSWER if lost else Reason.INTERRUPTED

    async def _found(self, fax: Fax, ref: str) -> None:
        log.found(fax=fax.id, ref=ref)
        _, calmed, _ = await self._spool.taken(fax, ref, self._settings.poll.first)
        await opened(self._spool, fax, calmed)

    async def _later(self, fax: Fax, reason: Reason, age: float, limit: float, note: str) -> None:
        if age > limit:
            await self._unknown(fax, reason, note)
            return
        pause = min(max(age / 3, _FIRST), _LONGEST) * (1 - 0.2 * self._chance())
        await self._spool.postpone(fax, pause, what="search", event={"note": note})

    async def _unknown(self, fax: Fax, reason: Reason, note: str) -> None:
        await self._spool.end(fax, Outcome(State.UNKNOWN, Unclear.status, reason), {"note": note})
