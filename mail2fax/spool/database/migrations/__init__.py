"""The spool's schema, step by step.

Steps only add, so that on PostgreSQL an older node goes on working beside a newer one. An SQLite file has one node, and
logs beside it that an older program does not know: it is refused to those. The first versions took every schema newer
than theirs for one that they can serve, so that the revision stands in an SQLite file under a name which is older than
any for them, and none that they can find.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text

from mail2fax.model import Refused

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0005"  # a test holds it against the newest file; it saves loading them all at every start
_FOR_OLDER = "0000 a newer mail2fax, "


def current(connection: Connection) -> str:
    """The revision the database stands at; "" for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    stands: str = connection.scalar(text("SELECT version_num FROM alembic_version")) or ""
    return stands.removeprefix(_FOR_OLDER)


def upgrade(engine: Engine) -> tuple[str, str]:
    """Bring the schema up to HEAD. The revision before, and after.

    A database server that is newer than this program is left alone. Raises Refused for an SQLite file that is.
    """
    with engine.connect() as connection:
        before = current(connection)
    if before > HEAD and engine.dialect.name == "sqlite":
        raise Refused(
            f"[spool] url: a newer mail2fax has written this spool (schema {before}, this program knows {HEAD}): "
            "start the newer one, or restore the backup that was made before the upgrade"
        )
    if before >= HEAD:
        return before, before
    # Here, since most starts find the schema as it should be, and Alembic takes a moment to load.
    from alembic import command  # noqa: PLC0415

    config = _config()
    with engine.begin() as connection:
        # Two nodes that start at once: the second waits here and then finds nothing to do.
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(6474959659)"))
        config.attributes["connection"] = connection
        _stand_at(connection, before)
        command.upgrade(config, "head")
        if connection.dialect.name == "sqlite":
            _stand_at(connection, _FOR_OLDER + HEAD)
    return before, HEAD


def _stand_at(connection: Connection, revision: str) -> None:
    if revision:
        connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


def _config() -> "Config":
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config
