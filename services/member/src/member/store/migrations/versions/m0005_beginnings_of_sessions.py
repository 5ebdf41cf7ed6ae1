"""Where each session was begun, so that members know their own."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_COLUMNS = ("address", "user_agent")


def upgrade() -> None:
    """Add the columns; of sessions so far nobody knows."""
    for name in _COLUMNS:
        op.add_column("sessions", sa.Column(name, sa.String(), nullable=False, server_default=""))


def downgrade() -> None:
    """Drop them."""
    for name in _COLUMNS:
        op.drop_column("sessions", name)
