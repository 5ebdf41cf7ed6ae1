"""Mails with links, one table for each kind. The caller owns the transaction."""

from dataclasses import asdict, fields
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

from sqlalchemy import Update, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from member.store.tables import LinkRow, MemberRow
from member.verification import MailedLink

LinkT = TypeVar("LinkT", bound=MailedLink)


class Links(Generic[LinkT]):
    """All mails of one kind."""

    def __init__(self, rows: type[LinkRow], kind: type[LinkT]) -> None:
        """Read and write *rows* as links of this *kind*."""
        self._rows = rows
        self._kind = kind

    async def insert(self, session: AsyncSession, link: LinkT) -> None:
        """Store a new *link*."""
        session.add(self._rows(**asdict(link)))
        await session.flush()

    async def by_id(
        self, session: AsyncSession, link_id: UUID, *, lock: bool = False
    ) -> LinkT | None:
        """Return a link, or None; with *lock*, lock it and its member for the transaction."""
        query = select(self._rows).where(self._rows.id == link_id)
        if lock:
            await self._lock_member(session, link_id)
        row = await session.scalar(query.with_for_update() if lock else query)
        return row and self._link(row)

    async def _lock_member(self, session: AsyncSession, link_id: UUID) -> None:
        """Lock the member before its link, like all code: another order could deadlock."""
        query = select(MemberRow.id).join(self._rows, self._rows.member_id == MemberRow.id)
        query = query.where(self._rows.id == link_id)
        await session.execute(query.with_for_update(of=MemberRow))

    async def current(self, session: AsyncSession, member_id: UUID) -> LinkT | None:
        """Return the member's link that no newer one replaced, or None."""
        row = await session.scalar(
            select(self._rows)
            .where(self._rows.member_id == member_id)
            .where(self._rows.replaced_at.is_(None))
        )
        return row and self._link(row)

    async def last_change(self, session: AsyncSession, member_id: UUID) -> datetime | None:
        """Return when a link of the member was last made or replaced; None if there was no link."""
        query = select(func.max(self._rows.created_at), func.max(self._rows.replaced_at))
        row = await session.execute(query.where(self._rows.member_id == member_id))
        return max(filter(None, row.one()), default=None)

    async def replace(self, session: AsyncSession, member_id: UUID, *, at: datetime) -> None:
        """Mark the member's valid links as replaced."""
        await session.execute(
            update(self._rows)
            .where(self._rows.member_id == member_id)
            .where(self._rows.replaced_at.is_(None))
            .values(replaced_at=at)
        )

    async def extend(self, session: AsyncSession, link_id: UUID, *, expires_at: datetime) -> None:
        """Let a link live until *expires_at*."""
        await session.execute(self._change(link_id).values(expires_at=expires_at))

    async def mark_sent(self, session: AsyncSession, link_id: UUID, *, at: datetime) -> None:
        """Record that the mail server accepted the mail."""
        await session.execute(self._change(link_id).values(sent_at=at))

    async def mark_used(self, session: AsyncSession, link_id: UUID, *, at: datetime) -> None:
        """Record that the link was used."""
        await session.execute(self._change(link_id).values(used_at=at))

    async def count_wrong_attempt(self, session: AsyncSession, link_id: UUID) -> None:
        """Count a wrong token that named this link."""
        more = self._rows.wrong_attempts + 1
        await session.execute(self._change(link_id).values(wrong_attempts=more))

    async def forget_replaced(self, session: AsyncSession, *, before: datetime) -> None:
        """Delete links that were replaced *before* this time."""
        await session.execute(delete(self._rows).where(self._rows.replaced_at < before))

    def _change(self, link_id: UUID) -> Update:
        return update(self._rows).where(self._rows.id == link_id)

    def _link(self, row: LinkRow) -> LinkT:
        return self._kind(**{field.name: getattr(row, field.name) for field in fields(self._kind)})
