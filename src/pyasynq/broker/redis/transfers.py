"""Take tasks from one broker to another."""

import math
from collections.abc import Sequence
from typing import Any, Final, cast

from pyasynq.broker.ports.creation import Refusal
from pyasynq.broker.ports.inspection import Container
from pyasynq.broker.ports.transfers import TaskCopy
from pyasynq.broker.records import decode_name, read_message
from pyasynq.broker.redis import keys, pipeline
from pyasynq.broker.redis.connection import Driver
from pyasynq.broker.redis.creation import Register
from pyasynq.broker.redis.lua import transfers as scripts
from pyasynq.broker.redis.scripts import Each, blob
from pyasynq.broker.redis.task_records import ATTEMPT_FIELDS
from pyasynq.core.errors import DuplicateTaskError, TaskIDConflictError
from pyasynq.core.message import encode
from pyasynq.core.policy import MAX_BYTES

STORED: Final = 1
CONFLICT: Final = 0


class RedisTransfers:
    """The port for transfers."""

    def __init__(self, driver: Driver, register: Register) -> None:
        """Send calls over *driver*; *register* makes queues known to inspectors."""
        self._driver = driver
        self._register = register

    async def read(self, container: Container, start: int, count: int) -> list[TaskCopy | None]:
        """Return tasks of *container* in order, after skipping the first *start*."""
        call = scripts.read_copies(
            ATTEMPT_FIELDS,
            container=keys.ids_in(container),
            groups=keys.groups(container.queue),
            task_prefix=keys.task(container.queue),
            listed=int(container.state in keys.LISTS),
            start=start,
            limit=count,
            max_bytes=MAX_BYTES,
        )
        rows = cast("list[list[Any]]", await pipeline.run(self._driver, call))
        return [_read(container.queue, row) for row in rows]

    async def write(self, container: Container, tasks: Sequence[TaskCopy]) -> list[Refusal | None]:
        """Store *tasks* in *container*, with their locks; a pending one behind all others."""
        await self._register({container.queue})
        each: list[Each] = []
        for task in tasks:
            each += _each_values(container, task)
        call = scripts.write_copies(
            each,
            container=keys.ids_in(container),
            groups=keys.groups(container.queue),
            task_prefix=keys.task(container.queue),
            state=container.state.value,
        )
        replies = cast("list[int]", await pipeline.run(self._driver, call))
        return [_refusal(task, reply) for task, reply in zip(tasks, replies, strict=True)]


def _read(queue: str, row: Sequence[Any]) -> TaskCopy | None:
    task_id, data, score, group, result, lock_ms, *attempts = row
    message, is_sound = read_message(queue, task_id or b"", data or b"")
    if not is_sound:
        return None
    return TaskCopy(
        message=message,
        at_s=0 if score is None else math.ceil(float(score)),
        group=decode_name(group) if group else None,
        lock_s=lock_ms / 1000,
        result=result,
        attempts={slot: record for slot, record in enumerate(attempts) if record},
    )


def _each_values(container: Container, task: TaskCopy) -> tuple[Each, ...]:
    message = task.message
    locked = task.lock_s > 0 and bool(message.unique_key)
    return (
        message.id,
        blob(encode(message)),
        task.at_s,
        container.group or task.group or False,
        message.unique_key if locked else False,
        max(1, int(task.lock_s * 1000)) if locked else False,
        False if task.result is None else blob(task.result),
        tuple(
            value
            for slot, record in task.attempts.items()
            for value in (ATTEMPT_FIELDS[slot], blob(record))
        ),
    )


def _refusal(task: TaskCopy, reply: int) -> Refusal | None:
    if reply == STORED:
        return None
    queue = task.message.queue
    if reply == CONFLICT:
        return TaskIDConflictError(queue, task.message.id)
    return DuplicateTaskError(queue, task.message.type)
