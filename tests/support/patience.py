"""How long tests wait for what must come: it costs nothing where it comes, and a busy machine is no fault of ours."""

import asyncio
import inspect
from collections.abc import Callable

PATIENCE = 60.0  # seconds


async def until(true: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait for what others bring about: back once `true()` holds, or what it is when awaited."""
    async with asyncio.timeout(seconds):
        while True:
            answer = true()
            if await answer if inspect.isawaitable(answer) else answer:
                return
            await asyncio.sleep(0.01)
