"""One thread that writes: it commits together whatever arrived while the last commit ran (group commit).

An operation is a function of a connection. Its future is set only after the commit that holds it, so whoever
awaits it may promise. Operations must be fit to run again, with ids made before and leases checked inside: when
one of a batch fails, the batch is rolled back and each is run alone.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

from mail2fax.model import LeaseLost, Refused

T = TypeVar("T")
Operation = Callable[[Connection], T]
_Waiting = tuple[Operation[Any], "asyncio.Future[Any]", asyncio.AbstractEventLoop]

BATCH = 256  # operations in one commit at most
# Raised before anything was written: the answer to one operation, no reason to undo its neighbours.
_ANSWERS = (LeaseLost, Refused)


class Writer:
    """Runs operations in transactions, many to a commit."""

    def __init__(self, engine: Engine, threads: int = 1) -> None:
        self._engine = engine
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._threads = [threading.Thread(target=self._run, name=f"writer-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    async def do(self, operation: Operation[T]) -> T:
        """Run the operation; back once its commit is on disk. Raises what it raised, or the database's error.

        Whoever awaits may be cancelled: the operation is carried out all the same.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._queue.put((operation, future, loop))
        return await future

    def close(self) -> None:
        """Finish what was asked for, then end the threads."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = [first]
            with contextlib.suppress(Empty):
                while len(batch) < BATCH:
                    waiting = self._queue.get_nowait()
                    if waiting is None:
                        self._queue.put(None)  # for this thread's own next round, after the batch
                        break
                    batch.append(waiting)
            self._commit(batch)

    def _commit(self, batch: list[_Waiting]) -> None:
        try:
            with self._engine.begin() as connection:
                outcomes = [_outcome(operation, connection) for operation, _, _ in batch]
        except BaseException as error:  # noqa: BLE001 -- whatever it is, somebody waits for the answer
            if len(batch) == 1:
                outcomes = [(None, error)]
            else:
                for waiting in batch:
                    self._commit([waiting])
                return
        _settle(batch, outcomes)


def _outcome(operation: Operation[Any], connection: Connection) -> tuple[Any, BaseException | None]:
    try:
        return operation(connection), None
    except _ANSWERS as answer:
        return None, answer


def _settle(batch: list[_Waiting], outcomes: list[tuple[Any, BaseException | None]]) -> None:
    loops: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any, BaseException | None]]] = {}
    for (_, future, loop), (result, error) in zip(batch, outcomes, strict=True):
        loops.setdefault(loop, []).append((future, result, error))
    for loop, answers in loops.items():
        # A closed loop has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_answer, answers)


def _answer(answers: list[tuple[asyncio.Future[Any], Any, BaseException | None]]) -> None:
    for future, result, error in answers:
        if future.done():  # whoever waited was cancelled
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
