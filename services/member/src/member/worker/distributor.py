"""Queue background tasks."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Protocol, TypedDict, Unpack

import structlog

import pyasynq
from member import request_ids, tracing
from member.errors import DistributeError
from member.store.database import Database
from member.worker.tasks import TASK_SEND_VERIFY_EMAIL, PayloadSendVerifyEmail
from pyasynq.outbox import Outbox

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_PATIENCE_S = 5.0


class DistributeOptions(TypedDict, total=False):
    """How a task is queued; what is left out is pyasynq's default."""

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
            DistributeError: If it could not be queued.
        """
        ...


class RedisTaskDistributor:
    """Queues tasks in Redis at once."""

    def __init__(self, client: pyasynq.Client) -> None:
        """Use *client* for every task; the caller closes it."""
        self._client = client

    async def distribute_task_send_verify_email(
        self, payload: PayloadSendVerifyEmail, **options: Unpack[DistributeOptions]
    ) -> None:
        """Queue the task "send verify email".

        Raises:
            DistributeError: If Redis did not take it, or not within five seconds.
        """
        async with _described("send verify email"), asyncio.timeout(_PATIENCE_S):
            task = _task(payload, options)
            info = await self._client.enqueue(task)
        log.info(
            "enqueued task",
            into="redis",
            task_id=info.id,
            type=info.type,
            payload=payload.to_json().decode(),
            queue=info.queue,
            max_retry=info.max_retry,
            delay=str(options.get("process_in", "")),
        )


class OutboxTaskDistributor:
    """Writes tasks into the transaction that makes them necessary; a relay queues them after it."""

    def __init__(self, outbox: Outbox, database: Database) -> None:
        """Write into *outbox*, in the transaction of *database* that a task is distributed in."""
        self._outbox = outbox
        self._database = database

    async def distribute_task_send_verify_email(
        self, payload: PayloadSendVerifyEmail, **options: Unpack[DistributeOptions]
    ) -> None:
        """Write the task "send verify email".

        Raises:
            DistributeError: If an option is not allowed.
            LookupError: Outside a transaction.
            SQLAlchemyError: If the database did not take it.
        """
        transaction = self._database.transaction
        async with _described("send verify email"):
            task = _task(payload, options)
            task_id = await self._outbox.enqueue(transaction, task)
        log.info(
            "enqueued task",
            into="outbox",
            task_id=task_id,
            type=task.type,
            payload=payload.to_json().decode(),
            queue=options.get("queue"),
            max_retry=options.get("max_retry"),
            delay=str(options.get("process_in", "")),
        )


def _task(payload: PayloadSendVerifyEmail, options: DistributeOptions) -> pyasynq.Task:
    headers = request_ids.to_headers() | tracing.to_headers()
    return pyasynq.Task(TASK_SEND_VERIFY_EMAIL, payload.to_json(), headers=headers, **options)


@asynccontextmanager
async def _described(task: str) -> AsyncGenerator[None]:
    """Turn what the queue raises into the error of the service."""
    try:
        with tracing.span("producer", f"enqueue {task}"):
            yield
    except pyasynq.PyasynqError as error:
        # Where the queue is and what it said is for the log: callers see the other text.
        log.warning("a task is not queued", task=task, reason=str(error))
        raise DistributeError(task, "the queue did not take it") from error
    except TimeoutError as error:
        raise DistributeError(task, f"no answer in {_PATIENCE_S:g} s") from error
