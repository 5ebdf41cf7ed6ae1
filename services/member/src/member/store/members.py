"""Members. The caller owns the transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import cast
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    CursorResult,
    Select,
    Update,
    and_,
    exists,
    or_,
    select,
    update,
)
from sqlalchemy import delete as sql_delete
from sqlalchemy import insert as sql_insert
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from member.errors import AlreadyExistsError
from member.locales import nearest
from member.members import Credentials, Member, Role
from member.store.tables import KnownPlaceRow, MemberRow, VerificationRow

# Both can pass over a row that is there already, each in its own words.
_INSERT = {
    dialect: insert_into(MemberRow).on_conflict_do_nothing().returning(MemberRow.id)
    for dialect, insert_into in (("postgresql", postgresql.insert), ("sqlite", sqlite.insert))
}


async def insert(session: AsyncSession, member: Member, *, password_hash: str) -> None:
    """Store a new *member*.

    Raises:
        AlreadyExistsError: If another member holds the name or the address.
    """
    values = _values(member, password_hash)
    # A statement that fails would end the whole transaction on PostgreSQL.
    polite = _INSERT[session.get_bind().dialect.name]
    if await session.scalar(polite, values) is None:
        if taken := await _taken_fields(session, member):
            raise AlreadyExistsError(taken)
        await session.execute(sql_insert(MemberRow), values)  # who held it is gone by now


async def change(session: AsyncSession, member: Member) -> None:
    """Store what members may change: full name, language, and the address that waits."""
    values = {
        "full_name": member.full_name,
        "locale": member.locale,
        "pending_email": member.pending_email,
    }
    await session.execute(_of(member.id).values(values))


async def by_name(session: AsyncSession, membername: str, *, lock: bool = False) -> Member | None:
    """Return a member, or None; *lock* it until the transaction ends."""
    query = select(MemberRow).where(MemberRow.membername == membername)
    return await _one(session, query.with_for_update() if lock else query)


async def by_id(session: AsyncSession, member_id: UUID, *, lock: bool = False) -> Member | None:
    """Return a member, or None; *lock* it until the transaction ends."""
    query = select(MemberRow).where(MemberRow.id == member_id)
    return await _one(session, query.with_for_update() if lock else query)


async def by_email(session: AsyncSession, email: str, *, lock: bool = False) -> Member | None:
    """Return the member with this address, or None; *lock* it until the transaction ends."""
    query = select(MemberRow).where(MemberRow.email == email)
    return await _one(session, query.with_for_update() if lock else query)


async def waiting_for(session: AsyncSession, email: str) -> Member | None:
    """Return the member who is to verify this address, locked until the transaction ends, or None.

    Of several who wait for it, the one who signed up with it; else always the same one: the
    others get another mail by asking for the address again.
    """
    signed_up = and_(
        MemberRow.email == email,
        MemberRow.email_verified_at.is_(None),
        MemberRow.pending_email.is_(None),
    )
    query = select(MemberRow).where(or_(MemberRow.pending_email == email, signed_up))
    first = query.order_by(MemberRow.pending_email.is_not(None), MemberRow.id).limit(1)
    return await _one(session, first.with_for_update())


async def after(session: AsyncSession, membername: str, *, limit: int) -> Sequence[Member]:
    """Return the next *limit* members whose name comes after *membername*."""
    query = select(MemberRow).where(MemberRow.membername > membername)
    rows = await session.scalars(query.order_by(MemberRow.membername).limit(limit))
    return [member_of(row) for row in rows]


async def credentials(
    session: AsyncSession, membername: str, *, place: str = ""
) -> Credentials | None:
    """Return a member and its password's hash, or None.

    In one statement, whether *place* is known or not: how long it takes must not tell.
    """
    here = (KnownPlaceRow.member_id == MemberRow.id) & (KnownPlaceRow.place == place)
    query = select(MemberRow, KnownPlaceRow.place.is_not(None)).outerjoin(KnownPlaceRow, here)
    found = (await session.execute(query.where(MemberRow.membername == membername))).one_or_none()
    if found is None:
        return None
    row, is_known = found
    return Credentials(
        member=member_of(row),
        password_hash=row.password_hash,
        is_at_known_place=is_known,
    )


async def replace_password_hash(
    session: AsyncSession, member_id: UUID, *, old: str, new: str
) -> bool:
    """Store a *new* hash where the *old* one still stands; tell whether it did."""
    query = _of(member_id).where(MemberRow.password_hash == old)
    return await _changes_a_row(session, query.values(password_hash=new))


async def verify_email(
    session: AsyncSession, member_id: UUID, email: str, *, at: datetime
) -> list[Member]:
    """Note that *email* is verified, and the member's only address from now on.

    Who signed up with it and never verified it does not keep it, and is removed: as after a week.

    Returns:
        Who was removed.

    Raises:
        AlreadyExistsError: If it is another member's.
    """
    others = MemberRow.email == email, MemberRow.id != member_id
    removed = await _delete_unverified(session, *others)
    values = {"email": email, "pending_email": None, "email_verified_at": at}
    try:
        # A savepoint: PostgreSQL gives up the whole transaction otherwise.
        async with session.begin_nested():
            await session.execute(_of(member_id).values(values))
    except IntegrityError as error:
        raise AlreadyExistsError(("email",)) from error
    return removed


async def set_password_hash(session: AsyncSession, member_id: UUID, password_hash: str) -> None:
    """Store a new hash, whatever stood there."""
    await session.execute(_of(member_id).values(password_hash=password_hash))


async def keep_email(session: AsyncSession, member_id: UUID) -> bool:
    """Forget the address that is to take the place of a verified one; tell whether one was."""
    query = _of(member_id).where(
        MemberRow.pending_email.is_not(None), MemberRow.email_verified_at.is_not(None)
    )
    return await _changes_a_row(session, query.values(pending_email=None))


async def set_role(session: AsyncSession, membername: str, role: Role) -> bool:
    """Let a member be of this *role*; tell whether there is such a member."""
    query = update(MemberRow).where(MemberRow.membername == membername)
    return await _changes_a_row(session, query.values(role=role))


async def delete(session: AsyncSession, member_id: UUID) -> None:
    """Remove a member, and with it everything that belongs to it."""
    await session.execute(sql_delete(MemberRow).where(MemberRow.id == member_id))


async def delete_unverified(session: AsyncSession, *, before: datetime) -> list[Member]:
    """Remove members who signed up *before* this and never verified an address; return them.

    Who verified one and changed it since is none of them, nor is an administrator.
    """
    return await _delete_unverified(session, MemberRow.created_at < before)


async def _delete_unverified(session: AsyncSession, *which: ColumnElement[bool]) -> list[Member]:
    verified = (VerificationRow.member_id == MemberRow.id) & VerificationRow.used_at.is_not(None)
    query = sql_delete(MemberRow).where(
        *which,
        MemberRow.email_verified_at.is_(None),
        MemberRow.role == "member",
        ~exists().where(verified),
    )
    return [member_of(row) for row in await session.scalars(query.returning(MemberRow))]


def _of(member_id: UUID) -> Update:
    return update(MemberRow).where(MemberRow.id == member_id)


async def _changes_a_row(session: AsyncSession, query: Update) -> bool:
    return cast("CursorResult[None]", await session.execute(query)).rowcount > 0


async def _one(session: AsyncSession, query: Select[MemberRow]) -> Member | None:
    row = await session.scalar(query)
    return row and member_of(row)


async def _taken_fields(session: AsyncSession, member: Member) -> tuple[str, ...]:
    """Ask the database which fields others hold; the driver's text differs by driver."""
    columns = select(MemberRow.membername, MemberRow.email).where(MemberRow.id != member.id)
    same = or_(MemberRow.membername == member.membername, MemberRow.email == member.email)
    rows = (await session.execute(columns.where(same))).all()
    taken = {
        "membername": any(row.membername == member.membername for row in rows),
        "email": any(row.email == member.email for row in rows),
    }
    return tuple(field for field, is_taken in taken.items() if is_taken)


def _values(member: Member, password_hash: str) -> dict[str, object]:
    return {
        "id": member.id,
        "membername": member.membername,
        "full_name": member.full_name,
        "email": member.email,
        "password_hash": password_hash,
        "locale": member.locale,
        "created_at": member.created_at,
        "email_verified_at": member.email_verified_at,
        "role": member.role,
        "pending_email": member.pending_email,
    }


def member_of(row: MemberRow) -> Member:
    """Return what a row says."""
    return Member(
        id=row.id,
        membername=row.membername,
        full_name=row.full_name,
        email=row.email,
        locale=nearest(row.locale),
        created_at=row.created_at,
        email_verified_at=row.email_verified_at,
        role="admin" if row.role == "admin" else "member",
        pending_email=row.pending_email,
    )
