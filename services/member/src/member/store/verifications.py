"""Verification mails and the links in them. The caller owns the transaction."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Update, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from member.store.tables import MemberRow, VerificationRow
from member.verification import Verification


async def insert(session: AsyncSession, verification: Verification) -> None:
    """Store a new *verification*."""
    session.add(_verification_row(verification))
    await session.flush()


async def by_id(
    session: AsyncSession, verification_id: UUID, *, lock: bool = False
) -> Verification | None:
    """Return a verification, or None; *lock* it and its member until the transaction ends."""
    query = select(VerificationRow).where(VerificationRow.id == verification_id)
    if lock:
        await _lock_member(session, verification_id)
    row = await session.scalar(query.with_for_update() if lock else query)
    return row and _verification(row)


async def _lock_member(session: AsyncSession, verification_id: UUID) -> None:
    """Lock the member first, as all do: who locks in another order waits for them for ever."""
    query = select(MemberRow.id).join(VerificationRow, VerificationRow.member_id == MemberRow.id)
    query = query.where(VerificationRow.id == verification_id)
    await session.execute(query.with_for_update(of=MemberRow))


async def current(session: AsyncSession, member_id: UUID) -> Verification | None:
    """Return the member's verification that no newer one replaced, or None."""
    row = await session.scalar(
        select(VerificationRow)
        .where(VerificationRow.member_id == member_id)
        .where(VerificationRow.replaced_at.is_(None))
    )
    return row and _verification(row)


async def last_change(session: AsyncSession, member_id: UUID) -> datetime | None:
    """Return when a verification of the member was last made or made void; None if it has none."""
    query = select(func.max(VerificationRow.created_at), func.max(VerificationRow.replaced_at))
    row = await session.execute(query.where(VerificationRow.member_id == member_id))
    return max(filter(None, row.one()), default=None)


async def replace(session: AsyncSession, member_id: UUID, *, at: datetime) -> None:
    """Make every verification of a member void that still counts."""
    await session.execute(
        update(VerificationRow)
        .where(VerificationRow.member_id == member_id)
        .where(VerificationRow.replaced_at.is_(None))
        .values(replaced_at=at)
    )


async def extend(session: AsyncSession, verification_id: UUID, *, expires_at: datetime) -> None:
    """Let a link live until *expires_at*."""
    await session.execute(_change(verification_id).values(expires_at=expires_at))


async def mark_sent(session: AsyncSession, verification_id: UUID, *, at: datetime) -> None:
    """Note that the mail server took the mail."""
    await session.execute(_change(verification_id).values(sent_at=at))


async def mark_used(session: AsyncSession, verification_id: UUID, *, at: datetime) -> None:
    """Note that the link verified its address."""
    await session.execute(_change(verification_id).values(used_at=at))


async def count_wrong_attempt(session: AsyncSession, verification_id: UUID) -> None:
    """Count a wrong token that named this verification."""
    more = VerificationRow.wrong_attempts + 1
    await session.execute(_change(verification_id).values(wrong_attempts=more))


async def forget_replaced(session: AsyncSession, *, before: datetime) -> None:
    """Forget verifications that a newer mail replaced *before* this."""
    await session.execute(delete(VerificationRow).where(VerificationRow.replaced_at < before))


def _change(verification_id: UUID) -> Update:
    return update(VerificationRow).where(VerificationRow.id == verification_id)


def _verification_row(verification: Verification) -> VerificationRow:
    return VerificationRow(
        id=verification.id,
        member_id=verification.member_id,
        email=verification.email,
        token_hash=verification.token_hash,
        created_at=verification.created_at,
        expires_at=verification.expires_at,
        sent_at=verification.sent_at,
        used_at=verification.used_at,
        replaced_at=verification.replaced_at,
        wrong_attempts=verification.wrong_attempts,
    )


def _verification(row: VerificationRow) -> Verification:
    return Verification(
        id=row.id,
        member_id=row.member_id,
        email=row.email,
        token_hash=row.token_hash,
        created_at=row.created_at,
        expires_at=row.expires_at,
        sent_at=row.sent_at,
        used_at=row.used_at,
        replaced_at=row.replaced_at,
        wrong_attempts=row.wrong_attempts,
    )
