"""How far each log has its mails in rows, and the key that seals what is written to a log."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table and the key."""
    op.create_table(
        "logs",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("mark", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    shared = sa.table("shared", sa.column("name", sa.String()), sa.column("value", sa.Text()))
    op.bulk_insert(shared, [{"name": "log", "value": secrets.token_hex(32)}])
