"""The table of an outbox, for SQLAlchemy."""

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

from pyasynq.core.options import MAX_NAME
from pyasynq.outbox.rows import MD5_CHARACTERS, UUID_CHARACTERS


def make_table(name: str, metadata: MetaData) -> Table:
    """Return the table *name*, declared in *metadata*."""
    table = Table(
        name,
        metadata,
        Column("seq", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True),
        Column("id", String(UUID_CHARACTERS), nullable=False),
        Column("queue", String(MAX_NAME), nullable=False),
        Column("type", String(MAX_NAME), nullable=False),
        Column("message", LargeBinary, nullable=False),
        Column("lock_digest", String(MD5_CHARACTERS)),
        Column("lock_ttl_s", BigInteger),
        Column("at_s", BigInteger),
        Column("created_at", DateTime(timezone=True), nullable=False),
        Column("error", Text),
        sqlite_autoincrement=True,  # otherwise a new row could get the number of a deleted one
    )
    waiting = table.c.error.is_(None)
    Index(f"ix_{name}_waiting", table.c.seq, postgresql_where=waiting, sqlite_where=waiting)
    return table
