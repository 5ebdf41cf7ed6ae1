"""Queue background tasks."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Protocol, TypedDict, Unpack

import structlog

import pyasynq
from member import request_ids, tracing
from member.errors import DistributeError
from member.store.database import Database
from member.worker.tasks import (
    TASK_SEND_NOTICE,
    TASK_SEND_PASSWORD_RESET,
    TASK_SEND_VERIFY_EMAIL,
    PayloadSendNotice,
    PayloadSendPasswordReset,
    PayloadSendVerifyEmail,
    task_name,
)
from pyasynq.outbox import Outbox

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_PATIENCE_S = 5.0


class DistributeOptions(TypedDict, total=False):
    """Options of a task; missing ones have pyasynq's defaults."""

    max_retry: int
    process_in: timedelta
    queue: str
    task_id: str


class TaskDistributor(Protocol):
    """Queues the tasks of the service; every RPC handler can use it."""

    async def distribute_task_send_verify_email(
        self, payload: PayloadSendVerifyEmail, **options: Unpack[DistributeOptions]
    ) -> None:
        """Queue the task "send verify email".

        Raises:
            DistributeError: If the task could not be queued.
        """
        ...

    async def distribute_task_send_password_reset(
        self, payload: PayloadSendPasswordReset, **options: Unpack[DistributeOptions]
    ) -> None:
        """Queue the task "send password reset".

        Raises:
            DistributeError: If the task could not be queued.
        """
        ...

    async def distribute_task_send_notice(
        self, payload: PayloadSendNotice, **options: Unpack[DistributeOptions]
    ) -> None:
        """Queue the task "send notice".

        Raises:
            DistributeError: If the task could not be queued.
        """
        ...


class _Distributor(ABC):
    """Makes tasks from payloads; subclasses decide where the tasks go."""

    async def distribute_task_send_verify_email(
        self, payload: PayloadSendVerifyEmail, **options: Unpack[DistributeOptions]
    ) -> None:
        """Queue the task "send verify email".

        Raises:
            DistributeError: If the task could not be queued.
        """
        await self._distribute(TASK_SEND_VERIFY_EMAIL, payload.to_json(), options)

    async def distribute_task_send_password_reset(
        self, payload: PayloadSendPasswordReset, **options: Unpack[DistributeOptions]
    ) -> None:
        """Queue the task "send password reset".

        Raises:
            DistributeError: If the task could not be queued.
        """
        await self._distribute(TASK_SEND_PASSWORD_RESET, payload.to_json(), options)

    async def distribute_task_send_notice(
        self, payload: PayloadSendNotice, **options: Unpack[DistributeOptions]
    ) -> None:
        """Queue the task "send notice".

        Raises:
            DistributeError: If the task could not be queued.
        """
        await self._distribute(TASK_SEND_NOTICE, payload.to_json(), options)

    @abstractmethod
    async def _distribute(self, kind: str, payload: bytes, options: DistributeOptions) -> None: ...


class RedisTaskDistributor(_Distributor):
    """Queues tasks in Redis at once; fails if Redis does not answer within five seconds."""

    def __init__(self, client: pyasynq.Client) -> None:
        """Use *client* for every task; the caller closes it."""
        self._client = client

    async def _distribute(self, kind: str, payload: bytes, options: DistributeOptions) -> None:
        async with _map_errors(kind), asyncio.timeout(_PATIENCE_S):
            info = await self._client.enqueue(_task(kind, payload, options))
        log.info(
            "enqueued task",
            into="redis",
            task_id=info.id,
            type=info.type,
            payload=payload.decode(),
            queue=info.queue,
            max_retry=info.max_retry,
            delay=str(options.get("process_in", "")),
        )


class OutboxTaskDistributor(_Distributor):
    """Writes tasks in the caller's transaction; a relay queues them after the commit.

    Raises `LookupError` outside a transaction, and passes on errors of the database.
    """

    def __init__(self, outbox: Outbox, database: Database) -> None:
        """Write to *outbox*, in the current transaction of *database*."""
        self._outbox = outbox
        self._database = database

    async def _distribute(self, kind: str, payload: bytes, options: DistributeOptions) -> None:
        transaction = self._database.transaction
        async with _map_errors(kind):
            task = _task(kind, payload, options)
            task_id = await self._outbox.enqueue(transaction, task)
        log.info(
            "enqueued task",
            into="outbox",
            task_id=task_id,
            type=task.type,
            payload=payload.decode(),
            queue=options.get("queue"),
            max_retry=options.get("max_retry"),
            delay=str(options.get("process_in", "")),
        )


def _task(kind: str, payload: bytes, options: DistributeOptions) -> pyasynq.Task:
    headers = request_ids.to_headers() | tracing.to_headers()
    return pyasynq.Task(kind, payload, headers=headers, **options)


@asynccontextmanager
async def _map_errors(kind: str) -> AsyncGenerator[None]:
    """Map errors of the queue to the error of the service."""
    task = task_name(kind)
    try:
        with tracing.span("producer", f"enqueue {task}"):
            yield
    except pyasynq.PyasynqError as error:
        # The log gets the address and the error of the queue; callers get only the text below.
        log.warning("a task is not queued", task=task, reason=str(error))
        raise DistributeError(task, "the queue did not take it") from error
    except TimeoutError as error:
        raise DistributeError(task, f"no answer in {_PATIENCE_S:g} s") from error
