"""Queue verification mails, in the transaction of the sign-up or the change of the address."""

from dataclasses import dataclass
from datetime import timedelta

from member.members import Member
from member.worker.distributor import TaskDistributor
from member.worker.tasks import (
    QUEUE_CRITICAL,
    SEND_VERIFY_EMAIL_MAX_RETRY,
    PayloadSendVerifyEmail,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyEmailTasks:
    """Queues the task "send verify email".

    Attributes:
        delay: Wait before the mail.
    """

    distributor: TaskDistributor
    delay: timedelta

    async def queue(self, member: Member) -> None:
        """Queue the mail to *member*.

        Raises:
            DistributeError: If the task could not be queued.
        """
        await self.distributor.distribute_task_send_verify_email(
            PayloadSendVerifyEmail(membername=member.membername),
            max_retry=SEND_VERIFY_EMAIL_MAX_RETRY,
            process_in=self.delay,
            queue=QUEUE_CRITICAL,
        )
