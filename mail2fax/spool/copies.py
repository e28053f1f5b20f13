"""A spool that was copied or restored: what waits in it may have been faxed already, by whoever has the original.

A spool remembers where it lives: on SQLite the machine and the file, on PostgreSQL the server's own number and the
database's. At home nothing happens; elsewhere everything that waits is held, once, until somebody has said which of the
two is to go on. A PostgreSQL whose files were copied is its original in every number that it tells (a standby that took
over is just that), so such a copy is not noticed.
"""

from functools import partial
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from mail2fax import log
from mail2fax.spool import operator
from mail2fax.spool.database import shared
from mail2fax.spool.database.database import Database
from mail2fax.spool.database.engine import sqlite_path
from mail2fax.spool.database.schema import faxes

HOLDER = "copied spool"  # who holds what waits in a copy
_HOME = "home"
_MACHINE = Path("/etc/machine-id")  # machine-id(5): one a machine, and the same after a restart


# https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-CONTROLDATA: initdb gives each server
# another number, which its base backups and standbys share; a database made anew, as by pg_restore, has its own oid.
_SERVER = text("SELECT system_identifier FROM pg_control_system()")
_DATABASE = text("SELECT oid FROM pg_database WHERE datname = current_database()")


async def settle_in(database: Database, *, adopt: bool) -> None:
    """Begin to serve a spool: at home, in a copy whose waiting faxes are held, or in one that is adopted."""
    here = partial(home, sqlite_path(database.engine))
    if adopt:
        log.adopted(released=len(await database.change(lambda connection: adopted(connection, here(connection)))))
    elif held := await database.change(lambda connection: hold_in_a_copy(connection, here(connection))):
        log.copied(held=len(held))


def home(file: Path | None, connection: Connection) -> str:
    """Where this spool is: the machine, as far as it has an id, and the file's number on its disk; or the server's."""
    if file is None:
        return _server(connection)
    try:
        machine = _MACHINE.read_text().strip()
    except OSError:
        machine = ""
    return f"{machine} {file.stat().st_ino}"


def _server(connection: Connection) -> str:
    """As a PostgreSQL tells it; "" where the administrator lets nobody ask."""
    try:
        with connection.begin_nested():
            return f"{connection.scalar(_SERVER)} {connection.scalar(_DATABASE)}"
    except DBAPIError:
        return ""


def hold_in_a_copy(connection: Connection, here: str) -> list[str]:
    """Hold what waits if this spool has come from elsewhere, and let it be at home here. The ids of what is held."""
    # Of nodes that start together the first one holds, and the others wait for it and are at home.
    known = shared.locked(connection, _HOME)
    if not here or known == here:
        return []
    shared.put(connection, _HOME, here)
    return [] if known is None else operator.hold(connection, operator.waiting(), HOLDER)


def adopted(connection: Connection, here: str) -> list[str]:
    """Let this spool be at home here, and what was held in a copy go on. The ids of what goes on."""
    if here:
        shared.put(connection, _HOME, here)
    return operator.release(connection, faxes.c.held_by == HOLDER, HOLDER)
