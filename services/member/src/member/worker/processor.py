"""Run background tasks."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol, TypeVar
from uuid import UUID

import structlog

import pyasynq
from member import request_ids, tracing
from member.errors import MailPointlessError, MailRefusedError
from member.mailer import Delivery
from member.metrics import Metrics
from member.worker.tasks import (
    TASK_PURGE_EXPIRED,
    TASK_SEND_NOTICE,
    TASK_SEND_PASSWORD_RESET,
    TASK_SEND_VERIFY_EMAIL,
    Payload,
    PayloadError,
    PayloadSendNotice,
    PayloadSendPasswordReset,
    PayloadSendVerifyEmail,
    task_name,
)
from pyasynq.metrics import TaskMetrics

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


PayloadT = TypeVar("PayloadT", bound=Payload)


class TaskProcessor(Protocol):
    """Takes tasks from the queue and runs them."""

    def running(self) -> AbstractAsyncContextManager[None]:
        """Work until the end of the block; raise on entering if the start fails."""
        ...

    async def process_task_send_verify_email(self, task: pyasynq.ActiveTask) -> None:
        """Run one task "send verify email"."""
        ...

    async def process_task_send_password_reset(self, task: pyasynq.ActiveTask) -> None:
        """Run one task "send password reset"."""
        ...

    async def process_task_send_notice(self, task: pyasynq.ActiveTask) -> None:
        """Run one task "send notice"."""
        ...

    async def process_task_purge_expired(self, task: pyasynq.ActiveTask) -> None:
        """Run one task "purge expired"."""
        ...


class MailSender(Protocol):
    """Sends the mails of the service."""

    async def send_verify_email(self, membername: str) -> Delivery:
        """Send the mail that verifies the member's address, unless it was sent before."""
        ...

    async def send_password_reset(self, membername: str) -> Delivery:
        """Send the mail that lets the member set a new password, unless it was sent before."""
        ...

    async def send_notice(self, notice_id: UUID) -> Delivery:
        """Send a notice, unless it was sent before."""
        ...


class Purger(Protocol):
    """Removes expired data."""

    async def purge(self) -> None:
        """Remove expired data; a repetition does no harm."""
        ...


class RedisTaskProcessor:
    """Runs the tasks that are queued in Redis."""

    def __init__(
        self, server: pyasynq.Server, sender: MailSender, purger: Purger, metrics: Metrics
    ) -> None:
        """Register the handlers; nothing runs yet."""
        self._server = server
        self._sender = sender
        self._purger = purger
        self._mails = metrics.mails
        self._mux = pyasynq.Mux()
        self._mux.use(TaskMetrics(metrics.registry))
        self._mux.handle(TASK_SEND_VERIFY_EMAIL)(self.process_task_send_verify_email)
        self._mux.handle(TASK_SEND_PASSWORD_RESET)(self.process_task_send_password_reset)
        self._mux.handle(TASK_SEND_NOTICE)(self.process_task_send_notice)
        self._mux.handle(TASK_PURGE_EXPIRED)(self.process_task_purge_expired)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Work until the end of the block; then wait for running tasks."""
        async with self._server.running(self._mux):
            yield

    async def process_task_send_verify_email(self, task: pyasynq.ActiveTask) -> None:
        """Send the mail of the task.

        Raises:
            pyasynq.SkipRetry: If no retry could send it.
            MailDelayedError: If a retry may send it.
        """
        await self._process(
            task, PayloadSendVerifyEmail, lambda p: self._sender.send_verify_email(p.membername)
        )

    async def process_task_send_password_reset(self, task: pyasynq.ActiveTask) -> None:
        """Send the mail of the task.

        Raises:
            pyasynq.SkipRetry: If no retry could send it.
            MailDelayedError: If a retry may send it.
        """
        await self._process(
            task, PayloadSendPasswordReset, lambda p: self._sender.send_password_reset(p.membername)
        )

    async def process_task_send_notice(self, task: pyasynq.ActiveTask) -> None:
        """Send the notice of the task.

        Raises:
            pyasynq.SkipRetry: If no retry could send it.
            MailDelayedError: If a retry may send it.
        """
        await self._process(
            task, PayloadSendNotice, lambda p: self._sender.send_notice(p.notice_id)
        )

    async def _process(
        self,
        task: pyasynq.ActiveTask,
        kind: type[PayloadT],
        send: Callable[[PayloadT], Awaitable[Delivery]],
    ) -> None:
        with (
            request_ids.bind(request_ids.from_headers(task.headers)),
            tracing.span("consumer", f"process {task_name(task.type)}", task.headers),
        ):
            log.info("processing task", task_id=task.id, type=task.type, retried=task.retried)
            try:
                payload = kind.from_json(task.payload)
                delivery = await self._count(send(payload))
            except (PayloadError, MailPointlessError, MailRefusedError) as error:
                raise pyasynq.SkipRetry(str(error)) from error
            log.info(
                "processed task",
                task_id=task.id,
                type=task.type,
                payload=payload.to_json().decode(),
                delivery=delivery.name.lower(),
            )

    async def process_task_purge_expired(self, task: pyasynq.ActiveTask) -> None:
        """Remove expired data.

        Raises:
            StoreUnavailableError: If the database does not answer now; a retry may succeed.
        """
        log.info("processing task", task_id=task.id, type=task.type, retried=task.retried)
        await self._purger.purge()
        log.info("processed task", task_id=task.id, type=task.type)

    async def _count(self, sending: Awaitable[Delivery]) -> Delivery:
        with self._mails.counting() as ending:
            delivery = await sending
            ending.word = delivery.name.lower()
            return delivery
