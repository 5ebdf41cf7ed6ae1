"""Decide about the tasks of an aggregation set. Pure: the time and randomness are arguments."""

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


class AggregationFailure(msgspec.Struct, frozen=True, kw_only=True):
    """What to do with a set that could not be combined.

    Attributes:
        wait_s: Seconds until the next try.
        given_up: Tasks to archive, with the error in their messages.
    """

    wait_s: int
    given_up: list[GroupedTask]


class SetContents(msgspec.Struct, frozen=True, kw_only=True):
    """The tasks of a set.

    Attributes:
        tasks: Tasks that can be combined, each as stored and as the user's function gets it.
        poison: Tasks that cannot be decoded; they are archived unchanged.
        sealed: Tasks whose payload cannot be opened here, each with its error.
    """

    tasks: list[tuple[GroupedTask, Task]]
    poison: list[GroupedTask]
    sealed: list[tuple[GroupedTask, CodecError]]


def read_contents(tasks: Sequence[GroupedTask], codecs: Codecs) -> SetContents:
    """Sort *tasks* by whether they can be combined; open payloads with *codecs*."""
    found = SetContents(tasks=[], poison=[], sealed=[])
    for task in tasks:
        try:
            if task.message is None:
                found.poison.append(task)
            else:
                found.tasks.append((task, _open_task(task.message, codecs)))
        except OptionError:  # a type that pyasynq itself never enqueues
            found.poison.append(msgspec.structs.replace(task, message=None))
        except CodecError as error:
            found.sealed.append((task, error))
    return found


def check_result(task: object) -> Task:
    """Return *task* if it is one.

    Raises:
        TypeError: If it is not.
    """
    if not isinstance(task, Task):
        msg = f"the group aggregator must return a Task, got {type(task).__name__}"
        raise TypeError(msg)
    return task


def with_queue(options: Options, group_set: AggregationSet) -> Options:
    """Return *options* with the queue of *group_set*, where its combined task always stays."""
    return merge(options, Options(queue=group_set.queue))


def failure_of(
    tasks: Sequence[GroupedTask],
    text: str,
    *,
    now: datetime,
    max_failures: int,
    random: float,
) -> AggregationFailure:
    """Return what to do with *tasks*, which could not be combined.

    Args:
        tasks: Tasks of the set.
        text: The reason, as operators read it.
        now: Current time, UTC.
        max_failures: Failures after which a task is archived.
        random: A random number in [0, 1), for the wait.
    """
    failures = max(task.failures for task in tasks)
    return AggregationFailure(
        wait_s=whole_seconds(asynq_delay(failures, random)),
        given_up=[
            msgspec.structs.replace(
                task, message=with_outcome(task.message, error=text, failed_at=now)
            )
            for task in tasks
            if task.message is not None and task.failures + 1 >= max_failures
        ],
    )


def _open_task(message: TaskMessage, codecs: Codecs) -> Task:
    message = codecs.open_message(message)
    return Task(message.type, message.payload, headers=dict(message.headers))
