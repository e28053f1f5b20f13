"""What Alembic runs: migrate on the connection that `upgrade` was given."""

from alembic import context

from mail2fax.spool.database.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
