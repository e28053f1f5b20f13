"""The table `shared`: values that all nodes of a spool have in common, each under a name.

Functions of a connection; those that write are run by the writer.
"""

import secrets

from sqlalchemy import Connection, delete, select, update

from mail2fax.spool.database.schema import shared
from mail2fax.spool.database.sql import unless_known


def get(connection: Connection, name: str) -> str | None:
    """What stands under a name, if anything does."""
    value: str | None = connection.scalar(select(shared.c.value).where(shared.c.name == name))
    return value


def known(connection: Connection, name: str) -> str:
    """What surely stands under a name."""
    value: str = connection.scalars(select(shared.c.value).where(shared.c.name == name)).one()
    return value


def locked(connection: Connection, name: str) -> str | None:
    """The same; no other node gets to it before this transaction ends."""
    value: str | None = connection.scalar(select(shared.c.value).where(shared.c.name == name).with_for_update())
    return value


def add(connection: Connection, name: str, value: str) -> bool:
    """Write a value unless there is one. Whether there was none."""
    fresh = unless_known(connection, shared).returning(shared.c.name)  # an INSERT's rowcount is not told everywhere
    return connection.scalar(fresh, {"name": name, "value": value}) is not None


def put(connection: Connection, name: str, value: str) -> None:
    """Write a value over whatever stands there."""
    if not add(connection, name, value):
        connection.execute(update(shared).where(shared.c.name == name).values(value=value))


def remove(connection: Connection, name: str) -> bool:
    """Let nothing stand under a name. Whether something did."""
    return bool(connection.execute(delete(shared).where(shared.c.name == name)).rowcount)


def agreed(connection: Connection, name: str, fresh: str) -> str:
    """What stands under a name; `fresh` from now on, if nothing did."""
    add(connection, name, fresh)
    return known(connection, name)


def tried(connection: Connection) -> None:
    """Write, and leave nothing, to find out whether a mail could be accepted now."""
    name = f"tried {secrets.token_hex(8)}"
    add(connection, name, "")
    remove(connection, name)
