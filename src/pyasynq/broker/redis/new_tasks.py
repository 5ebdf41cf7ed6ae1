"""New tasks as values of the script `create`."""

from collections.abc import Sequence
from itertools import chain
from typing import Final, Literal, TypeAlias

import msgspec

from pyasynq.broker.ports.creation import NewTask, Receipt, ReplacesSet, Tick
from pyasynq.broker.redis import keys
from pyasynq.broker.redis.connection import CommandArg
from pyasynq.broker.redis.lua import create as scripts
from pyasynq.broker.redis.scripts import Call, Each, blob
from pyasynq.core.compose import Pending, Plan, Scheduled
from pyasynq.core.message import encode, unique_key
from pyasynq.core.policy import CREDIBLE_S, EARLY_S
from pyasynq.core.states import TaskState

EachValues: TypeAlias = tuple[str, msgspec.Raw, *tuple[Each, ...]]
"""A task's values for the EACH of the script; only the first two if the others are unset."""

PLAIN: Final = 2
"""Number of values of a task that only goes to pending."""

_UNSET: Final = (False,) * (len(scripts.create.each) - PLAIN)
"""The other values of such a task."""


def create_call(queue: str, rows: Sequence[EachValues]) -> Call:
    """Return the call that creates the tasks of *rows* in *queue*."""
    pending, prefix = keys.container(queue, TaskState.PENDING), keys.task(queue)
    if max(map(len, rows)) == PLAIN:
        plain = list(chain.from_iterable(rows))
        return scripts.create(plain, pending=pending, task_prefix=prefix)
    complete = (row + _UNSET if len(row) == PLAIN else row for row in rows)
    return scripts.create(
        list(chain.from_iterable(complete)), **container_values(queue), task_prefix=prefix
    )


def container_values(queue: str) -> dict[str, CommandArg]:
    """Return the keys and arguments by which scripts put new tasks of *queue* where they wait."""
    return {
        "pending": keys.container(queue, TaskState.PENDING),
        "scheduled": keys.container(queue, TaskState.SCHEDULED),
        "groups": keys.groups(queue),
        "group_prefix": keys.group(queue),
    }


def each_values(task: NewTask) -> EachValues:
    """Return the values of *task* for the script's EACH, and set the lock in its message."""
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
    return *plain, lock, ttl_s, at_s, group, _guard_values(task)


def _guard_values(task: NewTask) -> Each:
    queue = task.plan.message.queue
    match task.guard:
        case None:
            return False
        case Receipt(row=row, ttl_s=ttl_s):
            return "receipt", keys.receipt(queue, row), ttl_s
        case ReplacesSet(group_set=group_set):
            key = keys.aggregation_set(queue, group_set.group, group_set.id)
            return "replaces", key, keys.aggregation_sets(queue)
        case Tick(known_s=known_s, at_s=at_s, ttl_s=ttl_s) as tick:
            last = keys.last_tick(queue, tick.entry_id)
            return "tick", last, known_s, at_s, ttl_s, EARLY_S, CREDIBLE_S


def complete_values(plan: Plan) -> EachValues:
    """Return all values of the task of *plan* for the script's EACH, except for a guard."""
    task_id, message, *others = each_values(NewTask(plan))
    return task_id, message, *(others or _UNSET)[:-1]
