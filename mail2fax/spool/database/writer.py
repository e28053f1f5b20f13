"""Threads that write, one at a time: each commits together whatever arrived while the last commit ran (group commit).

What comes in masses is written in masses: items that wait for the same bulk operation are handed to it together.

An operation is a function of a connection. Its future is set only after the commit that holds it is on disk, so
whoever awaits it may promise. Operations must be fit to run again, with ids made before and leases checked inside: when
one of a batch fails, the batch is rolled back and each is run alone.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection

from mail2fax.model import LeaseLost, Refused
from mail2fax.spool.database.journal import Journal

T = TypeVar("T")
Item = TypeVar("Item")
Operation = Callable[[Connection], T]
Bulk = Callable[[Connection, Sequence[Item]], Sequence[T]]  # an answer for each item, in order
BATCH = 256  # operations in one commit, about
# Raised before anything was written: the answer to one operation, no reason to undo its neighbours.
_ANSWERS = (LeaseLost, Refused)


class _Waiting(NamedTuple):
    """What somebody waits for: an operation, or an item for a bulk operation."""

    future: "asyncio.Future[Any]"
    loop: asyncio.AbstractEventLoop
    operation: Operation[Any] | None = None
    bulk: Bulk[Any, Any] | None = None
    item: Any = None


class Writer:
    """Runs operations in transactions, many to a commit."""

    def __init__(self, journal: Journal, threads: int) -> None:
        self._journal = journal
        self.after_commit: Callable[[], object] = _nothing  # called by the thread that committed
        self._arrived: list[_Waiting] = []  # in this turn of the event loop
        self._queue: SimpleQueue[list[_Waiting] | None] = SimpleQueue()
        self._threads = [threading.Thread(target=self._run, name=f"writer-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    async def do(self, operation: Operation[T]) -> T:
        """Run the operation; back once its commit is on disk. Raises what it raised, or the database's error.

        Whoever awaits may be cancelled: the operation is carried out all the same.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._add(_Waiting(future, loop, operation))
        return await future

    async def do_with_others(self, bulk: Bulk[Item, T], item: Item) -> T:
        """As `do`, but whatever waits for the same bulk operation by then is written by one call of it."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._add(_Waiting(future, loop, bulk=bulk, item=item))
        return await future

    def _add(self, waiting: _Waiting) -> None:
        """What comes in one turn of the event loop is handed over together: each time wakes a thread."""
        self._arrived.append(waiting)
        if len(self._arrived) == 1:
            waiting.loop.call_soon(self._hand_over)

    def _hand_over(self) -> None:
        arrived, self._arrived = self._arrived, []
        if arrived:
            self._queue.put(arrived)

    def close(self) -> None:
        """Finish what was asked for, then end the threads."""
        self._hand_over()
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while self._round():
            pass

    def _round(self) -> bool:
        """One batch. False at the end. Nothing of it is kept: what waits for the next may wait long."""
        answers = self._next()
        if answers is None:
            return False
        _settle(self._synced(answers))
        self.after_commit()
        return True

    def _next(self) -> list["_Answer"] | None:
        """Wait for work and write it; None at the end. Nobody takes work who cannot write it at once."""
        with self._journal.lead:
            if (first := self._queue.get()) is None:
                return None
            with self._journal.turn:
                return self._committed(self._batch(first))

    def _batch(self, batch: list[_Waiting]) -> list[_Waiting]:
        """These, and whatever has arrived until now."""
        with contextlib.suppress(Empty):
            while len(batch) < BATCH:
                arrived = self._queue.get_nowait()
                if arrived is None:
                    self._queue.put(None)  # for this thread's own next round, after the batch
                    break
                batch += arrived
        return batch

    def _committed(self, batch: list[_Waiting]) -> list["_Answer"]:
        begun = False
        try:
            with self._journal.transaction() as connection:
                begun = True
                return [*_in_bulk(batch, connection), *_one_by_one(batch, connection)]
        except BaseException as error:  # noqa: BLE001 -- whatever it is, somebody waits for the answer
            if len(batch) == 1 or not begun:
                # A database that cannot be had is nobody's fault among them, and not asked again for each.
                return [_Answer(waiting, None, error) for waiting in batch]
        return [answer for waiting in batch for answer in self._committed([waiting])]

    def _synced(self, answers: list["_Answer"]) -> list["_Answer"]:
        if all(answer.error for answer in answers):
            return answers  # nothing was written
        try:
            self._journal.sync()
        except Exception as error:  # noqa: BLE001 -- as above
            return [_Answer(answer.waiting, None, error) for answer in answers]
        return answers


def _nothing() -> None:
    pass


class _Answer(NamedTuple):
    waiting: _Waiting
    result: Any
    error: BaseException | None = None


def _in_bulk(batch: list[_Waiting], connection: Connection) -> Iterator[_Answer]:
    together: dict[Bulk[Any, Any], list[_Waiting]] = {}
    for waiting in batch:
        if waiting.bulk:
            together.setdefault(waiting.bulk, []).append(waiting)
    for bulk, waitings in together.items():
        results = bulk(connection, [waiting.item for waiting in waitings])
        yield from (_Answer(waiting, result) for waiting, result in zip(waitings, results, strict=True))


def _one_by_one(batch: list[_Waiting], connection: Connection) -> Iterator[_Answer]:
    for waiting in batch:
        if waiting.operation:
            try:
                yield _Answer(waiting, waiting.operation(connection))
            except _ANSWERS as answer:
                yield _Answer(waiting, None, answer)


def _settle(answers: list[_Answer]) -> None:
    loops: dict[asyncio.AbstractEventLoop, list[_Answer]] = {}
    for answer in answers:
        loops.setdefault(answer.waiting.loop, []).append(answer)
    for loop, theirs in loops.items():
        # A closed loop has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_tell, theirs)


def _tell(answers: list[_Answer]) -> None:
    for answer in answers:
        future = answer.waiting.future
        if future.done():  # whoever waited was cancelled
            continue
        if answer.error is None:
            future.set_result(answer.result)
        else:
            future.set_exception(answer.error)
