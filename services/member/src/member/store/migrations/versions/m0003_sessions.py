"""Sessions, roles, and the request ids of sign-ups."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables; all existing members are ordinary members."""
    op.add_column(
        "members", sa.Column("role", sa.String(), nullable=False, server_default="member")
    )
    _make_sessions()
    _make_sign_ups()


def downgrade() -> None:
    """Drop the tables and the roles."""
    op.drop_table("sign_ups")
    op.drop_table("sessions")
    # Not as a batch: on SQLite that would drop the table, and with it all rows that refer to it.
    op.drop_column("members", "role")


def _make_sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("renewed_at", _INSTANT, nullable=False),
        sa.Column("expires_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.ForeignKeyConstraint(
            ["member_id"], ["members.id"], name="fk_sessions_member_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_sessions_member_id", "sessions", ["member_id"])
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"])


def _make_sign_ups() -> None:
    op.create_table(
        "sign_ups",
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("request_id", name="pk_sign_ups"),
        sa.ForeignKeyConstraint(
            ["member_id"], ["members.id"], name="fk_sign_ups_member_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_sign_ups_member_id", "sign_ups", ["member_id"])
    op.create_index("ix_sign_ups_created_at", "sign_ups", ["created_at"])
