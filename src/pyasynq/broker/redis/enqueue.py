"""Bring tasks in."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Hashable, Iterator, Sequence
from itertools import chain
from typing import Final, TypeAlias, cast

from msgspec import Raw
from redis.asyncio import Redis

from pyasynq.broker.protocols import Refusal
from pyasynq.broker.redis import keys, pipeline, scripts
from pyasynq.broker.redis.connection import Driver, execute, is_broken
from pyasynq.broker.redis.records import read_message
from pyasynq.broker.redis.scripts import Call, Each, blob
from pyasynq.clock import Clock
from pyasynq.compose import Grouped, Pending, Plan, Scheduled
from pyasynq.errors import (
    BrokerError,
    BrokerFullError,
    BrokerReadOnlyError,
    BrokerUnavailableError,
    DuplicateTaskError,
    TaskIDConflictError,
)
from pyasynq.loggers import get_logger
from pyasynq.message import TaskMessage, encode
from pyasynq.states import TaskState

log = get_logger("pyasynq.broker")

UNREGISTERED_S: Final = 5
"""A queue that could not be registered, because a node is away, is not tried before this time."""

REGISTERED_S: Final = 60
"""A queue is registered again after this time, in case somebody removed it (D22)."""

OUT_OF_ORDER: Final = (BrokerUnavailableError, BrokerReadOnlyError, BrokerFullError)
"""Errors that concern every call alike."""

Register: TypeAlias = Callable[[Collection[str]], Awaitable[None]]
"""Makes queues known to inspectors."""

ACCEPTED: Final = 1
CONFLICT: Final = 0

Created: TypeAlias = tuple[str, Raw, *tuple[Each, ...]]
"""What comes for a new task: id, message, and what the script's EACH names after them."""


class RedisEnqueue:
    """The enqueue path: one script call for each queue and kind of plan, unless they are many."""

    def __init__(self, driver: Driver, register: Register, clock: Clock) -> None:
        """Send to *driver*; *register* makes queues known to inspectors."""
        self.apart = not isinstance(driver, Redis)
        self._driver = driver
        self._clock = clock
        self._register_now = register
        self._registered: dict[str, float] = {}
        self._unregistered: set[str] = set()

    async def enqueue(self, plans: Sequence[Plan]) -> list[Refusal | BrokerError | None]:
        """Carry out *plans*; answer each, in order, with None or why not."""
        answers: list[Refusal | BrokerError | None] = [None] * len(plans)
        if not plans:
            return answers
        made = [created(plan) for plan in plans]
        batches = pipeline.batches(
            _paths(plans),
            (len(one[1]) for one in made),
        )
        calls = [_call(plans[places[0]], [made[place] for place in places]) for places in batches]
        queues = {plans[places[0]].message.queue for places in batches}
        replies = await self._run_all(queues, calls)
        if any(map(is_broken, replies)):
            replies = await self._again(plans, batches, calls, replies)
        for places, reply in zip(batches, replies, strict=True):
            if isinstance(reply, BrokerError):
                for place in places:
                    answers[place] = reply
            else:
                _place_refusals(answers, plans, places, cast("list[int]", reply))
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
        plans: Sequence[Plan],
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
                answers = zip(batches[n], cast("list[int]", reply), strict=True)
                told[n] = [await self._settled(plans[place], one) for place, one in answers]
        return told

    async def _settled(self, plan: Plan, reply: int) -> int:
        """Return what became of *plan*, whose second try was answered *reply*."""
        if reply != CONFLICT:
            return reply
        ours = plan.message
        key = keys.task(ours.queue, ours.id)
        try:
            data = await execute(self._driver, "HGET", key, "msg")
        except BrokerError:
            return reply
        there, sound = read_message(ours.queue, ours.id.encode(), cast("bytes | None", data) or b"")
        same = sound and (there.type, there.payload) == (ours.type, ours.payload)
        return ACCEPTED if same else CONFLICT


def _paths(plans: Sequence[Plan]) -> Iterator[Hashable]:
    """Yield for each plan what it shares with those that go out in the same call.

    Of plans that claim the same id or lock the first is to have it; so one of another kind, which
    is another call, has to wait for a later turn.
    """
    if len({type(plan) for plan in plans}) == 1:
        yield from (plan.message.queue for plan in plans)
        return
    turn = 0
    claimed: dict[tuple[str, ...], type[Plan]] = {}
    for plan in plans:
        kind, claims = type(plan), _claims(plan)
        if any(claimed.get(claim, kind) is not kind for claim in claims):
            turn, claimed = turn + 1, {}
        claimed.update(dict.fromkeys(claims, kind))
        yield turn, kind, plan.message.queue


def _claims(plan: Plan) -> list[tuple[str, ...]]:
    """Return what another plan may want as well."""
    message = plan.message
    task = (message.queue, message.id)
    return [task] if plan.lock is None else [task, (message.queue, message.type, plan.lock.digest)]


def _call(first: Plan, made: Sequence[Created]) -> Call:
    queue = first.message.queue
    prefix = keys.task(queue)
    each = list(chain.from_iterable(made))
    match first:
        case Pending():
            return scripts.enqueue(
                each, pending=keys.container(queue, TaskState.PENDING), task_prefix=prefix
            )
        case Scheduled():
            return scripts.schedule(
                each, scheduled=keys.container(queue, TaskState.SCHEDULED), task_prefix=prefix
            )
        case Grouped():
            return scripts.group(
                each, groups=keys.groups(queue), task_prefix=prefix, group_prefix=keys.group(queue)
            )


def created(plan: Plan) -> Created:
    """Return what the scripts' EACH names for *plan*, and name its lock in its message."""
    message = plan.message
    lock, ttl_s = "", 0
    if plan.lock is not None:
        lock = keys.unique(message.queue, message.type, plan.lock.digest)
        ttl_s = plan.lock.ttl_s
        message.unique_key = lock
    created = (message.id, blob(encode(message)), lock, ttl_s)
    match plan:
        case Pending():
            return created
        case Scheduled(at_s=at_s):
            return *created, at_s, message.group_key
        case Grouped():
            return *created, message.group_key


def _place_refusals(
    answers: list[Refusal | BrokerError | None],
    plans: Sequence[Plan],
    places: Sequence[int],
    replies: Sequence[int],
) -> None:
    if min(replies) == ACCEPTED:
        return
    for place, reply in zip(places, replies, strict=True):
        if reply != ACCEPTED:
            answers[place] = refusal(plans[place].message, reply)


def refusal(message: TaskMessage, reply: int) -> Refusal:
    """Return why a task was refused, from the script's *reply*."""
    if reply == CONFLICT:
        return TaskIDConflictError(message.queue, message.id)
    return DuplicateTaskError(message.queue, message.type)
