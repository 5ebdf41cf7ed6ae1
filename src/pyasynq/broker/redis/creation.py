"""Create tasks."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Hashable, Sequence
from typing import Final, TypeAlias, cast

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from pyasynq.broker.ports.creation import (
    Created,
    NewTask,
    NotCreated,
    Refusal,
    ReplacesSet,
    TickResult,
)
from pyasynq.broker.records import read_message
from pyasynq.broker.redis import keys, pipeline
from pyasynq.broker.redis.connection import Driver, execute, lost_connection, map_error
from pyasynq.broker.redis.new_tasks import create_call, each_values
from pyasynq.broker.redis.scripts import Call
from pyasynq.core.errors import (
    BrokerError,
    BrokerFullError,
    BrokerReadOnlyError,
    BrokerUnavailableError,
    DuplicateTaskError,
    TaskIDConflictError,
)
from pyasynq.core.message import TaskMessage
from pyasynq.runtime.clock import Clock
from pyasynq.runtime.loggers import get_logger

log: Final = get_logger("pyasynq.broker")

RETRY_REGISTRATION_S: Final = 5
"""If a queue could not be registered because a node is down, time until the next attempt."""

REGISTERED_S: Final = 60
"""A queue is registered again after this time, because somebody may have removed it (D22)."""

OUTAGES: Final = (BrokerUnavailableError, BrokerReadOnlyError, BrokerFullError)
"""Errors that affect every call, not single queues."""

Register: TypeAlias = Callable[[Collection[str]], Awaitable[None]]
"""Makes queues known to inspectors."""

CREATED: Final = 1
CONFLICT: Final = 0
NOT_CREATED: Final = -2
IN_FUTURE: Final = -3

Reply: TypeAlias = int | bytes | list[int]
"""The script's answer for a task: a code, an error of Redis, or the values of a `TickResult`."""


class RedisCreation:
    """The creation port: one script call for each queue, more only for many tasks."""

    def __init__(self, driver: Driver, register: Register, clock: Clock) -> None:
        """Send calls over *driver*; *register* makes queues known to inspectors."""
        self.apart: bool = not isinstance(driver, Redis)
        self._driver = driver
        self._clock = clock
        self._register_now = register
        self._registered: dict[str, float] = {}
        self._unregistered: set[str] = set()

    async def create(self, tasks: Sequence[NewTask]) -> list[Created]:
        """Create each of *tasks* if its guard allows it; return the answers in order."""
        rows = [each_values(task) for task in tasks]
        batches = pipeline.batches(map(_batch_key, tasks), [len(row[1]) for row in rows])
        queues = [tasks[indexes[0]].plan.message.queue for indexes in batches]
        calls = [
            create_call(queue, [rows[index] for index in indexes])
            for queue, indexes in zip(queues, batches, strict=True)
        ]
        replies = await self._run_all(set(queues), calls)
        if any(map(lost_connection, replies)):
            replies = await self._resend(tasks, batches, calls, replies)
        answers: list[Created] = [None] * len(tasks)
        for indexes, reply in zip(batches, replies, strict=True):
            _fill_answers(answers, tasks, indexes, reply)
        return answers

    async def register(self, queues: Collection[str]) -> None:
        """Make *queues* known to inspectors, unless that was done within `REGISTERED_S`.

        A failure is logged once for each queue and tried again; no task is refused because of it.

        Raises:
            BrokerError: If Redis accepts no writes at all.
        """
        now = self._clock.monotonic()
        due = {queue for queue in queues if self._registered.get(queue, 0) < now}
        if not due:
            return
        try:
            await self._register_now(due)
        except OUTAGES:
            if isinstance(self._driver, Redis):
                raise
            # On a cluster the names are on another node than the tasks, so do not wait for that
            # node at every call.
            self._registered.update(
                dict.fromkeys(due, self._clock.monotonic() + RETRY_REGISTRATION_S)
            )
        except BrokerError as error:
            if due - self._unregistered:
                log.warning("inspectors do not see queues %s: %s", sorted(due), error)
            self._unregistered |= due
        else:
            self._registered.update(dict.fromkeys(due, now + REGISTERED_S))
            self._unregistered -= due

    async def _run_all(self, queues: Collection[str], calls: Sequence[Call]) -> list[object]:
        """Run *calls* after registering *queues*; on a cluster do both at the same time."""
        if isinstance(self._driver, Redis):
            try:
                await self.register(queues)
            except BrokerError as error:
                return [error] * len(calls)
            return await pipeline.run_all(self._driver, calls)
        _, replies = await asyncio.gather(
            self.register(queues), pipeline.run_all(self._driver, calls)
        )
        return replies

    async def _resend(
        self,
        tasks: Sequence[NewTask],
        batches: Sequence[Sequence[int]],
        calls: Sequence[Call],
        replies: Sequence[object],
    ) -> list[object]:
        """Send the calls again whose connection broke, and return the answers to all calls.

        No task is created twice, because its id is taken. If the same task has the id, the first
        try has created it.
        """
        unanswered = [n for n, reply in enumerate(replies) if lost_connection(reply)]
        answers = list(replies)
        second = await pipeline.run_all(self._driver, [calls[n] for n in unanswered])
        for n, reply in zip(unanswered, second, strict=True):
            answers[n] = reply
            if not isinstance(reply, BrokerError):
                pairs = zip(batches[n], cast("list[Reply]", reply), strict=True)
                answers[n] = [await self._second_answer(tasks[index], one) for index, one in pairs]
        return answers

    async def _second_answer(self, task: NewTask, reply: Reply) -> Reply:
        """Return the answer for *task*, whose second try got *reply*."""
        if reply != CONFLICT:
            return reply
        ours = task.plan.message
        key = keys.task(ours.queue, ours.id)
        try:
            data = await execute(self._driver, "HGET", key, "msg")
        except BrokerError:
            return reply
        stored, is_sound = read_message(
            ours.queue, ours.id.encode(), cast("bytes | None", data) or b""
        )
        same = is_sound and (stored.type, stored.payload) == (ours.type, ours.payload)
        return CREATED if same else CONFLICT


