"""Every statement the service sends, by name. The caller owns the transaction."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Update, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from member.errors import AlreadyExistsError
from member.locales import nearest
from member.members import Member
from member.store.tables import MemberRow, VerificationRow
from member.verification import Verification

# Both can pass over a row that is there already, each in its own words.
_INSERT_MEMBER = {
    dialect: insert(MemberRow).on_conflict_do_nothing().returning(MemberRow.id)
    for dialect, insert in (("postgresql", postgresql.insert), ("sqlite", sqlite.insert))
}


async def insert_member(session: AsyncSession, member: Member, *, password_hash: str) -> None:
    """Store a new *member*.

    Raises:
        AlreadyExistsError: If another member holds the name or the address.
    """
    values = _member_values(member, password_hash)
    # A statement that fails would end the whole transaction on PostgreSQL.
    polite = _INSERT_MEMBER[session.get_bind().dialect.name]
    if await session.scalar(polite, values) is None:
        if taken := await _taken_fields(session, member):
            raise AlreadyExistsError(taken)
        await session.execute(insert(MemberRow), values)  # who held it is gone by now


async def member_by_name(
    session: AsyncSession, membername: str, *, lock: bool = False
) -> Member | None:
    """Return a member, or None; *lock* it until the transaction ends."""
    query = select(MemberRow).where(MemberRow.membername == membername)
    row = await session.scalar(query.with_for_update() if lock else query)
    return row and _member(row)


async def member_by_id(session: AsyncSession, member_id: UUID) -> Member | None:
    """Return a member, or None."""
    row = await session.scalar(select(MemberRow).where(MemberRow.id == member_id))
    return row and _member(row)


async def mark_email_verified(session: AsyncSession, member_id: UUID, *, at: datetime) -> None:
    """Note that the member's address is verified."""
    query = update(MemberRow).where(MemberRow.id == member_id)
    await session.execute(query.values(email_verified_at=at))


async def insert_verification(session: AsyncSession, verification: Verification) -> None:
    """Store a new *verification*."""
    session.add(_verification_row(verification))
    await session.flush()


async def verification_by_id(
    session: AsyncSession, verification_id: UUID, *, lock: bool = False
) -> Verification | None:
    """Return a verification, or None; *lock* it until the transaction ends."""
    query = select(VerificationRow).where(VerificationRow.id == verification_id)
    row = await session.scalar(query.with_for_update() if lock else query)
    return row and _verification(row)


async def current_verification(session: AsyncSession, member_id: UUID) -> Verification | None:
    """Return the member's verification that no newer one replaced, or None."""
    row = await session.scalar(
        select(VerificationRow)
        .where(VerificationRow.member_id == member_id)
        .where(VerificationRow.replaced_at.is_(None))
    )
    return row and _verification(row)


async def replace_verifications(session: AsyncSession, member_id: UUID, *, at: datetime) -> None:
    """Make every verification of a member void that still counts."""
    await session.execute(
        update(VerificationRow)
        .where(VerificationRow.member_id == member_id)
        .where(VerificationRow.replaced_at.is_(None))
        .values(replaced_at=at)
    )


async def extend_verification(
    session: AsyncSession, verification_id: UUID, *, expires_at: datetime
) -> None:
    """Let a link live until *expires_at*."""
    await session.execute(_change(verification_id).values(expires_at=expires_at))


async def mark_verification_sent(
    session: AsyncSession, verification_id: UUID, *, at: datetime
) -> None:
    """Note that the mail server took the mail."""
    await session.execute(_change(verification_id).values(sent_at=at))


async def mark_verification_used(
    session: AsyncSession, verification_id: UUID, *, at: datetime
) -> None:
    """Note that the link verified its address."""
    await session.execute(_change(verification_id).values(used_at=at))


async def count_wrong_attempt(session: AsyncSession, verification_id: UUID) -> None:
    """Count a wrong token that named this verification."""
    more = VerificationRow.wrong_attempts + 1
    await session.execute(_change(verification_id).values(wrong_attempts=more))


def _change(verification_id: UUID) -> Update:
    return update(VerificationRow).where(VerificationRow.id == verification_id)


async def _taken_fields(session: AsyncSession, member: Member) -> tuple[str, ...]:
    """Ask the database; the driver's error text differs from driver to driver."""
    columns = select(MemberRow.membername, MemberRow.email)
    same = or_(MemberRow.membername == member.membername, MemberRow.email == member.email)
    rows = (await session.execute(columns.where(same))).all()
    taken = {
        "membername": any(row.membername == member.membername for row in rows),
        "email": any(row.email == member.email for row in rows),
    }
    return tuple(field for field, is_taken in taken.items() if is_taken)


def _member_values(member: Member, password_hash: str) -> dict[str, object]:
    return {
        "id": member.id,
        "membername": member.membername,
        "full_name": member.full_name,
        "email": member.email,
        "password_hash": password_hash,
        "locale": member.locale,
        "created_at": member.created_at,
        "email_verified_at": member.email_verified_at,
    }


def _member(row: MemberRow) -> Member:
    return Member(
        id=row.id,
        membername=row.membername,
        full_name=row.full_name,
        email=row.email,
        locale=nearest(row.locale),
        created_at=row.created_at,
        email_verified_at=row.email_verified_at,
    )


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
