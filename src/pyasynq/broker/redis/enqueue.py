"""Bring tasks in."""

from collections.abc import Awaitable, Callable, Collection, Hashable, Iterator, Sequence
from itertools import chain
from typing import Final, TypeAlias, cast

from msgspec import Raw

from pyasynq.broker.protocols import Refusal
from pyasynq.broker.redis import keys, scripts
from pyasynq.broker.redis.connection import Driver
from pyasynq.broker.redis.scripts import Call, Each, blob
from pyasynq.clock import Clock
from pyasynq.compose import Grouped, Pending, Plan, Scheduled
from pyasynq.errors import BrokerError, DuplicateTaskError, TaskIDConflictError
from pyasynq.message import TaskMessage, encode
from pyasynq.states import TaskState

REGISTERED_S: Final = 60
"""A queue is registered again after this time, in case somebody removed it (D22)."""

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
        self._driver = driver
        self._clock = clock
        self._register_now = register
        self._registered: dict[str, float] = {}

    async def enqueue(self, plans: Sequence[Plan]) -> list[Refusal | BrokerError | None]:
        """Carry out *plans*; answer each, in order, with None or why not."""
        answers: list[Refusal | BrokerError | None] = [None] * len(plans)
        if not plans:
            return answers
        made = [created(plan) for plan in plans]
        batches = scripts.batches(
            _paths(plans),
            (len(one[1]) for one in made),
        )
        try:
            await self.register({plans[places[0]].message.queue for places in batches})
        except BrokerError as error:
            return [error] * len(plans)
        calls = [_call(plans[places[0]], [made[place] for place in places]) for places in batches]
        replies = await scripts.run_all(self._driver, calls)
        for places, reply in zip(batches, replies, strict=True):
            if isinstance(reply, BrokerError):
                for place in places:
                    answers[place] = reply
            else:
                _place_refusals(answers, plans, places, cast("list[int]", reply))
        return answers

    async def register(self, queues: Collection[str]) -> None:
        """Make *queues* known to inspectors, unless that was done just now."""
        now = self._clock.monotonic()
        due = [queue for queue in queues if self._registered.get(queue, 0) < now]
        if due:
            await self._register_now(due)
            self._registered.update(dict.fromkeys(due, now + REGISTERED_S))


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
