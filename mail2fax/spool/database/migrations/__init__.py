"""The spool's schema, step by step. Steps only add, so that an older node goes on working beside a newer one."""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0004"  # a test holds it against the newest file; it saves loading them all at every start


def current(connection: Connection) -> str:
    """The revision the database stands at; "" for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return connection.scalar(text("SELECT version_num FROM alembic_version")) or ""


def upgrade(engine: Engine) -> tuple[str, str]:
    """Bring the schema up to HEAD. The revision before, and after.

    A database that is newer than this program is left alone: an older node may go on beside a newer one.
    """
    with engine.connect() as connection:
        before = current(connection)
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
        command.upgrade(config, "head")
    return before, HEAD


def _config() -> "Config":
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config
