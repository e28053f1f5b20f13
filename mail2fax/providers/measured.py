"""Any provider, with each request told to `log` when its answer is there: for the metrics, not for the steps."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mail2fax import log
from mail2fax.model import Line, Progress, Verdict
from mail2fax.providers import Commit, Provider


class Watched:
    """A `Provider` that passes everything on."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    async def submit(self, line: Line, number: str, document: Path, name: str, commit: Commit) -> str:
        """As the provider does it."""
        with _told("submit"):
            return await self._provider.submit(line, number, document, name, commit)

    async def status(self, line: Line, ref: str) -> Progress:
        """As the provider does it."""
        with _told("status"):
            return await self._provider.status(line, ref)

    async def check(self, line: Line) -> None:
        """As the provider does it."""
        await self._provider.check(line)

    async def close(self) -> None:
        """As the provider does it."""
        await self._provider.close()


@contextmanager
def _told(request: str) -> Iterator[None]:
    begun = time.monotonic()
    answer = "cut short"  # by a stop, or by an error of our own
    try:
        yield
        answer = "taken" if request == "submit" else "status"
    except Verdict as verdict:
        answer = verdict.reason.value
        raise
    finally:
        log.provider_answered(request=request, answer=answer, seconds=time.monotonic() - begun)
