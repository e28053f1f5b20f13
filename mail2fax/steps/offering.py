"""A mail that is owed is offered to the smarthost until it is taken, refused for good, or too old to be of use."""

from collections.abc import Awaitable, Callable

from mail2fax.config import Reply
from mail2fax.model import Permanent, Temporary, Verdict
from mail2fax.rules.backoff import Backoff

_LONGEST = 3600.0  # seconds between two attempts at one mail


class Offering:
    """By the pauses of [reply] retry_first and give_up."""

    def __init__(self, rules: Reply, chance: Callable[[], float]) -> None:
        """`chance`, in [0, 1), spreads the load of many that wait."""
        self._chance = chance
        self._backoff = Backoff(rules.retry_first, _LONGEST)
        self._give_up = rules.give_up

    async def once(
        self,
        hand_over: Awaitable[None],
        *,
        attempts: int,
        owed_for: float,
        postpone: Callable[[Verdict, float], Awaitable[None]],
        give_up: Callable[[Verdict], Awaitable[None]],
    ) -> bool:
        """One attempt; `attempts` and `owed_for` (seconds) are of those before. Whether the mail was taken."""
        try:
            await hand_over
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
