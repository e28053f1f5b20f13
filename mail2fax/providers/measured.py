"""Any provider, with each request told to `log` when its answer is there: for the metrics, not for the steps."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from mail2fax import log
from mail2fax.model import Line, Progress, Stopped, Trace, Verdict
from mail2fax.providers import Commit, Provider


class Watched:
    """A `Provider` that passes everything on."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self.capabilities = provider.capabilities

    async def submit(self, line: Line, number: str, document: Path, name: str, commit: Commit, reference: str) -> str:
        """As the provider does it."""
        with _told("submit"):
            return await self._provider.submit(line, number, document, name, commit, reference)

    async def status(self, line: Line, ref: str) -> Progress:
        """As the provider does it."""
        with _told("status"):
            return await self._provider.status(line, ref)

    async def find(self, line: Line, reference: str, number: str, since: datetime, ref: str) -> Trace:
        """As the provider does it."""
        with _told("find"):
            return await self._provider.find(line, reference, number, since, ref)

    async def cancel(self, line: Line, ref: str) -> Stopped:
        """As the provider does it."""
        with _told("cancel"):
            return await self._provider.cancel(line, ref)

    async def forget(self, line: Line, ref: str) -> None:
        """As the provider does it."""
        await self._provider.forget(line, ref)

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
        answer = "taken" if request == "submit" else request
    except Verdict as verdict:
        answer = verdict.reason.value
        raise
    finally:
        log.provider_answered(request=request, answer=answer, seconds=time.monotonic() - begun)
