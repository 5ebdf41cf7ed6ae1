"""Tasks on their way to Redis: the table of pyasynq's outbox."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "pyasynq_outbox",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("queue", sa.String(255), nullable=False),
        sa.Column("type", sa.String(255), nullable=False),
        sa.Column("message", sa.LargeBinary(), nullable=False),
        sa.Column("lock_digest", sa.String(32), nullable=True),
        sa.Column("lock_ttl_s", sa.BigInteger(), nullable=True),
        sa.Column("at_s", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("seq", name="pk_pyasynq_outbox"),
        sqlite_autoincrement=True,
    )
    waits = sa.text("error IS NULL")
    op.create_index(
        "ix_pyasynq_outbox_waiting",
        "pyasynq_outbox",
        ["seq"],
        sqlite_where=waits,
        postgresql_where=waits,
    )


def downgrade() -> None:
    """Drop the table with the tasks that wait in it."""
    op.drop_table("pyasynq_outbox")
