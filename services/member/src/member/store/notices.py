"""Security notices. The caller owns the transaction."""

from dataclasses import asdict
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from member.notices import Notice, Subject
from member.store.tables import NoticeRow


async def insert(session: AsyncSession, new: Notice) -> None:
    """Store a *new* notice."""
    session.add(NoticeRow(**asdict(new)))
    await session.flush()


async def by_id(session: AsyncSession, notice_id: UUID) -> Notice | None:
    """Return a notice, or None."""
    row = await session.scalar(select(NoticeRow).where(NoticeRow.id == notice_id))
    return row and _notice(row)


async def mark_sent(session: AsyncSession, notice_id: UUID, *, at: datetime) -> None:
    """Record that the mail server accepted the mail."""
    await session.execute(update(NoticeRow).where(NoticeRow.id == notice_id).values(sent_at=at))


async def forget(session: AsyncSession, *, before: datetime) -> None:
    """Delete notices that were created *before* this time."""
    await session.execute(delete(NoticeRow).where(NoticeRow.created_at < before))


def _notice(row: NoticeRow) -> Notice:
    return Notice(
        id=row.id,
        member_id=row.member_id,
        subject=Subject(row.subject),
        email=row.email,
        created_at=row.created_at,
        sent_at=row.sent_at,
    )
