"""Bring in the tasks of an outbox, each once."""

from collections.abc import Sequence
from itertools import chain, islice
from typing import Final, TypeAlias, cast

from pyasynq.broker.protocols import Refusal
from pyasynq.broker.redis import keys, pipeline, scripts
from pyasynq.broker.redis.connection import Driver
from pyasynq.broker.redis.enqueue import Register, created, refusal
from pyasynq.broker.redis.scripts import Call, Each
from pyasynq.compose import Grouped, Pending, Plan, Scheduled
from pyasynq.errors import BrokerError
from pyasynq.states import TaskState

Row: TypeAlias = tuple[str, Plan]

OF_EVERY_PLAN: Final = 4
"""Values that ``lua/shared/created.lua`` wants: id, message, lock, and the lock's life."""

CREATED: Final = 1
CREATED_BEFORE: Final = 2


class RedisRelay:
    """The relay path: one script call for each queue."""

    def __init__(self, driver: Driver, register: Register) -> None:
        """Send to *driver*; *register* makes queues known to inspectors."""
        self._driver = driver
        self._register = register

    async def relay(
        self, rows: Sequence[Row], *, kept_s: int
    ) -> list[bool | Refusal | BrokerError]:
        """Carry out the plans of *rows*; keep receipts for *kept_s* seconds."""
        tasks = [created(plan) for _, plan in rows]
        made = [
            (row, *islice(task, OF_EVERY_PLAN), *_place(plan))
            for (row, plan), task in zip(rows, tasks, strict=True)
        ]
        batches = pipeline.batches(
            (plan.message.queue for _, plan in rows), (len(task[1]) for task in tasks)
        )
        answers: list[bool | Refusal | BrokerError] = [False] * len(rows)
        try:
            await self._register({rows[places[0]][1].message.queue for places in batches})
        except BrokerError as error:
            return [error] * len(rows)
        calls = [
            _relayed(rows[places[0]][1].message.queue, [made[place] for place in places], kept_s)
            for places in batches
        ]
        replies = await pipeline.run_all(self._driver, calls)
        for places, reply in zip(batches, replies, strict=True):
            told = [reply] * len(places) if isinstance(reply, BrokerError) else reply
            for place, one in zip(places, cast("list[int | BrokerError]", told), strict=True):
                answers[place] = _answer(rows[place][1], one)
        return answers

    async def shorten(self, rows: Sequence[tuple[str, str]], *, kept_s: int) -> None:
        """Let the receipts of *rows*, queue and id, end *kept_s* seconds from now."""
        batches = pipeline.batches(queue for queue, _ in rows)
        calls = [
            scripts.shorten(
                [rows[place][1] for place in places],
                receipt_prefix=keys.receipt(rows[places[0]][0]),
                kept_s=kept_s,
            )
            for places in batches
        ]
        for reply in await pipeline.run_all(self._driver, calls):
            if isinstance(reply, BrokerError):
                raise reply


def _relayed(queue: str, made: Sequence[Sequence[Each]], kept_s: int) -> Call:
    return scripts.relay(
        list(chain.from_iterable(made)),
        pending=keys.container(queue, TaskState.PENDING),
        scheduled=keys.container(queue, TaskState.SCHEDULED),
        groups=keys.groups(queue),
        task_prefix=keys.task(queue),
        group_prefix=keys.group(queue),
        receipt_prefix=keys.receipt(queue),
        kept_s=kept_s,
    )


def _place(plan: Plan) -> tuple[int, str]:
    """Return when to run, 0 for at once, and the group to join."""
    match plan:
        case Pending():
            return 0, ""
        case Scheduled(at_s=at_s):
            return at_s, plan.message.group_key
        case Grouped():
            return 0, plan.message.group_key


def _answer(plan: Plan, reply: int | BrokerError) -> bool | Refusal | BrokerError:
    if isinstance(reply, BrokerError):
        return reply
    if reply in {CREATED, CREATED_BEFORE}:
        return reply == CREATED
    return refusal(plan.message, reply)
