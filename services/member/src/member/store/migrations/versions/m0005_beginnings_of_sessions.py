"""Address and program of each session's log-in, so that members recognize their sessions."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_COLUMNS = ("address", "user_agent")


def upgrade() -> None:
    """Add the columns; they are empty for existing sessions."""
    for name in _COLUMNS:
        op.add_column("sessions", sa.Column(name, sa.String(), nullable=False, server_default=""))


def downgrade() -> None:
    """Drop the columns."""
    for name in _COLUMNS:
        op.drop_column("sessions", name)
