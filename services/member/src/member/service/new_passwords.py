"""The steps after every new password, changed or reset."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from member import store
from member.clock import Clock, utc_now
from member.notices import Subject
from member.service.notices import Notices


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPasswords:
    """Ends sessions and cancels changes made with the old password."""

    notices: Notices
    clock: Clock = utc_now

    async def finish(
        self, session: AsyncSession, member_id: UUID, *, but: UUID | None = None
    ) -> int:
        """End the member's sessions *but* one, cancel a change of the address, and queue a notice.

        It must run in the transaction that stores the password.

        Returns:
            The number of ended sessions.

        Raises:
            DistributeError: If the mail could not be queued.
        """
        ended = await store.sessions.end_all(session, member_id, but=but)
        if await store.members.keep_email(session, member_id):
            await store.verifications.replace(session, member_id, at=self.clock())
        if member := await store.members.by_id(session, member_id):
            await self.notices.queue(session, member, Subject.PASSWORD_CHANGED)
        return ended
