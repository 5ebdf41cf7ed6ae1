"""Members and their verification mails."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create both tables."""
    _make_members()
    _make_verifications()
    _make_indexes()


def downgrade() -> None:
    """Drop both tables."""
    op.drop_table("verifications")
    op.drop_table("members")


def _make_members() -> None:
    op.create_table(
        "members",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("membername", sa.String(), nullable=False),
        sa.Column("full_name", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("password_hash", sa.String(), nullable=False),
        sa.Column("locale", sa.String(), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("email_verified_at", _INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_members"),
        sa.UniqueConstraint("membername", name="uq_members_membername"),
        sa.UniqueConstraint("email", name="uq_members_email"),
    )


def _make_verifications() -> None:
    op.create_table(
        "verifications",
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
        sa.PrimaryKeyConstraint("id", name="pk_verifications"),
        sa.ForeignKeyConstraint(
            ["member_id"],
            ["members.id"],
            name="fk_verifications_member_id",
            ondelete="CASCADE",
        ),
    )


def _make_indexes() -> None:
    counts = sa.text("replaced_at IS NULL")
    op.create_index("ix_verifications_member_id", "verifications", ["member_id"])
    op.create_index(
        "uq_verifications_current",
        "verifications",
        ["member_id"],
        unique=True,
        sqlite_where=counts,
        postgresql_where=counts,
    )
