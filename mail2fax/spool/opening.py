"""A spool is opened, made, brought up to date: everything that is asked before there is one."""

import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from sqlalchemy import Engine

from mail2fax.config import Settings, naming
from mail2fax.spool.contents import Contents
from mail2fax.spool.contents.folder import FolderContents
from mail2fax.spool.contents.table import TableContents
from mail2fax.spool.database import migrations, shared
from mail2fax.spool.database.database import Database
from mail2fax.spool.database.engine import make_room, open_engine, sqlite_path
from mail2fax.spool.database.lock import only_one, taken
from mail2fax.spool.database.threads import waited_for
from mail2fax.spool.database.unavailable import mapped
from mail2fax.spool.spool import Spool


@contextlib.asynccontextmanager
async def open_spool(
    settings: Settings, *, serving: bool = False, node: str = "", adopt: bool = False
) -> AsyncIterator[Spool]:
    """Open the spool and bring its schema up to date; to serve, be the only one on an SQLite file.

    `adopt`: serve what waits in a copied spool, too.

    Raises Busy when another node serves it, and SpoolUnavailable when the database cannot be reached.
    """
    with _engine(settings) as engine, contextlib.ExitStack() as stack:
        path = sqlite_path(engine)
        if path and serving:
            lock = _lock_beside(path)
            with naming(f"{settings.spool.place('url')}: {lock}"):
                stack.enter_context(only_one(lock))
        await waited_for(_migrated, engine)
        spool = Spool(settings, Database(engine, settings.spool.lease), _open_contents(engine), node or _this_process())
        stack.callback(spool.close)
        if serving:
            await spool.take_over(adopt=adopt)
        yield spool


def database_file(settings: Settings) -> Path | None:
    """The file of an SQLite spool; None where a server keeps it."""
    with _engine(settings, make=False) as engine:
        return sqlite_path(engine)


def is_served(settings: Settings) -> bool:
    """Whether a node serves this spool now, as far as can be known: of those that share a database nothing is."""
    path = database_file(settings)
    if path is None:
        return True
    with naming(f"{settings.spool.place('url')}: {path}"):
        return taken(_lock_beside(path))


def _lock_beside(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def migrate(settings: Settings) -> tuple[str, str]:
    """Bring the schema up to date. Its revision before ("" for none), and now. Raises SpoolUnavailable."""
    with _engine(settings) as engine:
        return _migrated(engine)


def revision(settings: Settings) -> str:
    """The revision of the schema, "" for none. Nothing is made. Raises SpoolUnavailable."""
    with _engine(settings, make=False) as engine:
        path = sqlite_path(engine)
        if path and not path.exists():
            return ""
        with mapped(), engine.connect() as connection:
            return migrations.current(connection)


def _migrated(engine: Engine) -> tuple[str, str]:
    with mapped():
        return migrations.upgrade(engine)


@contextlib.contextmanager
def _engine(settings: Settings, *, make: bool = True) -> Iterator[Engine]:
    engine = open_engine(settings.spool.url, settings.spool.password.get_secret_value())
    try:
        if make:
            with naming(f"{settings.spool.place('url')}: {engine.url.database}"):
                make_room(engine)
        yield engine
    finally:
        engine.dispose()


def _open_contents(engine: Engine) -> Contents:
    path = sqlite_path(engine)
    if path:
        with mapped(), engine.connect() as connection:
            key = shared.known(connection, "log")
        return FolderContents(path.with_name(path.name + ".contents"), bytes.fromhex(key))
    return TableContents(engine, Path(tempfile.mkdtemp(prefix="mail2fax-")))


def _this_process() -> str:
    return f"{os.uname().nodename}:{os.getpid()}"
