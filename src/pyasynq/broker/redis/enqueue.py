"""Bring tasks in."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias, cast

from pyasynq.broker.protocols import Refusal
from pyasynq.broker.redis import keys, records, scripts
from pyasynq.broker.redis.connection import Driver
from pyasynq.broker.redis.scripts import Call, Each
from pyasynq.clock import Clock
from pyasynq.compose import Grouped, Pending, Plan, Scheduled
from pyasynq.errors import BrokerError
from pyasynq.states import TaskState

REGISTERED_S: Final = 60
"""A queue is registered again after this time, in case somebody removed it (D22)."""

Register: TypeAlias = Callable[[Sequence[str]], Awaitable[None]]

ACCEPTED: Final = 1


class RedisEnqueue:
    """The enqueue path: one script call for each queue and kind of plan."""

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
        batches = scripts.batches((type(plan), plan.message.queue) for plan in plans)
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
        now = self._clock.monotonic()
        due = [queue for queue in queues if self._registered.get(queue, 0) < now]
        if due:
            await self._register_now(due)
            self._registered.update(dict.fromkeys(due, now + REGISTERED_S))


def _call(plans: Sequence[Plan]) -> Call:
    queue = plans[0].message.queue
    prefix = keys.task(queue)
    each: list[Each] = []
    match plans[0]:
        case Pending():
            for plan in plans:
                each += records.created(plan)
            return scripts.enqueue(
                each, pending=keys.container(queue, TaskState.PENDING), task_prefix=prefix
            )
        case Scheduled():
            for plan in cast("Sequence[Scheduled]", plans):
                each += (*records.created(plan), plan.at_s, plan.message.group_key)
            return scripts.schedule(
                each, scheduled=keys.container(queue, TaskState.SCHEDULED), task_prefix=prefix
            )
        case Grouped():
            for plan in plans:
                each += (*records.created(plan), plan.message.group_key)
            return scripts.group(
                each, groups=keys.groups(queue), task_prefix=prefix, group_prefix=keys.group(queue)
            )


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
            answers[place] = records.refusal(plans[place].message, reply)
