"""Operations on the database, many to a commit.

An operation is a function of a connection. Its answer is given only after the commit that holds it is on disk. It must
be fit to run again, with ids made before and leases checked inside: when one of a batch fails, the batch is rolled back
and each is run alone.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection

from mail2fax.model import LeaseLost, Refused
from mail2fax.spool.database.batches import Answer, Batches, together
from mail2fax.spool.database.journal import Journal

T = TypeVar("T")
Operation = Callable[[Connection], T]
# Raised before anything was written: the answer to one operation, no reason to undo its neighbours.
_ANSWERS = (LeaseLost, Refused)


class Writer:
    """Runs operations in transactions."""

    def __init__(self, journal: Journal, threads: int) -> None:
        self._journal = journal
        # Nobody takes work who cannot write it at once.
        self._batches: Batches[Operation[Any], Sequence[Answer]]
        self._batches = Batches("writer", threads, journal.lead, self._committed, self._synced)

    async def do(self, operation: Operation[T]) -> T:
        """Run the operation; back once its commit is on disk. Raises what it raised, or the database's error."""
        result: T = await self._batches.do(operation)
        return result

    def close(self) -> None:
        """Finish what was asked for, then end the threads."""
        self._batches.close()

    def _committed(self, operations: Sequence[Operation[Any]]) -> Sequence[Answer]:
        return together(self._journal, operations, _run)

    def _synced(self, answers: Sequence[Answer]) -> Sequence[Answer]:
        if all(answer.error for answer in answers):
            return answers  # nothing was written
        self._journal.sync()
        return answers


def _run(connection: Connection, operations: Sequence[Operation[Any]]) -> list[Answer]:
    return [_answer(connection, operation) for operation in operations]


def _answer(connection: Connection, operation: Operation[Any]) -> Answer:
    try:
        return Answer(operation(connection))
    except _ANSWERS as answer:
        return Answer(None, answer)
