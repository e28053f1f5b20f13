"""Faxes are found by the provider's reference: when it calls back, and when it gives one twice."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    op.create_index("faxes_ref", "faxes", ["provider_ref"])
