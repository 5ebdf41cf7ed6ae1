"""Sessions of members. The caller owns the transaction."""

from dataclasses import asdict
from datetime import datetime
from typing import cast
from uuid import UUID

from sqlalchemy import ColumnElement, CursorResult, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from member.members import Member
from member.sessions import Session
from member.store.members import member_of
from member.store.tables import MemberRow, SessionRow


async def insert(session: AsyncSession, new: Session) -> None:
    """Store a *new* session."""
    session.add(SessionRow(**asdict(new)))
    await session.flush()


async def by_id(session: AsyncSession, session_id: UUID, *, lock: bool = False) -> Session | None:
    """Return a session, or None; with *lock*, lock it until the transaction ends."""
    query = select(SessionRow).where(SessionRow.id == session_id)
    row = await session.scalar(query.with_for_update() if lock else query)
    return row and _session(row)


async def of_member(session: AsyncSession, member_id: UUID) -> list[Session]:
    """Return the sessions of a member, the one that was renewed last first."""
    query = select(SessionRow).where(SessionRow.member_id == member_id)
    rows = await session.scalars(query.order_by(SessionRow.renewed_at.desc(), SessionRow.id))
    return [_session(row) for row in rows]


async def owner(session: AsyncSession, session_id: UUID) -> Member | None:
    """Return the member of a session; None if the session has ended."""
    query = select(MemberRow).join(SessionRow, SessionRow.member_id == MemberRow.id)
    row = await session.scalar(query.where(SessionRow.id == session_id))
    return row and member_of(row)


async def renew(session: AsyncSession, renewed: Session) -> None:
    """Store the next generation of a session."""
    query = update(SessionRow).where(SessionRow.id == renewed.id)
    await session.execute(
        query.values(
            generation=renewed.generation,
            renewed_at=renewed.renewed_at,
            expires_at=renewed.expires_at,
        )
    )


async def end(session: AsyncSession, session_id: UUID) -> None:
    """End a session, if it exists."""
    await session.execute(delete(SessionRow).where(SessionRow.id == session_id))


async def end_one(session: AsyncSession, member_id: UUID, session_id: UUID) -> bool:
    """End a session of a member; tell whether the member had it."""
    return (
        await _delete(session, SessionRow.member_id == member_id, SessionRow.id == session_id) > 0
    )


async def end_all(session: AsyncSession, member_id: UUID, *, but: UUID | None = None) -> int:
    """End all sessions of a member; keep the one in *but*, if given; return how many ended."""
    return await _delete(session, SessionRow.member_id == member_id, SessionRow.id != but)


async def end_oldest(session: AsyncSession, member_id: UUID, *, keep: int) -> int:
    """Keep the *keep* sessions of a member that were renewed last; return how many ended."""
    of_member = SessionRow.member_id == member_id
    renewed_last = select(SessionRow.id).where(of_member).order_by(SessionRow.renewed_at.desc())
    kept = SessionRow.id.in_(renewed_last.limit(keep))
    return await _delete(session, of_member, ~kept)


async def end_expired(session: AsyncSession, *, now: datetime) -> None:
    """End every expired session."""
    await session.execute(delete(SessionRow).where(SessionRow.expires_at <= now))


async def _delete(session: AsyncSession, *which: ColumnElement[bool]) -> int:
    query = delete(SessionRow).where(*which)
    return cast("CursorResult[None]", await session.execute(query)).rowcount


def _session(row: SessionRow) -> Session:
    return Session(
        id=row.id,
        member_id=row.member_id,
        generation=row.generation,
        created_at=row.created_at,
        renewed_at=row.renewed_at,
        expires_at=row.expires_at,
        address=row.address,
        user_agent=row.user_agent,
    )
