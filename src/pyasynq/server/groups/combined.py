"""Decide what becomes of a staged set.

Pure: members, what the user's function made of them, and the time come in, plans go out.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from pyasynq.broker import Member, StagedSet
from pyasynq.core.compose import Plan, compose
from pyasynq.core.errors import OptionError
from pyasynq.core.message import TaskMessage, revised
from pyasynq.core.options import Options, merge, whole_seconds
from pyasynq.core.retry import asynq_delay
from pyasynq.core.settle import error_text
from pyasynq.core.task import Task


class Setback(msgspec.Struct, frozen=True, kw_only=True):
    """What follows when a set could not be combined.

    Attributes:
        wait_s: Seconds until its tasks are tried again.
        given_up: Those that are to be archived, with what went wrong.
    """

    wait_s: int
    given_up: list[Member]


def readable(members: Sequence[Member]) -> tuple[list[tuple[Member, Task]], list[Member]]:
    """Return the members that are tasks, and those that cannot be read, to be kept as they are."""
    tasks: list[tuple[Member, Task]] = []
    poison: list[Member] = []
    for member in members:
        try:
            tasks.append((member, _task(member.message)))
        except OptionError:
            poison.append(msgspec.structs.replace(member, message=None))
    return tasks, poison


def combined(task: object, staged: StagedSet, *, now: datetime) -> Plan:
    """Return the plan for the *task* that *staged* becomes.

    It stays in the queue, whatever its options say, and has the id of the set: however often a set
    is combined, there is one task.

    Raises:
        TypeError: If *task* is none.
    """
    if not isinstance(task, Task):
        msg = f"the group aggregator must return a Task, got {type(task).__name__}"
        raise TypeError(msg)
    options = merge(task.options, Options(queue=staged.queue))
    return compose(task, options, now=now, task_id=staged.id)


def setback(
    members: Sequence[Member],
    error: Exception,
    *,
    now: datetime,
    max_failures: int,
    random: float,
) -> Setback:
    """Return what follows when *members* could not be combined.

    Args:
        members: The set.
        error: What went wrong.
        now: Current time, UTC.
        max_failures: How often a task may fail to be combined.
        random: A number in [0, 1).
    """
    failures = max(member.failures for member in members)
    text = error_text(error)
    return Setback(
        wait_s=whole_seconds(asynq_delay(failures, random)),
        given_up=[
            msgspec.structs.replace(
                member, message=revised(member.message, error=text, failed_at=now)
            )
            for member in members
            if member.message is not None and member.failures + 1 >= max_failures
        ],
    )


def _task(message: TaskMessage | None) -> Task:
    message = message or TaskMessage()
    return Task(message.type, message.payload, headers=dict(message.headers))
