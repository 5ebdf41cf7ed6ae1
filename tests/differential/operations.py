"""Operations on a queue, as values that Go reads as JSON.

Durations are seconds, instants Unix seconds; None is "not given".
"""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


class Operation(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag=_snake):
    """One operation; its JSON names it under ``do``."""

    @property
    def name(self) -> str:
        """Name of the operation in JSON."""
        return _snake(type(self).__name__)


class Choices(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Enqueue options."""

    queue: str | None = None
    task_id: str | None = None
    max_retry: int | None = None
    timeout: float | None = None
    deadline: float | None = None
    unique: float | None = None
    process_at: float | None = None
    process_in: float | None = None
    retention: float | None = None
    group: str | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a handler ends.

    Attributes:
        kind: ``ok``, ``fail``, ``spare`` (an error that is_failure excuses), ``skip`` or
            ``revoke``.
        text: The error's text, as stored in Redis.
        delay: Seconds before the next try.
        result: The result that it writes before it ends; None for none.
    """

    kind: str
    text: str = ""
    delay: float = 0
    result: bytes | None = None


# -- of a client -----------------------------------------------------------------------------------


class Open(Operation, frozen=True, kw_only=True):
    """Start again: forget what a client remembers."""


class Enqueue(Operation, frozen=True, kw_only=True):
    """Enqueue one task, with options of its own and options of the call."""

    type: str
    payload: bytes | None
    headers: dict[str, str]
    own: Choices
    options: Choices


class EnqueueMany(Operation, frozen=True, kw_only=True):
    """Enqueue tasks in one call, which have all the options."""

    tasks: Sequence[Enqueue]


# -- of a worker -----------------------------------------------------------------------------------


class Working(Operation, frozen=True, kw_only=True):
    """A server that takes the next *count* tasks of a queue."""

    queue: str
    count: int
    concurrency: int


class Work(Working, frozen=True, kw_only=True):
    """Run the tasks to their outcomes, by id."""

    outcomes: dict[str, Outcome]


class Begin(Working, frozen=True, kw_only=True):
    """Take the tasks, and let the handlers run until `End`."""


class Beat(Operation, frozen=True, kw_only=True):
    """Wait until the running server has written its record and extended its leases."""

    queue: str


class Cancel(Operation, frozen=True, kw_only=True):
    """Cancel a task; if it runs, wait until it is no longer active."""

    queue: str
    id: str


class End(Operation, frozen=True, kw_only=True):
    """Let the handlers end, or *abort*: shut the server down while they run."""

    queue: str
    outcomes: dict[str, Outcome]
    abort: bool = False


class Crash(Working, frozen=True, kw_only=True):
    """Take the tasks, then crash."""


class Maintain(Operation, frozen=True, kw_only=True):
    """Do one upkeep of a server, for tasks whose time is first moved into the past.

    Attributes:
        what: ``forward``, ``expire``, ``recover`` or ``reclaim``.
        ids: The tasks.
        group: For ``reclaim``, the group that a dead aggregator had staged.
    """

    queue: str
    what: str
    ids: Sequence[str] = ()
    group: str = ""


class Aggregate(Operation, frozen=True, kw_only=True):
    """Combine the one group of a queue into *task*, after its time has come."""

    queue: str
    group: str
    task: Enqueue


# -- of time ---------------------------------------------------------------------------------------


class Age(Operation, frozen=True, kw_only=True):
    """Make archived tasks older than their retention."""

    queue: str
    ids: Sequence[str]


class Lapse(Operation, frozen=True, kw_only=True):
    """Let unique locks expire."""

    locks: Sequence[str]


# -- of an inspector -------------------------------------------------------------------------------


class Queues(Operation, frozen=True, kw_only=True):
    """List the queues."""


class OfQueue(Operation, frozen=True, kw_only=True):
    """An operation on one queue."""

    queue: str


class QueueInfo(OfQueue, frozen=True, kw_only=True):
    """Read its counts."""


class History(OfQueue, frozen=True, kw_only=True):
    """Read its daily counts."""

    days: int


class Groups(OfQueue, frozen=True, kw_only=True):
    """List its groups."""


class Pause(OfQueue, frozen=True, kw_only=True):
    """Pause it."""


class Unpause(OfQueue, frozen=True, kw_only=True):
    """Resume it."""


class DeleteQueue(OfQueue, frozen=True, kw_only=True):
    """Delete it; with *force* also if it has tasks."""

    force: bool


class ListTasks(OfQueue, frozen=True, kw_only=True):
    """List a page of its tasks in a state."""

    state: str
    group: str = ""
    page: int = 1
    size: int = 30


class OfTask(OfQueue, frozen=True, kw_only=True):
    """An operation on one task."""

    id: str


class TaskInfo(OfTask, frozen=True, kw_only=True):
    """Read it."""


class RunTask(OfTask, frozen=True, kw_only=True):
    """Make it pending."""


class ArchiveTask(OfTask, frozen=True, kw_only=True):
    """Archive it."""


class DeleteTask(OfTask, frozen=True, kw_only=True):
    """Delete it."""


class UpdatePayload(OfTask, frozen=True, kw_only=True):
    """Change its payload."""

    payload: bytes


class OfState(OfQueue, frozen=True, kw_only=True):
    """An operation on all tasks of a queue in a state."""

    state: str
    group: str = ""


class RunAll(OfState, frozen=True, kw_only=True):
    """Make them pending."""


class ArchiveAll(OfState, frozen=True, kw_only=True):
    """Archive them."""


class DeleteAll(OfState, frozen=True, kw_only=True):
    """Delete them."""


class Servers(Operation, frozen=True, kw_only=True):
    """List the servers."""


Outcomes: TypeAlias = dict[str, Outcome]


def to_json(operation: Operation) -> str:
    """Return the JSON of *operation*, for Go and for error texts."""
    return msgspec.json.encode(operation).decode()
