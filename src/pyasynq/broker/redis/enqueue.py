"""Bring tasks in."""

import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias, cast

from pyasynq.broker.protocols import Refusal
from pyasynq.broker.redis import keys, scripts
from pyasynq.broker.redis.connection import Driver
from pyasynq.broker.redis.scripts import MAX_TASKS, Call, Each, blob
from pyasynq.compose import Grouped, Pending, Plan, Scheduled
from pyasynq.errors import BrokerError, DuplicateTaskError, TaskIDConflictError
from pyasynq.message import TaskMessage, encode
from pyasynq.states import TaskState

REGISTERED_S: Final = 60
"""A queue is registered again after this time, in case somebody removed it (D22)."""

Register: TypeAlias = Callable[[Sequence[str]], Awaitable[None]]

ACCEPTED: Final = 1
CONFLICT: Final = 0


class RedisEnqueue:
    """The enqueue path: one script call for each queue and kind of plan."""

    def __init__(self, driver: Driver, register: Register) -> None:
        """Send to *driver*; *register* makes queues known to inspectors."""
        self._driver = driver
        self._register_now = register
        self._registered: dict[str, float] = {}

    async def enqueue(self, plans: Sequence[Plan]) -> list[Refusal | BrokerError | None]:
        """Carry out *plans*; answer each, in order, with None or why not."""
        answers: list[Refusal | BrokerError | None] = [None] * len(plans)
        if not plans:
            return answers
        batches = _batches(plans)
        try:
            await self._register({plans[places[0]].message.queue for places in batches})
        except BrokerError as error:
            return [error] * len(plans)
        calls = [_call([plans[place] for place in places]) for places in batches]
        replies = await scripts.run_all(self._driver, calls)
        for places, reply in zip(batches, replies, strict=True):
            if isinstance(reply, BrokerError):
                for place in places:
                    answers[place] = reply
            else:
                _place_refusals(answers, plans, places, cast("list[int]", reply))
        return answers

    async def _register(self, queues: set[str]) -> None:
        now = time.monotonic()
        due = [queue for queue in queues if self._registered.get(queue, 0) < now]
        if due:
            await self._register_now(due)
            self._registered.update(dict.fromkeys(due, now + REGISTERED_S))


def _batches(plans: Sequence[Plan]) -> list[list[int]]:
    """Return the places of plans that go out in one call each."""
    first = plans[0]
    if len(plans) == 1 or all(_same_path(first, plan) for plan in plans):
        places = list(range(len(plans)))
        return [places[at : at + MAX_TASKS] for at in range(0, len(places), MAX_TASKS)]
    return [
        places[at : at + MAX_TASKS]
        for places in _by_path(plans)
        for at in range(0, len(places), MAX_TASKS)
    ]


def _by_path(plans: Sequence[Plan]) -> list[list[int]]:
    """Return the places of plans of one kind and queue.

    Of plans that claim the same id or lock the first is to have it, so a later one of another kind
    does not go with those before it.
    """
    sorted_out: list[list[int]] = []
    by_path: defaultdict[tuple[type[Plan], str], list[int]] = defaultdict(list)
    claimed: dict[tuple[str, ...], type[Plan]] = {}
    one_kind = len({type(plan) for plan in plans}) == 1
    for place, plan in enumerate(plans):
        kind = type(plan)
        claims = () if one_kind else _claims(plan)
        if any(claimed.get(claim, kind) is not kind for claim in claims):
            sorted_out += by_path.values()
            by_path, claimed = defaultdict(list), {}
        by_path[kind, plan.message.queue].append(place)
        claimed.update(dict.fromkeys(claims, kind))
    return [*sorted_out, *by_path.values()]


def _claims(plan: Plan) -> list[tuple[str, ...]]:
    """Return what another plan may want as well."""
    message = plan.message
    task = (message.queue, message.id)
    return [task] if plan.lock is None else [task, (message.queue, message.type, plan.lock.digest)]


def _same_path(first: Plan, plan: Plan) -> bool:
    return type(plan) is type(first) and plan.message.queue == first.message.queue


def _call(plans: Sequence[Plan]) -> Call:
    queue = plans[0].message.queue
    prefix = keys.task(queue)
    each: list[Each] = []
    for plan in plans:
        each += _created(plan)
    match plans[0]:
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


def _created(plan: Plan) -> tuple[Each, ...]:
    """Return what the scripts' EACH names for *plan*."""
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
    if all(replies) and min(replies) == ACCEPTED:
        return
    for place, reply in zip(places, replies, strict=True):
        if reply != ACCEPTED:
            answers[place] = _refusal(plans[place].message, reply)


def _refusal(message: TaskMessage, reply: int) -> Refusal:
    if reply == CONFLICT:
        return TaskIDConflictError(message.queue, message.id)
    return DuplicateTaskError(message.queue, message.type)
