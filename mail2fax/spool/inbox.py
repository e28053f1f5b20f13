"""The way in: the log first, the rows second, and then the 250.

A mail is appended to a log with its envelope, and synced; only then are its rows written, in a transaction that nobody
waits for the disk to keep. Should a power cut take them, the next start finds the mail in the log and puts it in once
more, under the same id. What happens to a fax later is synced, and with it everything written before: whatever was done
about a fax, it has its row. On PostgreSQL content and rows are one transaction, and nothing is beside it.
"""

import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from sqlalchemy import Connection

from mail2fax import log
from mail2fax.model import Envelope, Receipt
from mail2fax.spool import intake
from mail2fax.spool.contents import Contents, Kept, lookup
from mail2fax.spool.contents.folder import FolderContents
from mail2fax.spool.contents.incoming import Incoming
from mail2fax.spool.contents.records import Record
from mail2fax.spool.contents.replay import candidates, find
from mail2fax.spool.database.batches import Answer, Batches, together
from mail2fax.spool.database.database import Database
from mail2fax.spool.database.threads import waited_for
from mail2fax.spool.database.unavailable import mapped
from mail2fax.spool.database.wakeup import announce
from mail2fax.spool.intake import Arrival
from mail2fax.spool.work import Work

_THREADS = 2  # while the rows of one batch are written, the next one is synced
_AT_ONCE = 200  # mails in one transaction, at a start


class _Mail(NamedTuple):
    """One that all has come of."""

    received_at: float | None
    envelope: Envelope
    content: Incoming

    def record(self) -> Record:
        """To be asked in a thread, if the content is small: its digest takes a while."""
        content = self.content
        return Record(content.name, self.received_at, self.envelope, content.size, content.sha256)


class Inbox:
    """Accepts mails for one node."""

    def __init__(self, database: Database, contents: Contents, node: str) -> None:
        self._database = database
        self._contents = contents
        self._node = node
        # A server has a clock of its own, which all nodes go by.
        self._clock = time.time if isinstance(contents, FolderContents) else lambda: None
        self._batches: Batches[_Mail, Sequence[Arrival]]
        self._batches = Batches("inbox", _THREADS, threading.Lock(), self._logged, self._written)

    async def accept(self, envelope: Envelope, content: Incoming) -> Receipt:
        """Back when the mail is on disk. Raises OSError, or SpoolUnavailable, with nothing left of it."""
        await content.finish()
        mail = _Mail(self._clock(), envelope, content)
        await self._contents.settle(content, mail.record() if content.large else None)
        try:
            with mapped():
                receipt: Receipt = await self._batches.do(mail)
        except Exception:
            content.discard()
            self._contents.done(content)
            raise
        if receipt.queue_id != content.name:
            content.discard()
        self._contents.done(content)
        return receipt

    async def recover(self, contents: FolderContents) -> None:
        """Put in what is on disk and has no row."""
        marks = await self._database.read(lookup.marks)
        known = await self._database.read(lookup.with_rows, candidates(contents.folder))
        replay = await waited_for(find, contents.folder, contents.segments, marks, known)
        for begin in range(0, len(replay.mails), _AT_ONCE):
            some = replay.mails[begin : begin + _AT_ONCE]
            arrivals = [Arrival(found.record, None, Kept(None, *(found.place or ()))) for found in some]
            for arrival, receipt in zip(arrivals, await self._database.change(self._put, arrivals), strict=True):
                if receipt.queue_id == arrival.id:
                    log.recovered(mail=arrival.id)
                else:
                    contents.drop(arrival.id, arrival.kept, arrival.record.size)
        await self._database.change(lookup.set_marks, replay.read_to)

    def close(self) -> None:
        """Finish what was begun, then end the threads."""
        self._batches.close()

    def _logged(self, mails: Sequence[_Mail]) -> Sequence[Arrival]:
        """In a thread: small mails to the log, where large ones would be in files by now. Raises OSError."""
        told = [(mail.record(), mail.content) for mail in mails]
        small = [(record, content.inline) for record, content in told if content.inline is not None]
        kept = iter(self._contents.append(small))
        return [Arrival(record, one, Kept() if one.inline is None else next(kept)) for record, one in told]

    def _written(self, arrivals: Sequence[Arrival]) -> Sequence[Answer]:
        """In the same thread, while the next one is at its log: the rows."""
        answers = together(self._database.journal, arrivals, partial(self._with_mark, arrivals[-1]))
        self._take_back(arrivals, answers)
        return answers

    def _with_mark(self, last: Arrival, connection: Connection, arrivals: Sequence[Arrival]) -> Sequence[Answer]:
        """The mark comes with the last mail of a batch: of commits that nobody syncs a power cut may leave some."""
        receipts = self._put(connection, arrivals)
        if arrivals[-1] is last:
            self._contents.mark(connection)
        announce(connection, Work.PREPARE)
        return [Answer(receipt) for receipt in receipts]

    def _put(self, connection: Connection, arrivals: Sequence[Arrival]) -> list[Receipt]:
        return intake.put(connection, self._contents, self._node, arrivals)

    def _take_back(self, arrivals: Sequence[Arrival], answers: Sequence[Answer]) -> None:
        """Leave nothing in the log of what got no row: the database refused it, or it is known."""
        if all(answer.error for answer in answers):
            if any(arrival.kept.place for arrival in arrivals):  # else what was appended last is of an earlier batch
                self._contents.cut_off()
            return
        for arrival, (receipt, error) in zip(arrivals, answers, strict=True):
            if arrival.kept.place and (error or receipt.queue_id != arrival.id):
                self._contents.blank(arrival.kept.place, arrival.record.size, whole=False)
