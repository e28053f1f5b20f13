"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table: those that others refer to first."""
    _chunks()
    _deliveries()
    _events()
    _messages()
    _notices()
    _shared()
    _troubles()
    _documents()
    _faxes()


def _chunks() -> None:
    op.create_table(
        "chunks",
        sa.Column("owner", sa.String(length=40), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "n"),
    )


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("fax_id", sa.String(length=28), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("deliveries_at", "deliveries", ["at"], unique=False)


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("fax_id", sa.String(length=28), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("what", sa.String(length=20), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("events_fax", "events", ["fax_id"], unique=False)


def _messages() -> None:
    op.create_table(
        "messages",
        sa.Column("id", sa.String(length=20), nullable=False),
        sa.Column("received_at", sa.Double(), nullable=False),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("helo", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("reverse_path", sa.Text(), nullable=False),
        sa.Column("ret", sa.String(length=4), nullable=False),
        sa.Column("envid", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.Column("headers", sa.Text(), nullable=True),
        sa.Column("parts", sa.Text(), nullable=True),
        sa.Column("refused", sa.Text(), nullable=True),
        sa.Column("purged_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("messages_received", "messages", ["received_at"], unique=False)


def _notices() -> None:
    op.create_table(
        "notices",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("fax_id", sa.String(length=28), server_default="", nullable=False),
        sa.Column("message_id", sa.String(length=20), server_default="", nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("due_at", sa.Double(), nullable=True),
        sa.Column("lease", sa.String(length=64), server_default="", nullable=False),
        sa.Column("outcome", sa.String(length=16), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("notices_due", "notices", ["due_at"], unique=False)


def _shared() -> None:
    op.create_table(
        "shared",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )


def _troubles() -> None:
    op.create_table(
        "troubles",
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.Column("closed_until", sa.Double(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("line"),
    )


def _documents() -> None:
    op.create_table(
        "documents",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("message_id", sa.String(length=20), nullable=False),
        sa.Column("variant", sa.String(length=15), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("pages", sa.Integer(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.Column("preview", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("message_id", "variant", "position", name="documents_once"),
    )


def _faxes() -> None:
    op.create_table(
        "faxes",
        sa.Column("id", sa.String(length=28), nullable=False),
        sa.Column("message_id", sa.String(length=20), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("number", sa.String(length=15), nullable=False),
        sa.Column("cover", sa.Boolean(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("notify", sa.Text(), nullable=True),
        sa.Column("orcpt", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("submissions", sa.Integer(), server_default="0", nullable=False),
        sa.Column("due_at", sa.Double(), nullable=True),
        sa.Column("lease", sa.String(length=64), server_default="", nullable=False),
        sa.Column("received_at", sa.Double(), nullable=False),
        sa.Column("prepared_at", sa.Double(), nullable=True),
        sa.Column("submitted_at", sa.Double(), nullable=True),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.Column("replied_at", sa.Double(), nullable=True),
        sa.Column("reply", sa.String(length=16), server_default="", nullable=False),
        sa.Column("provider_ref", sa.Text(), server_default="", nullable=False),
        sa.Column("progress", sa.Text(), server_default="", nullable=False),
        sa.Column("document_id", sa.String(length=40), server_default="", nullable=False),
        sa.Column("pages", sa.Integer(), nullable=True),
        sa.Column("status", sa.String(length=12), server_default="", nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("held_by", sa.Text(), server_default="", nullable=False),
        sa.Column("retry_of", sa.String(length=28), server_default="", nullable=False),
        sa.Column("noticed_at", sa.Double(), nullable=True),
        sa.CheckConstraint(
            "(finished_at IS NOT NULL) = (state IN ('cancelled', 'delivered', 'failed', 'unknown'))",
            name="faxes_final_has_end",
        ),
        sa.CheckConstraint("held_by = '' OR due_at IS NULL OR lease <> ''", name="faxes_held_is_not_due"),
        sa.CheckConstraint("lease = '' OR due_at IS NOT NULL", name="faxes_lease_ends"),
        sa.CheckConstraint("state <> 'submitted' OR provider_ref <> ''", name="faxes_submitted_has_ref"),
        sa.CheckConstraint(
            "state IN ('received', 'prepared', 'submitting', 'submitted', 'delivered', 'failed', 'unknown', 'cancelled')",
            name="faxes_state",
        ),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("faxes_due", "faxes", ["state", "due_at"], unique=False)
    op.create_index("faxes_message", "faxes", ["message_id"], unique=False)
    op.create_index("faxes_number", "faxes", ["number", "received_at"], unique=False)
    op.create_index("faxes_received", "faxes", ["received_at"], unique=False)
    op.create_index("faxes_sender", "faxes", ["sender", "received_at"], unique=False)
    op.create_index(
        "faxes_undeliverable",
        "faxes",
        ["received_at"],
        unique=False,
        sqlite_where=sa.text("reply = 'undeliverable'"),
        postgresql_where=sa.text("reply = 'undeliverable'"),
    )
