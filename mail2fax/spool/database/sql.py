"""What both databases are told in words of their own, and the clock that they tell."""

from functools import cache
from typing import Any

from sqlalchemy import Connection, Insert, Select, Table, type_coerce
from sqlalchemy.dialects import sqlite

from mail2fax.spool.database.schema import Moment, now

CLOCK = type_coerce(now(), Moment()).label("clock")


def for_change(connection: Connection, query: Select[Any]) -> Select[Any]:
    """The query of something that may be changed: locked, unless this is but a question, which waits for nobody."""
    return query if connection.get_execution_options().get("reading") else query.with_for_update()


def unless_known(connection: Connection, table: Table) -> Insert:
    """An insert that passes over rows whose key is there already, in the database's own dialect."""
    return _unless_known(connection.dialect.name, table)


# Built once for each table: that takes longer than running it.
@cache
def _unless_known(dialect: str, table: Table) -> Insert:
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415 -- takes a while, and most have SQLite

        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()
