"""An insert of many rows in few statements.

An accepted mail is four such inserts, and nothing stands before a 250 but them and one sync. SQLAlchemy builds a
statement anew for each number of rows, which takes four times as long as running it; and after each statement of the
writer's thread the event loop takes its turn. So the rows go in groups of a few fixed numbers, whose statements are
kept.
"""

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Double, Insert, bindparam, func
from sqlalchemy.exc import DBAPIError

from mail2fax.spool.database.schema import now

_AT_ONCE = (32, 16, 8, 4, 2, 1)  # rows of one statement


class BulkInsert:
    """Compiles each statement once and hands it to the driver itself."""

    def __init__(
        self, make: Callable[[Connection], Insert], stamped: Sequence[str], *columns: str, moment: str = ""
    ) -> None:
        """`columns` in the order of the table and of the rows.

        `stamped` are further ones, which hold the present moment; in `moment`, one of the columns, None stands for it.
        """
        self._make = make
        self._stamped = stamped
        self._moment = moment
        self._columns = columns
        self._compiled: dict[tuple[str, int], str] = {}  # by the database's dialect, and the number of rows

    def insert(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> int:
        """Write the rows. How many were written."""
        written = done = 0
        cursor = connection.connection.cursor()
        while done < len(rows):
            count = next(count for count in _AT_ONCE if count <= len(rows) - done)
            statement = self._statement(connection, count)
            try:
                cursor.execute(statement, tuple(chain.from_iterable(rows[done : done + count])))
            except connection.dialect.loaded_dbapi.Error as error:
                raise DBAPIError(statement, None, error, hide_parameters=True) from error
            written += cursor.rowcount
            done += count
        cursor.close()
        return written

    def _statement(self, connection: Connection, count: int) -> str:
        key = connection.dialect.name, count
        if key not in self._compiled:
            self._compiled[key] = self._compile(connection, count)
        return self._compiled[key]

    def _compile(self, connection: Connection, count: int) -> str:
        moments = {name: now() for name in self._stamped}
        names = [[f"{name}_{n}" for name in self._columns] for n in range(count)]
        rows: list[dict[str, Any]] = [
            dict(zip(self._columns, map(self._value, self._columns, row), strict=True)) | moments for row in names
        ]
        compiled = self._make(connection).values(rows).compile(connection)
        assert compiled.positiontup == list(chain.from_iterable(names))
        return str(compiled)

    def _value(self, column: str, name: str) -> Any:
        if column == self._moment:
            return func.coalesce(bindparam(name, type_=Double()), now())
        return bindparam(name)
