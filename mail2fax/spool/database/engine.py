"""The connections to the spool's database: SQLite for one node, PostgreSQL for several."""

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.pool import QueuePool

from mail2fax.config import ConfigError

LONGEST_WAL = 32_000  # pages of SQLite's WAL after which whoever commits copies it, should `checkpoint` not keep up
BUSY_SECONDS = 10  # how long SQLite waits for a command line tool that is writing


def open_engine(url: str, password: str = "") -> Engine:
    """An engine for `[spool] url`; nothing is connected yet."""
    target = make_url(url)
    if target.get_backend_name() == "sqlite":
        return _sqlite(target)
    if password:
        target = target.set(password=password)
    target = target.set(drivername="postgresql+psycopg")
    try:
        return _postgresql(target)
    except ModuleNotFoundError:
        raise ConfigError(
            ["[spool] url: PostgreSQL needs its driver, install it beside mail2fax: pip install 'psycopg[binary]'"]
        ) from None


def _postgresql(target: URL) -> Engine:
    engine = create_engine(
        target,
        pool_size=8,
        max_overflow=4,
        pool_pre_ping=True,
        paramstyle="format",  # parameters by their place, as SQLite's: what is compiled once serves both
        hide_parameters=True,
        connect_args={"connect_timeout": 10},
    )
    event.listen(engine, "handle_error", _give_up_what_only_reads)
    return engine


def _give_up_what_only_reads(context: ExceptionContext) -> None:
    """Drop connections that may not write: the next ones may, for the disk has room again, or the primary is another.

    A server that went read only for a while, or a primary that lives on as a standby, goes on answering questions on
    the connections that it has; SQLite opened while the disk was read only goes on reading.
    """
    error = context.original_exception
    sqlstate, code = getattr(error, "sqlstate", None) or "", getattr(error, "sqlite_errorcode", 0) or 0
    # https://www.postgresql.org/docs/current/errcodes-appendix.html: 25006 read_only_sql_transaction, 57P01 to 57P03
    # the server ends or begins. SQLite's codes have their kind in the lowest byte.
    if sqlstate == "25006" or sqlstate.startswith("57P0") or code & 0xFF == sqlite3.SQLITE_READONLY:
        context.is_disconnect = True


def sqlite_path(engine: Engine) -> Path | None:
    """The file of an SQLite spool; None for a database server."""
    return Path(engine.url.database or "spool.db") if engine.dialect.name == "sqlite" else None


def make_room(engine: Engine) -> None:
    """Make the folder and the file of an SQLite spool, for our eyes only."""
    path = sqlite_path(engine)
    if path:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.chmod(0o600)  # also one that somebody else made; SQLite gives its WAL the mode of the database


def _sqlite(target: URL) -> Engine:
    engine = create_engine(
        target,
        poolclass=QueuePool,
        pool_size=5,  # the writer, three readers, the checkpoints
        hide_parameters=True,  # the text of an error must not hold what a mail said
        connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS, "isolation_level": None},
    )

    event.listen(engine, "handle_error", _give_up_what_only_reads)

    @event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _record: Any) -> None:
        # FULL: a COMMIT stands behind an fsync of the WAL; for the writer's own connection `journal` sees to that.
        wal = f"wal_autocheckpoint={LONGEST_WAL}"
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON", wal):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        # Take the write lock at once where one will write: a later upgrade could fail half-way.
        mode = "DEFERRED" if connection.get_execution_options().get("reading") else "IMMEDIATE"
        connection.exec_driver_sql(f"BEGIN {mode}")

    return engine
