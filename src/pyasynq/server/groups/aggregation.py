"""Decide what becomes of a staged set.

Pure: members, what the user's function made of them, and the time come in, plans go out.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from pyasynq.broker import AggregationSet, GroupedTask
from pyasynq.core.codec import Codecs
from pyasynq.core.errors import OptionError
from pyasynq.core.extension_errors import CodecError
from pyasynq.core.message import TaskMessage, with_outcome
from pyasynq.core.options import Options, merge, whole_seconds
from pyasynq.core.retry import asynq_delay
from pyasynq.core.task import Task
from pyasynq.core.verdict import error_text


class AggregationFailure(msgspec.Struct, frozen=True, kw_only=True):
    """What follows when a set could not be combined.

    Attributes:
        wait_s: Seconds until its tasks are tried again.
        given_up: Those that are to be archived, with what went wrong.
    """

    wait_s: int
    given_up: list[GroupedTask]


class SetContents(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a set.

    Attributes:
        tasks: Those that can be combined.
        poison: Those that cannot be read, to be kept as they are.
        sealed: Those that cannot be opened here, and why not.
    """

    tasks: list[tuple[GroupedTask, Task]]
    poison: list[GroupedTask]
    sealed: list[tuple[GroupedTask, CodecError]]


def read(members: Sequence[GroupedTask], codecs: Codecs) -> SetContents:
    """Return what *members* are, opened by *codecs*."""
    found = SetContents(tasks=[], poison=[], sealed=[])
    for member in members:
        try:
            if member.message is None:
                found.poison.append(member)
            else:
                found.tasks.append((member, _task(member.message, codecs)))
        except OptionError:  # none of ours would have such a type
            found.poison.append(msgspec.structs.replace(member, message=None))
        except CodecError as error:
            found.sealed.append((member, error))
    return found


def checked_task(task: object) -> Task:
    """Return *task* if it is one.

    Raises:
        TypeError: If it is not.
    """
    if not isinstance(task, Task):
        msg = f"the group aggregator must return a Task, got {type(task).__name__}"
        raise TypeError(msg)
    return task


def placed(options: Options, staged: AggregationSet) -> Options:
    """Return *options* for the task of *staged*, which stays in the queue, whatever they say."""
    return merge(options, Options(queue=staged.queue))


def failure_of(
    members: Sequence[GroupedTask],
    error: Exception,
    *,
    now: datetime,
    max_failures: int,
    random: float,
) -> AggregationFailure:
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
    return AggregationFailure(
        wait_s=whole_seconds(asynq_delay(failures, random)),
        given_up=[
            msgspec.structs.replace(
                member, message=with_outcome(member.message, error=text, failed_at=now)
            )
            for member in members
            if member.message is not None and member.failures + 1 >= max_failures
        ],
    )


def _task(message: TaskMessage, codecs: Codecs) -> Task:
    message = codecs.open_message(message)
    return Task(message.type, message.payload, headers=dict(message.headers))
