"""Tasks that wait for Redis. The caller owns the transaction."""

import re
from collections.abc import Set
from datetime import datetime

from sqlalchemy import delete, func, select, type_coerce
from sqlalchemy.ext.asyncio import AsyncSession

from member.store.tables import OUTBOX, UtcDateTime

# The member name in the JSON payload of a task; the rest of the message is binary.
_NAME = re.compile(rb'"membername": "([a-z0-9_]+)"')


async def forget(session: AsyncSession, membernames: Set[str]) -> None:
    """Delete tasks about these members, except tasks that a relay is sending at this moment."""
    if not membernames:
        return
    seq, message = OUTBOX.table.c.seq, OUTBOX.table.c.message
    rows = await session.stream(select(seq, message))
    found = [row.seq async for row in rows if _names(row.message) & membernames]
    if found:
        free = select(seq).where(seq.in_(found)).with_for_update(skip_locked=True)
        await session.execute(delete(OUTBOX.table).where(seq.in_(free)))


def _names(message: bytes) -> Set[str]:
    return {name.decode() for name in _NAME.findall(message)}


async def waiting(session: AsyncSession) -> tuple[int, datetime | None]:
    """Return the number of waiting tasks, and since when the first one waits; None without one."""
    table = OUTBOX.table
    waits = table.c.error.is_(None)
    since = type_coerce(table.c.created_at, UtcDateTime())
    first = select(since).where(waits).order_by(table.c.seq).limit(1).scalar_subquery()
    row = (await session.execute(select(func.count(), first).where(waits))).one()
    return row[0], row[1]
