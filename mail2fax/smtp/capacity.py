"""Whether there is room for one more mail: bytes being received, free disk, faxes waiting."""

import time

from mail2fax.config import Smtp
from mail2fax.smtp import answers
from mail2fax.spool import Spool

_LOOK = 1.0  # seconds between two looks at the disk and at the spool
_SPARE = 1.5  # times the largest mail, as Postfix keeps it free


class Capacity:
    """Asked at MAIL, before a byte of the mail is on its way."""

    def __init__(self, settings: Smtp, spool: Spool) -> None:
        self._settings = settings
        self._spool = spool
        self.in_flight = 0  # bytes of mails that are being received
        self._looked = -_LOOK
        self._free: int | None = None
        self._waiting = 0

    async def refusal(self, size: int) -> str | None:
        """Why a mail that says it has this size (0: it does not say) cannot be taken now."""
        if size > self._settings.max_message_size:
            return answers.TOO_BIG
        if self.in_flight + size > self._settings.max_bytes_in_flight:
            return answers.NO_ROOM
        await self._look()
        if self._free is not None and self._free < _SPARE * self._settings.max_message_size:
            return answers.NO_ROOM
        if self._settings.max_spool and self._waiting >= self._settings.max_spool:
            return answers.SPOOL_FULL
        return None

    def receive(self, size: int) -> bool:
        """Count bytes that arrived. False when it is too much at once; they are counted all the same."""
        self.in_flight += size
        return self.in_flight <= self._settings.max_bytes_in_flight

    def received(self, size: int) -> None:
        """These bytes are no longer in flight."""
        self.in_flight -= size

    def accepted(self, faxes: int) -> None:
        """So many faxes more are waiting, until the next look tells exactly."""
        self._waiting += faxes

    async def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked < _LOOK:
            return
        self._looked = now  # before the wait: one asks for all
        self._free = self._spool.free_bytes()
        if self._settings.max_spool:
            self._waiting = await self._spool.waiting()
