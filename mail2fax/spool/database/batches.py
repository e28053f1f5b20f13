"""Group commit: threads that together write whatever arrived while the last batch was on its way to the disk.

Whoever asks is told only after that: so whoever awaits an answer may promise.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Generic, NamedTuple, TypeVar

from sqlalchemy import Connection

from mail2fax.spool.database.journal import Journal, Turn

Item = TypeVar("Item")
Begun = TypeVar("Begun")
BATCH = 256  # items in one batch, about


class Answer(NamedTuple):
    """What becomes of one item: a result, or an error."""

    result: Any
    error: BaseException | None = None


class _Waiting(NamedTuple):
    future: "asyncio.Future[Any]"
    item: Any


class Batches(Generic[Item, Begun]):
    """Threads that each work at one batch at a time."""

    def __init__(
        self,
        name: str,
        threads: int,
        lead: Turn,
        first: Callable[[Sequence[Item]], Begun],
        then: Callable[[Begun], Sequence[Answer]],
    ) -> None:
        """`first` is done while nobody else takes a batch (`lead`); `then` beside the next one, with what it gave.

        The end of it is an answer for each item, in their order.
        """
        self._lead = lead
        self._first = first
        self._then = then
        self._arrived: list[_Waiting] = []  # in this turn of the event loop
        self._queue: SimpleQueue[list[_Waiting] | None] = SimpleQueue()
        self._threads = [threading.Thread(target=self._run, name=f"{name}-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    async def do(self, item: Item) -> Any:
        """Have the item written. Its result; raises its error.

        Whoever awaits may be cancelled: it is carried out all the same.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(loop.create_future(), item)
        self._arrived.append(waiting)
        if len(self._arrived) == 1:
            # What comes in one turn of the event loop is handed over together: each time wakes a thread.
            loop.call_soon(self._hand_over)
        return await waiting.future

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
        with self._lead:
            if (arrived := self._queue.get()) is None:
                return False
            batch = self._batch(arrived)
            then = self._begun([waiting.item for waiting in batch])
        _tell(batch, _safely(then, len(batch)))
        return True

    def _begun(self, items: Sequence[Item]) -> Callable[[], Sequence[Answer]]:
        """Do what comes first. What is left to do."""
        try:
            begun = self._first(items)
        except BaseException as error:  # noqa: BLE001 -- whatever it is, somebody waits for the answer
            return partial(_all_alike, error, len(items))
        return partial(self._then, begun)

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


def _all_alike(error: BaseException, count: int) -> list[Answer]:
    return [Answer(None, error)] * count


def _safely(work: Callable[[], Sequence[Answer]], count: int) -> Sequence[Answer]:
    try:
        return work()
    except BaseException as error:  # noqa: BLE001 -- as above
        return _all_alike(error, count)


def together(
    journal: Journal, items: Sequence[Item], write: Callable[[Connection, Sequence[Item]], Sequence[Answer]]
) -> list[Answer]:
    """Write all in one transaction; should it fail, each in one of its own. `write` must be fit to run again."""
    begun = False
    try:
        with journal.transaction() as connection:
            begun = True
            return list(write(connection, items))
    except BaseException as error:  # noqa: BLE001 -- as above
        if len(items) == 1 or not begun:
            # A database that cannot be had is nobody's fault among them, and not asked again for each.
            return [Answer(None, error)] * len(items)
    return [answer for item in items for answer in together(journal, [item], write)]


def _tell(batch: Sequence[_Waiting], answers: Sequence[Answer]) -> None:
    told = [(waiting.future, answer) for waiting, answer in zip(batch, answers, strict=True)]
    # A closed loop has nobody left who waits.
    with contextlib.suppress(RuntimeError):
        batch[0].future.get_loop().call_soon_threadsafe(_told, told)


def _told(answers: Sequence[tuple["asyncio.Future[Any]", Answer]]) -> None:
    for future, (result, error) in answers:
        if future.done():  # whoever waited was cancelled
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
