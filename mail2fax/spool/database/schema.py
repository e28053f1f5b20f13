"""The spool's tables.

Moments are seconds since 1970 by the database's own clock: `now()` is the only clock that leases and due
times know, so that nodes with clocks apart agree. The CHECK constraints refuse rows that no state allows.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

from mail2fax.model import FINAL, State


class now(FunctionElement[float]):  # noqa: N801 -- reads as the SQL function it is
    """The database's clock, in seconds since 1970."""

    inherit_cache = True
    type: TypeEngine[float] = Double()


@compiles(now, "sqlite")
def _now_sqlite(_element: Any, _compiler: Any, **_options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(now, "postgresql")
def _now_postgresql(_element: Any, _compiler: Any, **_options: Any) -> str:
    # Not now(): that one stands still in a transaction, and the writer's transactions hold many steps.
    return "CAST(extract(epoch FROM clock_timestamp()) AS double precision)"


class Moment(TypeDecorator[datetime]):
    """A moment: aware UTC in Python, seconds since 1970 in the database."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> float | None:  # noqa: ARG002 -- SQLAlchemy's signature
        """Accept aware datetimes and plain seconds."""
        return value.timestamp() if isinstance(value, datetime) else value

    def process_result_value(self, value: float | None, dialect: Any) -> datetime | None:  # noqa: ARG002
        """Give aware UTC."""
        return None if value is None else datetime.fromtimestamp(value, UTC)


metadata = MetaData()

_states = ", ".join(f"'{state}'" for state in State)
_final = ", ".join(f"'{state}'" for state in sorted(FINAL))

messages = Table(
    "messages",
    metadata,
    Column("id", String(20), primary_key=True),
    Column("received_at", Moment, nullable=False),
    Column("client", Text, nullable=False),
    Column("helo", Text, nullable=False),
    Column("user", Text, nullable=False),
    Column("reverse_path", Text, nullable=False),
    Column("ret", String(4), nullable=False),
    Column("envid", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("content", LargeBinary),  # on PostgreSQL, if it is small; NULL once purged
    Column("headers", Text),  # JSON, once prepared
    Column("parts", Text),  # JSON, once prepared
    Column("refused", Text),  # JSON {reason, status, detail}: why no document could be made of it
    Column("purged_at", Moment),  # when its content and documents were deleted
    Column("segment", String(32)),  # the log beside an SQLite database in which its content is, and
    Column("start", BigInteger),  # the byte at which it begins there
    Index("messages_received", "received_at"),
)

faxes = Table(
    "faxes",
    metadata,
    Column("id", String(28), primary_key=True),
    Column("message_id", String(20), ForeignKey("messages.id"), nullable=False),
    Column("sender", Text, nullable=False),  # the message's reverse-path, for budgets and holds
    Column("recipient", Text, nullable=False),
    Column("number", String(15), nullable=False),
    Column("cover", Boolean, nullable=False),
    Column("line", Text, nullable=False),
    Column("notify", Text),
    Column("orcpt", Text, nullable=False),
    Column("state", String(12), nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("submissions", Integer, nullable=False, server_default="0"),
    Column("due_at", Moment),  # NULL: nobody must act. While leased: when the lease ends
    Column("lease", String(64), nullable=False, server_default=""),  # who is acting; "" when nobody is
    Column("received_at", Moment, nullable=False),
    Column("prepared_at", Moment),
    Column("submitted_at", Moment),
    Column("finished_at", Moment),
    Column("replied_at", Moment),
    Column("reply", String(16), nullable=False, server_default=""),
    Column("provider_ref", Text, nullable=False, server_default=""),
    Column("progress", Text, nullable=False, server_default=""),
    Column("document_id", String(40), nullable=False, server_default=""),
    Column("pages", Integer),
    Column("status", String(12), nullable=False, server_default=""),
    Column("reason", String(40)),
    Column("detail", Text),  # JSON
    Column("held_by", Text, nullable=False, server_default=""),
    Column("retry_of", String(28), nullable=False, server_default=""),
    Column("noticed_at", Moment),
    CheckConstraint(f"state IN ({_states})", name="faxes_state"),
    CheckConstraint("state <> 'submitted' OR provider_ref <> ''", name="faxes_submitted_has_ref"),
    CheckConstraint(f"(finished_at IS NOT NULL) = (state IN ({_final}))", name="faxes_final_has_end"),
    CheckConstraint("held_by = '' OR due_at IS NULL OR lease <> ''", name="faxes_held_is_not_due"),
    CheckConstraint("lease = '' OR due_at IS NOT NULL", name="faxes_lease_ends"),
    Index("faxes_due", "state", "due_at"),
    Index("faxes_message", "message_id"),
    Index("faxes_sender", "sender", "received_at"),
    Index("faxes_number", "number", "received_at"),
    Index("faxes_received", "received_at"),
    Index("faxes_ref", "provider_ref"),
    # Few of many: the status page counts them at every look. The migration gives it the same `where` on PostgreSQL,
    # whose dialect would be loaded to say so here.
    Index("faxes_undeliverable", "received_at", sqlite_where=text("reply = 'undeliverable'")),
)

events = Table(
    "events",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("fax_id", String(28), nullable=False),
    Column("at", Moment, nullable=False),
    Column("what", String(20), nullable=False),
    Column("who", Text, nullable=False),
    Column("detail", Text),  # JSON
    Index("events_fax", "fax_id"),
)

documents = Table(
    "documents",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("message_id", String(20), ForeignKey("messages.id"), nullable=False),
    Column("variant", String(15), nullable=False),  # the number its cover page names, or ""
    Column("position", Integer, nullable=False),  # 1, 2, … when several = "separate"
    Column("pages", Integer, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("content", LargeBinary),
    Column("preview", LargeBinary),  # PNG
    UniqueConstraint("message_id", "variant", "position", name="documents_once"),
)

# Contents over incoming.INLINE bytes on PostgreSQL, where nodes share nothing but the database.
chunks = Table(
    "chunks",
    metadata,
    Column("owner", String(40), primary_key=True),
    Column("n", Integer, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)

# RFC 5321 section 6.1 lets a client that lost our 250 send again: the same bytes are faxed once.
deliveries = Table(
    "deliveries",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("fax_id", String(28), nullable=False),
    Column("at", Moment, nullable=False),
    Index("deliveries_at", "at"),
)

# A fax line the provider does not take faxes on now; no row means it does.
troubles = Table(
    "troubles",
    metadata,
    Column("line", Text, primary_key=True),
    Column("kind", String(16), nullable=False),  # "held", "no-credit", "busy" or "unreachable"
    Column("failures", Integer, nullable=False),
    Column("since", Moment, nullable=False),
    Column("closed_until", Moment, nullable=False),
    Column("note", Text, nullable=False),
)

notices = Table(
    "notices",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("kind", String(12), nullable=False),
    Column("recipient", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("fax_id", String(28), nullable=False, server_default=""),
    Column("message_id", String(20), nullable=False, server_default=""),
    Column("detail", Text),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("due_at", Moment),
    Column("lease", String(64), nullable=False, server_default=""),
    Column("outcome", String(16), nullable=False, server_default=""),  # "sent" or "undeliverable"
    Index("notices_due", "due_at"),
)

# Mail that was refused at the door: no more than some thousand rows, none older than a week.
turned_away = Table(
    "turned_away",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("at", Moment, nullable=False),
    Column("client", Text, nullable=False),
    Column("user", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Index("turned_away_at", "at"),
)

# How far each log beside an SQLite database has its mails in `messages`: what lies behind is looked at by a start.
logs = Table(
    "logs",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("mark", BigInteger, nullable=False),
)

# Values that all nodes share, such as the key that signs resend addresses.
shared = Table(
    "shared",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("value", Text, nullable=False),
)
