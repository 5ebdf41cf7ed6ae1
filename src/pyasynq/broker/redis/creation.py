"""Create tasks."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Hashable, Sequence
from itertools import chain
from typing import Final, Literal, TypeAlias, cast

import msgspec
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from pyasynq.broker.ports.creation import (
    Created,
    NewTask,
    NotCreated,
    Receipt,
    Refusal,
    ReplacesSet,
    Tick,
    TickResult,
)
from pyasynq.broker.redis import keys, pipeline
from pyasynq.broker.redis.connection import Driver, execute, is_broken, map_error
from pyasynq.broker.redis.lua import create as scripts
from pyasynq.broker.redis.records import read_message
from pyasynq.broker.redis.scripts import Call, Each, blob
from pyasynq.core.compose import Pending, Scheduled
from pyasynq.core.errors import (
    BrokerError,
    BrokerFullError,
    BrokerReadOnlyError,
    BrokerUnavailableError,
    DuplicateTaskError,
    TaskIDConflictError,
)
from pyasynq.core.message import TaskMessage, encode, unique_key
from pyasynq.core.policy import CREDIBLE_S, EARLY_S
from pyasynq.core.states import TaskState
from pyasynq.runtime.clock import Clock
from pyasynq.runtime.loggers import get_logger

log: Final = get_logger("pyasynq.broker")

UNREGISTERED_S: Final = 5
"""A queue that could not be registered, because a node is away, is not tried before this time."""

REGISTERED_S: Final = 60
"""A queue is registered again after this time, in case somebody removed it (D22)."""

OUT_OF_ORDER: Final = (BrokerUnavailableError, BrokerReadOnlyError, BrokerFullError)
"""Errors that concern every call alike."""

Register: TypeAlias = Callable[[Collection[str]], Awaitable[None]]
"""Makes queues known to inspectors."""

CREATED: Final = 1
CONFLICT: Final = 0
WITHHELD: Final = -2
STILL_TO_COME: Final = -3

Wired: TypeAlias = tuple[str, msgspec.Raw, *tuple[Each, ...]]
"""What the script's EACH names for a task; the first two alone if no more is to be said."""

PLAIN: Final = 2
_NOT_GIVEN: Final = (False,) * (len(scripts.create.each) - PLAIN)

Reply: TypeAlias = int | bytes | list[int]
"""What the script answers for a task: a number, Redis' error, or what it tells of a tick."""


class RedisCreation:
    """The create port: one script call for each queue, unless the tasks are many."""

    def __init__(self, driver: Driver, register: Register, clock: Clock) -> None:
        """Send to *driver*; *register* makes queues known to inspectors."""
        self.apart: bool = not isinstance(driver, Redis)
        self._driver = driver
        self._clock = clock
        self._register_now = register
        self._registered: dict[str, float] = {}
        self._unregistered: set[str] = set()

    async def create(self, tasks: Sequence[NewTask]) -> list[Created]:
        """Create *tasks*, each if its guard lets it; answer each, in order."""
        wired = [_wired(task) for task in tasks]
        batches = pipeline.batches(map(_path, tasks), (len(one[1]) for one in wired))
        queues = [tasks[places[0]].plan.message.queue for places in batches]
        calls = [
            _call(queue, [wired[place] for place in places])
            for queue, places in zip(queues, batches, strict=True)
        ]
        replies = await self._run_all(set(queues), calls)
        if any(map(is_broken, replies)):
            replies = await self._again(tasks, batches, calls, replies)
        answers: list[Created] = [None] * len(tasks)
        for places, reply in zip(batches, replies, strict=True):
            _place_answers(answers, tasks, places, reply)
        return answers

    async def register(self, queues: Collection[str]) -> None:
        """Make *queues* known to inspectors, unless that was done just now.

        What fails is logged once and tried again: it is no reason to refuse a task.

        Raises:
            BrokerError: If the whole of Redis is out of order, and not these names.
        """
        now = self._clock.monotonic()
        due = {queue for queue in queues if self._registered.get(queue, 0) < now}
        if not due:
            return
        try:
            await self._register_now(due)
        except OUT_OF_ORDER:
            if isinstance(self._driver, Redis):
                raise
            # On a cluster the names are on another node than the tasks: it is not waited for again
            # and again.
            self._registered.update(dict.fromkeys(due, self._clock.monotonic() + UNREGISTERED_S))
        except BrokerError as error:
            if due - self._unregistered:
                log.warning("inspectors do not see queues %s: %s", sorted(due), error)
            self._unregistered |= due
        else:
            self._registered.update(dict.fromkeys(due, now + REGISTERED_S))
            self._unregistered -= due

    async def _run_all(self, queues: Collection[str], calls: Sequence[Call]) -> list[object]:
        """Run *calls*, once *queues* are known to inspectors; on a cluster meanwhile."""
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

    async def _again(
        self,
        tasks: Sequence[NewTask],
        batches: Sequence[Sequence[int]],
        calls: Sequence[Call],
        replies: Sequence[object],
    ) -> list[object]:
        """Send the calls again whose connection broke: ids keep a task from being created twice.

        An id that is taken by the very task was taken at the first try.
        """
        doubtful = [n for n, reply in enumerate(replies) if is_broken(reply)]
        told = list(replies)
        second = await pipeline.run_all(self._driver, [calls[n] for n in doubtful])
        for n, reply in zip(doubtful, second, strict=True):
            told[n] = reply
            if not isinstance(reply, BrokerError):
                answers = zip(batches[n], cast("list[Reply]", reply), strict=True)
                told[n] = [await self._settled(tasks[place], one) for place, one in answers]
        return told

    async def _settled(self, task: NewTask, reply: Reply) -> Reply:
        """Return what became of *task*, whose second try was answered *reply*."""
        if reply != CONFLICT:
            return reply
        ours = task.plan.message
        key = keys.task(ours.queue, ours.id)
        try:
            data = await execute(self._driver, "HGET", key, "msg")
        except BrokerError:
            return reply
        there, sound = read_message(ours.queue, ours.id.encode(), cast("bytes | None", data) or b"")
        same = sound and (there.type, there.payload) == (ours.type, ours.payload)
        return CREATED if same else CONFLICT


