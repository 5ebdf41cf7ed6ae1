"""Batches: tasks that are created together and counted, with a task after the last of them."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

import msgspec

from pyasynq.core.compose import Plan
from pyasynq.core.errors import OptionError
from pyasynq.core.message import TaskMessage
from pyasynq.core.options import check_time
from pyasynq.core.report import HEADER, Place, header_of
from pyasynq.core.task import Task, check_task

OUTCOME: Final = "pyasynq:batch"
"""Header with the `BatchOutcome`, in JSON, of a task that follows a batch."""

KEEP: Final = timedelta(days=7)
"""How long a batch that has ended is kept by default."""

BatchState: TypeAlias = Literal["waiting", "running", "succeeded", "failed", "cancelled"]
"""State of a batch; it has failed if one of its members has."""

MOST_RESULTS: Final = 10_000
"""Tasks of a map whose results a step uses."""


class BatchOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a batch has ended, for the task that follows it.

    Attributes:
        id: Id of the batch.
        queue: Its queue, which is that of its members.
        total: Number of its members.
        failed: Members that were archived, or were gone without an outcome.
    """

    id: str
    queue: str
    total: int
    failed: int

    @property
    def succeeded(self) -> int:
        """Number of members that have not failed."""
        return self.total - self.failed


class BatchInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One batch, as it was when it was read or enqueued.

    Attributes:
        id: Id of the batch.
        queue: Its queue, which is that of its members.
        state: ``waiting`` (a map that its flow has not begun), ``running``, ``succeeded`` (all
            members have ended, and none has failed), ``failed`` (all have ended) or ``cancelled``
            (by an operator; some may still run).
        total: Number of its members.
        ended: Members that have ended.
        failed: Those of them that were archived, or were gone without an outcome.
        created_at: When it was enqueued.
        ended_at: When its last member ended; None before that.
    """

    id: str
    queue: str
    state: BatchState
    total: int
    ended: int
    failed: int
    created_at: datetime
    ended_at: datetime | None = None


class BatchPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to happen when all members of a batch have ended.

    Attributes:
        then: The task that follows if none has failed, or None.
        failed: The task that follows if at least one has failed, or None.
        kept_s: Seconds for which the batch is kept then.
        parent: The step of a flow that the batch is, which begins it and gets its report; None for
            a batch of its own.
        keeps_results: The results of its members are kept, for other steps.
    """

    then: Plan | None
    failed: Plan | None
    kept_s: int
    parent: Place | None = None
    keeps_results: bool = False


class Batch:
    """Tasks that are enqueued together, and a task that follows when all of them have ended.

    Attributes:
        tasks: Its members; they must be for one queue.
        then: Follows if no member has failed; None for nothing.
        failed: Follows if at least one has failed; None for nothing.
        keep: How long the batch can be read once it has ended.
    """

    def __init__(
        self,
        tasks: Iterable[Task],
        *,
        then: Task | None = None,
        failed: Task | None = None,
        keep: timedelta = KEEP,
    ) -> None:
        """Describe a batch; nothing is sent before `Client.enqueue_batch`.

        Args:
            tasks: Its members, any number, also from a generator. They get ids of the batch, so
                they have no *task_id*, and no *group*.
            then: Follows if no member has failed. It may be for any queue, but has no *task_id*
                and no unique lock, because it must not be refused.
            failed: Follows if at least one member was archived, deleted, or was gone.
            keep: How long the batch can be read once it has ended, at least a second.

        Raises:
            OptionError: If one of them is not allowed.
        """
        if not isinstance(tasks, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise OptionError("tasks", tasks, "a list of Tasks")
        self.tasks: Iterable[Task] = tasks
        self._was_enqueued = False
        self.then: Task | None = _check_follower("then", then)
        self.failed: Task | None = _check_follower("failed", failed)
        self.keep: timedelta = check_time("keep", keep, timedelta(seconds=1))

    def members(self) -> Iterable[Task]:
        """Return the tasks for a batch that is enqueued now.

        Raises:
            OptionError: If they are those of a generator that an earlier call has read: without
                them the batch would end at once.
        """
        if self._was_enqueued and isinstance(self.tasks, Iterator):
            allowed = "a new generator, or a list: this one was read when the batch was enqueued"
            raise OptionError("tasks", self.tasks, allowed)
        self._was_enqueued = True
        return self.tasks


def _check_follower(name: str, task: Task | None) -> Task | None:
    if task is None:
        return None
    check_task(task)
    if task.options.task_id is not None or task.options.unique is not None:
        raise OptionError(name, task, "a task without task_id and unique: it must not be refused")
    return task


def member_id(batch_id: str, number: int) -> str:
    """Return the id of the task that is the member *number* of a batch."""
    return f"{batch_id}:{number}"


def is_needed(flow_state: str | None, *, is_held: bool, is_others: bool) -> bool:
    """Return whether a flow may still need a map.

    Args:
        flow_state: State of the flow; None if it is gone.
        is_held: The map has not begun. A flow that has succeeded cannot be retried.
        is_others: The flow has another map in its place: this one is of a try to enqueue it that
            came second.
    """
    return flow_state is not None and not is_others and not (is_held and flow_state == "succeeded")


def make_member(message: TaskMessage, place: Place) -> None:
    """Make the task of *message*, which was composed with the id of a member, the one at *place*.

    Raises:
        OptionError: If it is for another queue than the batch, or has another id, or a group.
    """
    if message.queue != place.queue:
        allowed = f"{place.queue!r}, as of the other members: make a batch for each queue"
        raise OptionError("queue", message.queue, allowed)
    if message.id != member_id(place.id, place.member):
        raise OptionError("task_id", message.id, "left out: a member has an id of its batch")
    if message.group_key:
        allowed = "left out: a grouped task is combined with others, so it is no member of a batch"
        raise OptionError("group", message.group_key, allowed)
    message.headers[HEADER] = header_of(place)


_decode_outcome: Final = msgspec.json.Decoder(BatchOutcome).decode


def outcome_in(message: TaskMessage) -> BatchOutcome | None:
    """Return the outcome of the batch that the task of *message* follows; None without one."""
    text = message.headers.get(OUTCOME)
    if not text:
        return None
    try:
        return _decode_outcome(text)
    except msgspec.DecodeError:
        return None


def head_of_outcome(queue: str, batch_id: str) -> str:
    """Return the start of a `BatchOutcome` in JSON, to which the counts are added."""
    return msgspec.json.encode({"id": batch_id, "queue": queue}).decode()[:-1]
