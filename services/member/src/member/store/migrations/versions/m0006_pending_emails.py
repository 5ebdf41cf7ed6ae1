"""Addresses that wait until they are verified, and security notices."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create column and table; no address waits so far."""
    op.add_column("members", sa.Column("pending_email", sa.String(), nullable=True))
    op.create_index("ix_members_pending_email", "members", ["pending_email"])
    op.create_table(
        "notices",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("sent_at", _INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_notices"),
        sa.ForeignKeyConstraint(
            ["member_id"], ["members.id"], name="fk_notices_member_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_notices_member_id", "notices", ["member_id"])
    op.create_index("ix_notices_created_at", "notices", ["created_at"])


def downgrade() -> None:
    """Drop both; members keep their present address."""
    op.drop_table("notices")
    op.drop_index("ix_members_pending_email", "members")
    op.drop_column("members", "pending_email")
