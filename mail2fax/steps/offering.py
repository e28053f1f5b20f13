"""A mail that is owed is offered to the smarthost until it is taken, refused for good, or too old to be of use.

What was taken is not offered again while this process lives, though the spool may not learn of it for long: whoever has
the lease by then finds it here. A process that dies in between leaves a mail that comes twice (docs/flow.md).
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import Any

from mail2fax.config import Reply
from mail2fax.model import Permanent, Temporary, Verdict
from mail2fax.rules.backoff import Backoff

_LONGEST = 3600.0  # seconds between two attempts at one mail
_REMEMBERED = 10_000  # mails that were taken and of which the spool could not be told; another node may have done it


class Offering:
    """By the pauses of [reply] retry_first and give_up."""

    def __init__(self, rules: Reply, chance: Callable[[], float]) -> None:
        """`chance`, in [0, 1), spreads the load of many that wait."""
        self._chance = chance
        self._backoff = Backoff(rules.retry_first, _LONGEST)
        self._give_up = rules.give_up
        self._handed: dict[Hashable, asyncio.Task[None]] = {}  # being handed over, or taken and not written down

    async def once(
        self,
        mail: Hashable,
        hand_over: Callable[[], Coroutine[Any, Any, None]],
        *,
        attempts: int,
        owed_for: float,
        postpone: Callable[[Verdict, float], Awaitable[None]],
        give_up: Callable[[Verdict], Awaitable[None]],
    ) -> bool:
        """One attempt at this `mail`; `attempts` and `owed_for` (seconds) are of those before. Whether it was taken.

        Then `written` is to be called once the spool knows.
        """
        try:
            await self._handed_over(mail, hand_over)
        except Permanent as verdict:
            await give_up(verdict)
        except Temporary as verdict:
            if owed_for > self._give_up:
                await give_up(verdict)
            else:
                await postpone(verdict, self._backoff.pause(attempts + 1, self._chance()))
        else:
            return True
        return False

    def written(self, mail: Hashable) -> None:
        """The spool knows that it was taken."""
        self._handed.pop(mail, None)

    async def _handed_over(self, mail: Hashable, hand_over: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin, or wait for what is under way under an older lease, or find that it was taken."""
        task = self._handed.get(mail) or asyncio.create_task(hand_over())
        self._handed[mail] = task
        try:
            await task
        except BaseException:
            self._handed.pop(mail, None)
            raise
        while len(self._handed) > _REMEMBERED:
            self._handed.pop(next(iter(self._handed)))
