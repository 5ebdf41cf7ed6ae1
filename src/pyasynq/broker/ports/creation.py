"""Create tasks."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

import msgspec

from pyasynq.broker.ports.groups import AggregationSet
from pyasynq.core.compose import Plan
from pyasynq.core.errors import BrokerError, DuplicateTaskError, TaskIDConflictError

Refusal: TypeAlias = DuplicateTaskError | TaskIDConflictError


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """Guard: create the task of an outbox's row once, even if the row is sent several times.

    Attributes:
        row: Id of the row.
        ttl_s: Time for which the broker remembers the row, seconds.
    """

    row: str
    ttl_s: int


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """Guard: create the task of an entry's tick once, even if several schedulers try.

    Attributes:
        entry_id: The entry. Its last tick becomes this one, also if the task is refused. The broker
            stores the last tick with the queue of the task.
        known_s: The last tick that the caller knows, Unix seconds.
        at_s: This tick, Unix seconds.
        ttl_s: Time for which the broker remembers this tick as the last, seconds.
    """

    entry_id: str
    known_s: int
    at_s: int
    ttl_s: int


class ReplacesSet(msgspec.Struct, frozen=True, kw_only=True):
    """Guard: create the task if *group_set* still exists, and delete the tasks of that set."""

    group_set: AggregationSet


class NewTask(msgspec.Struct, frozen=True, gc=False):
    """A task to be created.

    Attributes:
        plan: Its message, and where it goes.
        guard: Condition under which it is created, or None. The broker checks the condition and
            writes the task in one step.
    """

    plan: Plan
    guard: Receipt | Tick | ReplacesSet | None = None


class NotCreated(msgspec.Struct, frozen=True):
    """The guard failed: the row was sent before, or the set no longer exists."""


class TickResult(msgspec.Struct, frozen=True, kw_only=True):
    """The answer for a task with a `Tick`.

    Attributes:
        last_s: The entry's last tick now, Unix seconds.
        moved: Whether *last_s* is this tick. If not, nothing was created: another scheduler has
            set a later tick, or this tick is in the future.
        refusal: Why the task was refused; None if it was not.
        clock_s: The broker's clock if the tick is in the future, Unix seconds; else None.
        rejected_s: A stored last tick that the broker ignored, because it is too far ahead of the
            broker's clock, Unix seconds; else None.
    """

    last_s: int
    moved: bool
    refusal: Refusal | None = None
    clock_s: float | None = None
    rejected_s: int | None = None


Created: TypeAlias = TickResult | NotCreated | Refusal | BrokerError | None
"""The answer for a new task: None if it was created, else why not; a `TickResult` for a `Tick`."""


class CreationPort(Protocol):
    """Create tasks.

    Attributes:
        apart: Queues may be on different machines, so one queue can fail while others work.
    """

    @property
    def apart(self) -> bool: ...  # noqa: D102 - see above

    async def create(self, tasks: Sequence[NewTask]) -> list[Created]:
        """Create each of *tasks* if its guard allows it; return the answers in order.

        Tasks of one queue are created in the given order. Inspectors know the queues from then on.
        If an id exists and its lock is held too, the answer is the conflict of ids. A plan's lock
        is taken together with the task: its holder is the task's id, it lasts *ttl_s*, and the
        stored message names it as `core.message.unique_key` does.

        Raises:
            NotSupportedError: If the broker lacks the port that a guard belongs to.
        """
        ...
