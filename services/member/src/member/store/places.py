"""The IP addresses from which members logged in. The caller owns the transaction."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from member.store.tables import KnownPlaceRow

_EXACT = timedelta(days=1)

_INSERT = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


async def note(session: AsyncSession, member_id: UUID, place: str, *, at: datetime) -> None:
    """Record a log-in from *place*, once a day at most, so that most log-ins write nothing."""
    insert = _INSERT[session.get_bind().dialect.name](KnownPlaceRow)
    known = insert.values(member_id=member_id, place=place, seen_at=at)
    await session.execute(
        known.on_conflict_do_update(
            index_elements=[KnownPlaceRow.member_id, KnownPlaceRow.place],
            set_={"seen_at": at},
            where=KnownPlaceRow.seen_at < at - _EXACT,
        )
    )


async def forget(session: AsyncSession, *, before: datetime) -> None:
    """Delete places from which a member has not logged in since *before*."""
    await session.execute(delete(KnownPlaceRow).where(KnownPlaceRow.seen_at < before))
