"""IP addresses from which members logged in."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table; no place is known so far."""
    op.create_table(
        "known_places",
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("place", sa.String(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("member_id", "place", name="pk_known_places"),
        sa.ForeignKeyConstraint(
            ["member_id"], ["members.id"], name="fk_known_places_member_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_known_places_seen_at", "known_places", ["seen_at"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("known_places")
