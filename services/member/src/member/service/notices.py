"""Queue security notices to members."""

from dataclasses import dataclass
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from member import store
from member.clock import Clock, utc_now
from member.members import Member
from member.notices import Notice, Subject
from member.worker.distributor import TaskDistributor
from member.worker.tasks import (
    MAIL_DELAY,
    QUEUE_CRITICAL,
    SEND_NOTICE_MAX_RETRY,
    PayloadSendNotice,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notices:
    """Queues the task "send notice", in the transaction of the change."""

    distributor: TaskDistributor
    clock: Clock = utc_now

    async def queue(self, session: AsyncSession, member: Member, subject: Subject) -> None:
        """Queue a notice to the address of *member*, if the address is verified.

        Raises:
            DistributeError: If the mail could not be queued.
        """
        if member.email_verified_at is None:
            return
        notice = Notice(
            id=uuid4(),
            member_id=member.id,
            subject=subject,
            email=member.email,
            created_at=self.clock(),
        )
        await store.notices.insert(session, notice)
        await self.distributor.distribute_task_send_notice(
            PayloadSendNotice(notice.id),
            max_retry=SEND_NOTICE_MAX_RETRY,
            process_in=MAIL_DELAY,
            queue=QUEUE_CRITICAL,
        )
