"""Successful sign-ups, by their request id. The caller owns the transaction."""

from datetime import datetime

from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from member.answered_sign_ups import AnsweredSignUp
from member.errors import RequestIdError
from member.store.tables import SignUpRow


async def insert(session: AsyncSession, answered: AnsweredSignUp) -> None:
    """Store a sign-up.

    Raises:
        RequestIdError: If its id named another one before.
    """
    row = SignUpRow(
        request_id=answered.request_id,
        digest=answered.digest,
        member_id=answered.member_id,
        created_at=answered.created_at,
    )
    try:
        async with session.begin_nested():
            session.add(row)
    except IntegrityError as error:
        raise RequestIdError from error


async def by_request_id(session: AsyncSession, request_id: str) -> AnsweredSignUp | None:
    """Return the sign-up with this id, or None."""
    row = await session.get(SignUpRow, request_id)
    return row and AnsweredSignUp(
        request_id=row.request_id,
        digest=row.digest,
        member_id=row.member_id,
        created_at=row.created_at,
    )


async def forget(session: AsyncSession, *, before: datetime) -> None:
    """Delete sign-ups from *before* this time."""
    await session.execute(delete(SignUpRow).where(SignUpRow.created_at < before))
