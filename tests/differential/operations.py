"""The vocabulary: what can be done to a queue, as values that Go reads as JSON.

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
        """What it is called."""
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
        kind: ``ok``, ``fail``, ``spare`` (fails, but is_failure says no), ``skip`` or ``revoke``.
        text: The error's text, as it stands in Redis.
        delay: Seconds before the next try.
        result: What it writes before it ends.
    """

    kind: str
    text: str = ""
    delay: float = 0
    result: bytes | None = None


# -- of a client -----------------------------------------------------------------------------------


class Open(Operation, frozen=True, kw_only=True):
    """Begin anew: forget what a client remembers."""


class Enqueue(Operation, frozen=True, kw_only=True):
    """Enqueue one task, with options of its own and options of the call."""

    type: str
    payload: bytes | None
    headers: dict[str, str]
    own: Choices
    options: Choices


class EnqueueMany(Operation, frozen=True, kw_only=True):
    """Enqueue tasks in one call; the options are at the tasks."""

    tasks: Sequence[Enqueue]


# -- of a worker -----------------------------------------------------------------------------------


class Working(Operation, frozen=True, kw_only=True):
    """A server that takes the next *count* tasks of a queue."""

    queue: str
    count: int
    concurrency: int


class Work(Working, frozen=True, kw_only=True):
    """Run them to their outcomes, by id."""

    outcomes: dict[str, Outcome]


class Begin(Working, frozen=True, kw_only=True):
    """Take them, and let the handlers run until `End`."""


class Beat(Operation, frozen=True, kw_only=True):
    """Wait until the server that runs has shown itself and extended its leases."""

    queue: str


class Cancel(Operation, frozen=True, kw_only=True):
    """Cancel a task, and wait until it is no longer active if it runs."""

    queue: str
    id: str


class End(Operation, frozen=True, kw_only=True):
    """Let the handlers end, or *abort*: shut the server down while they run."""

    queue: str
    outcomes: dict[str, Outcome]
    abort: bool = False


class Crash(Working, frozen=True, kw_only=True):
    """Take them, and never be heard of again."""


class Maintain(Operation, frozen=True, kw_only=True):
    """Do one upkeep of a server, for tasks whose time is put into the past before.

    Attributes:
        what: ``forward``, ``expire``, ``recover`` or ``reclaim``.
        ids: Those tasks.
        group: For ``reclaim`` the group that was set aside by an aggregator that died.
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
    """Make archived tasks older than the archive keeps them."""

    queue: str
    ids: Sequence[str]


class Lapse(Operation, frozen=True, kw_only=True):
    """Let unique locks run out."""

    locks: Sequence[str]


# -- of an inspector -------------------------------------------------------------------------------


class Queues(Operation, frozen=True, kw_only=True):
    """List the queues."""


class OfQueue(Operation, frozen=True, kw_only=True):
    """Something about one queue."""

    queue: str


class QueueInfo(OfQueue, frozen=True, kw_only=True):
    """Ask how it stands."""


class History(OfQueue, frozen=True, kw_only=True):
    """Ask for its daily counts."""

    days: int


class Groups(OfQueue, frozen=True, kw_only=True):
    """Ask for its groups."""


class Pause(OfQueue, frozen=True, kw_only=True):
    """Pause it."""


class Unpause(OfQueue, frozen=True, kw_only=True):
    """Resume it."""


class DeleteQueue(OfQueue, frozen=True, kw_only=True):
    """Remove it, with *force* also if it has tasks."""

    force: bool


class ListTasks(OfQueue, frozen=True, kw_only=True):
    """List a page of its tasks in a state."""

    state: str
    group: str = ""
    page: int = 1
    size: int = 30


class OfTask(OfQueue, frozen=True, kw_only=True):
    """Something about one task."""

    id: str


class TaskInfo(OfTask, frozen=True, kw_only=True):
    """Ask how it stands."""


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
    """Something about all tasks of a queue in a state."""

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


def spelled(operation: Operation) -> str:
    """Return the JSON of *operation*, which Go reads and a person can keep."""
    return msgspec.json.encode(operation).decode()
