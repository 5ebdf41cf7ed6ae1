"""Mails to members who forgot the password."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "password_resets",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("expires_at", _INSTANT, nullable=False),
        sa.Column("sent_at", _INSTANT, nullable=True),
        sa.Column("used_at", _INSTANT, nullable=True),
        sa.Column("replaced_at", _INSTANT, nullable=True),
        sa.Column("wrong_attempts", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_password_resets"),
        sa.ForeignKeyConstraint(
            ["member_id"], ["members.id"], name="fk_password_resets_member_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_password_resets_member_id", "password_resets", ["member_id"])
    counts = sa.text("replaced_at IS NULL")
    op.create_index(
        "uq_password_resets_current",
        "password_resets",
        ["member_id"],
        unique=True,
        sqlite_where=counts,
        postgresql_where=counts,
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("password_resets")
