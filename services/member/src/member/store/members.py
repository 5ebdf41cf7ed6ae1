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

# Both databases can skip an existing row, each with its own statement.
_INSERT = {
    dialect: insert_into(MemberRow).on_conflict_do_nothing().returning(MemberRow.id)
    for dialect, insert_into in (("postgresql", postgresql.insert), ("sqlite", sqlite.insert))
}


async def insert(session: AsyncSession, member: Member, *, password_hash: str) -> None:
    """Store a new *member*.

    Raises:
        AlreadyExistsError: If another member has the name or the address.
    """
    values = _values(member, password_hash)
    # On PostgreSQL a failed statement would end the whole transaction.
    insert_if_free = _INSERT[session.get_bind().dialect.name]
    if await session.scalar(insert_if_free, values) is None:
        if taken := await _taken_fields(session, member):
            raise AlreadyExistsError(taken)
        await session.execute(sql_insert(MemberRow), values)  # the other member is gone by now


async def change(session: AsyncSession, member: Member) -> None:
    """Store the fields that members may change: full name, language, and the waiting address."""
    values = {
        "full_name": member.full_name,
        "locale": member.locale,
        "pending_email": member.pending_email,
    }
    await session.execute(_of(member.id).values(values))


async def by_name(session: AsyncSession, membername: str, *, lock: bool = False) -> Member | None:
    """Return a member, or None; with *lock*, lock it until the transaction ends."""
    query = select(MemberRow).where(MemberRow.membername == membername)
    return await _one(session, query.with_for_update() if lock else query)


async def by_id(session: AsyncSession, member_id: UUID, *, lock: bool = False) -> Member | None:
    """Return a member, or None; with *lock*, lock it until the transaction ends."""
    query = select(MemberRow).where(MemberRow.id == member_id)
    return await _one(session, query.with_for_update() if lock else query)


async def by_email(session: AsyncSession, email: str, *, lock: bool = False) -> Member | None:
    """Return the member with this address, or None; with *lock*, lock it for the transaction."""
    query = select(MemberRow).where(MemberRow.email == email)
    return await _one(session, query.with_for_update() if lock else query)


async def waiting_for(session: AsyncSession, email: str) -> Member | None:
    """Lock and return the member that has to verify this address, or None.

    If several members wait for it: the one that signed up with it, else always the same one. The
    others can get another mail if they request the change of the address again.
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

    One statement for known and unknown *place*: the time must not reveal which it is.
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
    """Store a *new* hash if the *old* one is still stored; tell whether it was."""
    query = _of(member_id).where(MemberRow.password_hash == old)
    return await _changes_a_row(session, query.values(password_hash=new))


async def verify_email(
    session: AsyncSession, member_id: UUID, email: str, *, at: datetime
) -> list[Member]:
    """Record that *email* is verified, and the member's only address from now on.

    Another member that signed up with it and never verified an address is removed, as it would be
    after `UNVERIFIED_MEMBER_LIFETIME`.

    Returns:
        The removed members.

    Raises:
        AlreadyExistsError: If another member has the address.
    """
    others = MemberRow.email == email, MemberRow.id != member_id
    removed = await _delete_unverified(session, *others)
    values = {"email": email, "pending_email": None, "email_verified_at": at}
    try:
        # A savepoint, because on PostgreSQL a failed statement ends the whole transaction.
        async with session.begin_nested():
            await session.execute(_of(member_id).values(values))
    except IntegrityError as error:
        raise AlreadyExistsError(("email",)) from error
    return removed


async def set_password_hash(session: AsyncSession, member_id: UUID, password_hash: str) -> None:
    """Store a new hash, whatever the old one was."""
    await session.execute(_of(member_id).values(password_hash=password_hash))


async def keep_email(session: AsyncSession, member_id: UUID) -> bool:
    """Delete the address that waits to replace a verified one; tell whether there was one."""
    query = _of(member_id).where(
        MemberRow.pending_email.is_not(None), MemberRow.email_verified_at.is_not(None)
    )
    return await _changes_a_row(session, query.values(pending_email=None))


async def set_role(session: AsyncSession, membername: str, role: Role) -> bool:
    """Set the *role* of a member; tell whether the member exists."""
    query = update(MemberRow).where(MemberRow.membername == membername)
    return await _changes_a_row(session, query.values(role=role))


async def delete(session: AsyncSession, member_id: UUID) -> None:
    """Remove a member and everything that belongs to it."""
    await session.execute(sql_delete(MemberRow).where(MemberRow.id == member_id))


async def delete_unverified(session: AsyncSession, *, before: datetime) -> list[Member]:
    """Remove members who signed up *before* this and never verified an address; return them.

    Members who have ever verified an address, and administrators, stay.
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
    """Query which fields other members have; error texts differ between drivers."""
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
    """Return the member in a row."""
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