def _path(task: NewTask) -> Hashable:
    """Return what a task shares with those that go out in the same call."""
    queue = task.plan.message.queue
    if isinstance(task.guard, ReplacesSet):
        return queue, task.guard.staged.id  # a set may have as many tasks as a call has work
    return queue


def _call(queue: str, wired: Sequence[Wired]) -> Call:
    pending, prefix = keys.container(queue, TaskState.PENDING), keys.task(queue)
    if all(len(one) == PLAIN for one in wired):
        plain = list(chain.from_iterable(wired))
        return scripts.create(plain, pending=pending, task_prefix=prefix)
    whole = (one + _NOT_GIVEN if len(one) == PLAIN else one for one in wired)
    return scripts.create(
        list(chain.from_iterable(whole)),
        pending=pending,
        task_prefix=prefix,
        scheduled=keys.container(queue, TaskState.SCHEDULED),
        groups=keys.groups(queue),
        group_prefix=keys.group(queue),
    )


def _wired(task: NewTask) -> Wired:
    """Return what the script's EACH names for *task*, and name its lock in its message."""
    plan = task.plan
    message = plan.message
    lock: str | Literal[False] = False
    ttl_s: int | Literal[False] = False
    if plan.lock is not None:
        lock, ttl_s = unique_key(message.queue, message.type, plan.lock.digest), plan.lock.ttl_s
        message.unique_key = lock
    plain = (message.id, blob(encode(message)))
    if type(plan) is Pending and not lock and task.guard is None:
        return plain
    at_s = plan.at_s if isinstance(plan, Scheduled) else False
    group = False if isinstance(plan, Pending) else message.group_key or False
    return *plain, lock, ttl_s, at_s, group, _guard(task)


def _guard(task: NewTask) -> Each:
    queue = task.plan.message.queue
    match task.guard:
        case None:
            return False
        case Receipt(row=row, ttl_s=ttl_s):
            return "receipt", keys.receipt(queue, row), ttl_s
        case ReplacesSet(staged=staged):
            key = keys.staged(queue, staged.group, staged.id)
            return "replaces", key, keys.aggregation_sets(queue)
        case Tick(known_s=known_s, at_s=at_s, ttl_s=ttl_s) as tick:
            last = keys.last_tick(queue, tick.entry_id)
            return "tick", last, known_s, at_s, ttl_s, EARLY_S, CREDIBLE_S


def _place_answers(
    answers: list[Created], tasks: Sequence[NewTask], places: Sequence[int], reply: object
) -> None:
    if isinstance(reply, BrokerError):
        for place in places:
            answers[place] = reply
        return
    replies = cast("list[Reply]", reply)
    if replies.count(CREATED) == len(replies):
        return
    for place, one in zip(places, replies, strict=True):
        answers[place] = _answer(tasks[place], one)


def _answer(task: NewTask, reply: Reply) -> Created:
    message = task.plan.message
    if isinstance(reply, bytes):
        return map_error(ResponseError(reply.decode(errors="replace")))
    if isinstance(reply, list):
        return _ticked(message, *reply)
    return NotCreated() if reply == WITHHELD else _refusal(message, reply)


def _ticked(
    message: TaskMessage, reply: int, last_s: int, clock_ms: int, rejected_s: int
) -> TickResult:
    if reply in {WITHHELD, STILL_TO_COME}:
        clock_s = clock_ms / 1000 if reply == STILL_TO_COME else None
        return TickResult(last_s=last_s, moved=False, clock_s=clock_s)
    return TickResult(
        last_s=last_s,
        moved=True,
        refusal=_refusal(message, reply),
        rejected_s=None if rejected_s < 0 else rejected_s,
    )


def _refusal(message: TaskMessage, reply: int) -> Refusal | None:
    """Return why a task was refused, from the script's *reply*, if it was."""
    if reply == CREATED:
        return None
    if reply == CONFLICT:
        return TaskIDConflictError(message.queue, message.id)
    return DuplicateTaskError(message.queue, message.type)
