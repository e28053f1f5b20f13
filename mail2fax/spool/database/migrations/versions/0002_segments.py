"""Mails whose content is in a file that mails share."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a content's place."""
    op.add_column("messages", sa.Column("segment", sa.String(length=32), nullable=True))
    op.add_column("messages", sa.Column("start", sa.BigInteger(), nullable=True))
