"""A sync under way in a thread, for which several mails may wait on the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor


class Syncing:
    """One call of a function that comes back when something is on disk."""

    def __init__(self, disk: Executor, sync: Callable[[], None]) -> None:
        """Begin it on a thread of `disk`."""
        self._ending = disk.submit(sync)
        self._told: asyncio.Future[None] | None = None  # one for all: each would wake the loop

    async def ended(self) -> BaseException | None:
        """Back when it has ended; what it raised. It goes on, should whoever waits be cancelled."""
        if not self._ending.done():
            self._told = self._told or asyncio.wrap_future(self._ending)
            await asyncio.wait({self._told})
            self._told.exception()  # asyncio wants it to have been asked
        return self._ending.exception()
