"""A spool that was copied or restored: what waits in it may have been faxed already, by whoever has the original.

An SQLite spool remembers where it lives: the machine and the file. At home nothing happens; elsewhere everything that
waits is held, once, until somebody has said which of the two is to go on.
"""

from pathlib import Path

from sqlalchemy import Connection, delete, insert, select

from mail2fax import log
from mail2fax.spool import operator
from mail2fax.spool.database.database import Database
from mail2fax.spool.database.engine import sqlite_path
from mail2fax.spool.database.schema import faxes, shared

HOLDER = "copied spool"  # who holds what waits in a copy
_HOME = "home"
_MACHINE = Path("/etc/machine-id")  # machine-id(5): one a machine, and the same after a restart


def home(file: Path) -> str:
    """Where this file is: the machine, as far as it has an id, and the file's number on its disk."""
    try:
        machine = _MACHINE.read_text().strip()
    except OSError:
        machine = ""
    return f"{machine} {file.stat().st_ino}"


async def settle_in(database: Database, *, adopt: bool) -> None:
    """Begin to serve an SQLite spool: at home, in a copy whose waiting faxes are held, or in one that is adopted."""
    file = sqlite_path(database.engine)
    assert file is not None
    if adopt:
        log.adopted(released=len(await database.change(adopted, home(file))))
    elif held := await database.change(hold_in_a_copy, home(file)):
        log.copied(held=len(held))


def hold_in_a_copy(connection: Connection, here: str) -> list[str]:
    """Hold what waits if this spool has come from elsewhere, and let it be at home here. The ids of what is held."""
    known: str | None = connection.scalar(select(shared.c.value).where(shared.c.name == _HOME))
    _move_in(connection, here)
    return [] if known in {None, here} else operator.hold(connection, operator.waiting(), HOLDER)


def adopted(connection: Connection, here: str) -> list[str]:
    """Let this spool be at home here, and what was held in a copy go on. The ids of what goes on."""
    _move_in(connection, here)
    return operator.release(connection, faxes.c.held_by == HOLDER, HOLDER)


def _move_in(connection: Connection, here: str) -> None:
    connection.execute(delete(shared).where(shared.c.name == _HOME))
    connection.execute(insert(shared).values(name=_HOME, value=here))
