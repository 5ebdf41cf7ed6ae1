"""Tasks that wait for Redis. The caller owns the transaction."""

from datetime import datetime

from sqlalchemy import func, select, type_coerce
from sqlalchemy.ext.asyncio import AsyncSession

from member.store.tables import OUTBOX, UtcDateTime


async def waiting(session: AsyncSession) -> tuple[int, datetime | None]:
    """Return how many wait, and since when the first one does; None where there is none."""
    table = OUTBOX.table
    waits = table.c.error.is_(None)
    since = type_coerce(table.c.created_at, UtcDateTime())
    first = select(since).where(waits).order_by(table.c.seq).limit(1).scalar_subquery()
    row = (await session.execute(select(func.count(), first).where(waits))).one()
    return row[0], row[1]