def _batch_key(task: NewTask) -> Hashable:
    """Return a value that all tasks of one call share."""
    queue = task.plan.message.queue
    if isinstance(task.guard, ReplacesSet):
        return queue, task.guard.group_set.id  # one set may be as much work as a call may do
    return queue


def _fill_answers(
    answers: list[Created], tasks: Sequence[NewTask], indexes: Sequence[int], reply: object
) -> None:
    if isinstance(reply, BrokerError):
        for index in indexes:
            answers[index] = reply
        return
    replies = cast("list[Reply]", reply)
    if replies.count(CREATED) == len(replies):
        return
    for index, one in zip(indexes, replies, strict=True):
        answers[index] = _answer(tasks[index], one)


def _answer(task: NewTask, reply: Reply) -> Created:
    message = task.plan.message
    if isinstance(reply, bytes):
        return map_error(ResponseError(reply.decode(errors="replace")))
    if isinstance(reply, list):
        return _tick_result(message, *reply)
    return NotCreated() if reply == NOT_CREATED else _refusal(message, reply)


def _tick_result(
    message: TaskMessage, reply: int, last_s: int, clock_ms: int, rejected_s: int
) -> TickResult:
    if reply in {NOT_CREATED, IN_FUTURE}:
        clock_s = clock_ms / 1000 if reply == IN_FUTURE else None
        return TickResult(last_s=last_s, moved=False, clock_s=clock_s)
    return TickResult(
        last_s=last_s,
        moved=True,
        refusal=_refusal(message, reply),
        rejected_s=None if rejected_s < 0 else rejected_s,
    )


def _refusal(message: TaskMessage, reply: int) -> Refusal | None:
    """Return why a task was refused, by the script's *reply*; None if it was created."""
    if reply == CREATED:
        return None
    if reply == CONFLICT:
        return TaskIDConflictError(message.queue, message.id)
    return DuplicateTaskError(message.queue, message.type)
