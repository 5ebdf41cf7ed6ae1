"""Create tasks."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

import msgspec

from pyasynq.broker.ports.groups import AggregationSet
from pyasynq.core.compose import Plan
from pyasynq.core.errors import BrokerError, DuplicateTaskError, TaskIDConflictError

Refusal: TypeAlias = DuplicateTaskError | TaskIDConflictError


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """The task of an outbox's row is created once, however often the row is sent.

    Attributes:
        row: Id of the row.
        ttl_s: Time for which the broker remembers it, seconds.
    """

    row: str
    ttl_s: int


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """The task of a tick of a scheduler's entry is created once, however many schedulers try.

    Attributes:
        entry_id: The entry, which moves on to this tick, also if the task is refused. Where it
            stands is kept with the queue of the task.
        known_s: The entry's last tick, as far as the caller knows, Unix seconds.
        at_s: This tick, Unix seconds.
        ttl_s: Time for which the broker remembers this tick as the last, seconds.
    """

    entry_id: str
    known_s: int
    at_s: int
    ttl_s: int


class ReplacesSet(msgspec.Struct, frozen=True, kw_only=True):
    """The task is created if *staged* is still there, and takes the place of its tasks."""

    staged: AggregationSet


class NewTask(msgspec.Struct, frozen=True):
    """A task to be created.

    Attributes:
        plan: What becomes of it.
        guard: What is to hold, or None; the broker tries it and writes it in one step with the
            task.
    """

    plan: Plan
    guard: Receipt | Tick | ReplacesSet | None = None


class NotCreated(msgspec.Struct, frozen=True):
    """The guard did not let the task be created: the row was sent, or the set is gone."""


class TickResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a tick.

    Attributes:
        last_s: The entry's last tick now, Unix seconds.
        moved: It is this one. If not, nothing was created: another scheduler has moved the entry
            on, or the tick is still to come.
        refusal: Why its task was refused, if it was.
        clock_s: If the tick is still to come, the broker's clock, Unix seconds.
        rejected_s: What stood there as last tick and is not believed, if anything did: it lies
            too far ahead of the broker's clock.
    """

    last_s: int
    moved: bool
    refusal: Refusal | None = None
    clock_s: float | None = None
    rejected_s: int | None = None


Created: TypeAlias = TickResult | NotCreated | Refusal | BrokerError | None
"""The answer for a new task: for one with a `Tick` what became of that, else None, or why not."""


class CreationPort(Protocol):
    """Create tasks.

    Attributes:
        apart: Queues may live on different machines, of which one can be away and others not.
    """

    @property
    def apart(self) -> bool: ...  # noqa: D102 - see above

    async def create(self, tasks: Sequence[NewTask]) -> list[Created]:
        """Create *tasks*, each if its guard lets it; answer each, in order.

        Of those of one queue the earlier ones are created first. Inspectors know their queues from
        then on. An id that is taken is told before a lock that is held. A plan's lock is taken with
        the task, in the name of its id, and for *ttl_s*; the message names it as
        `core.message.unique_key` says before it is stored.

        Raises:
            NotSupportedError: If the broker lacks the port that a guard belongs to.
        """
        ...
