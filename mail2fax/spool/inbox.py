"""The way in: a mail's row and its content go to the disk at once, and only when both are there is a client told 250.

What did not get there is withdrawn (`withdrawal`). As long as a mail is not safe, no repeat of it is told that it is
known: it is put again until the mail is safe, or gone.
"""

import asyncio
import contextlib
from collections.abc import Sequence

from sqlalchemy import Connection

from mail2fax import log
from mail2fax.model import Envelope, Receipt
from mail2fax.spool import intake, withdrawal
from mail2fax.spool.contents import Contents
from mail2fax.spool.contents.folder import FolderContents
from mail2fax.spool.contents.incoming import Incoming
from mail2fax.spool.database.database import Database
from mail2fax.spool.database.fsync import NotOnDisk
from mail2fax.spool.database.unavailable import SpoolUnavailable
from mail2fax.spool.database.wakeup import announce
from mail2fax.spool.intake import Arrival
from mail2fax.spool.work import Work

# How often, and after how many seconds each, a repeat is put again whose original is on its way to the disk.
_LOOKS, _MOMENT = 200, 0.05


class Inbox:
    """Accepts mails for one node."""

    def __init__(self, database: Database, contents: Contents, node: str) -> None:
        self._database = database
        self._contents = contents
        self._node = node
        self._put = self._put_all  # one object, so that the writer sees what goes together
        self._unsafe: set[str] = set()  # mails whose rows are written, and whose contents may not be on disk yet
        self._failed: dict[str, Incoming] = {}  # those that could not be brought there, and have to be withdrawn

    async def recover(self, contents: FolderContents) -> None:
        """Make safe what the last node had on its way to the disk, or take it back."""
        mails = await self._database.read(withdrawal.uncertain)
        broken, refused = await asyncio.to_thread(withdrawal.rewrite_all, mails, contents.folder)
        self._unsafe.update(mail.id for mail in refused)
        lost = {mail.id: mail for mail in broken if not mail.tried}
        for name in await self._database.change(withdrawal.withdraw, lost):
            log.withdrawn(mail=name)
            if place := lost[name].place:
                contents.blank(place, lost[name].size)

    async def accept(self, envelope: Envelope, content: Incoming) -> Receipt:
        """Back when the mail is on disk. Raises OSError, or SpoolUnavailable, with nothing left of it."""
        arrival = Arrival(content.name, envelope, content)
        await content.finish()
        try:
            receipt = await self._safe(arrival)
        except Exception:
            self._contents.done(content)
            raise
        if receipt.queue_id != arrival.id:
            content.discard()
        self._contents.done(content)
        return receipt

    async def _safe(self, arrival: Arrival) -> Receipt:
        """Its row and its content are on disk, or it is withdrawn."""
        await self._withdraw()
        try:
            receipt = await self._written(arrival)
            await self._contents.safe(arrival.content)
        except NotOnDisk:
            if self._contents.beside_row(arrival.content):
                self._failed[arrival.id] = arrival.content
                with contextlib.suppress(OSError, SpoolUnavailable):  # the next mail tries again, before its own
                    await self._withdraw()
            raise
        except Exception:
            if self._contents.beside_row(arrival.content):  # it was not committed
                await self._contents.give_up(arrival.content)
                self._unsafe.discard(arrival.id)
            raise
        self._unsafe.discard(arrival.id)
        return receipt

    async def _written(self, arrival: Arrival) -> Receipt:
        for _ in range(_LOOKS):
            receipt = await self._database.change_together(self._put, arrival)
            if receipt:
                return receipt
            await asyncio.sleep(_MOMENT)
        raise OSError("the mail that this one is a duplicate of does not get on disk")

    async def _withdraw(self) -> None:
        """Take back what is not on disk, before it is taken for an earlier copy of what comes next."""
        if failed := dict(self._failed):
            gone = await self._database.change(withdrawal.withdraw, failed)
            for name, content in failed.items():
                if self._failed.pop(name, None) and name in gone:
                    log.withdrawn(mail=name)
                    await self._contents.give_up(content)
                self._unsafe.discard(name)

    def _put_all(self, connection: Connection, arrivals: Sequence[Arrival]) -> list[Receipt | None]:
        receipts = intake.put(connection, self._contents, self._node, arrivals, self._unsafe)
        written = (arrival for arrival, receipt in zip(arrivals, receipts, strict=True) if receipt)
        self._unsafe.update(arrival.id for arrival in written if self._contents.beside_row(arrival.content))
        announce(connection, Work.PREPARE)
        return receipts
