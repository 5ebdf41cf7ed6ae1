"""Take tasks from one broker to another."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from pyasynq.broker.ports.creation import Refusal
from pyasynq.broker.ports.inspection import Container
from pyasynq.core.message import TaskMessage


class TaskCopy(msgspec.Struct, frozen=True, kw_only=True):
    """A task that waits or has ended, and all that belongs to it, as any broker can store it.

    Its run history is not part of it: crashes are counted anew.

    Attributes:
        message: Its message, which names its unique lock.
        at_s: When it is due, was archived, has joined its group, or is to be deleted, Unix seconds;
            0 if it is pending.
        group: The group that it is in, or that it joins when it is due; None for none.
        lock_s: Seconds for which it holds its unique lock; 0 if it does not.
        result: Its result, if there is one.
        attempts: The encoded records of its failed tries, by their slots.
    """

    message: TaskMessage
    at_s: int = 0
    group: str | None = None
    lock_s: float = 0.0
    result: bytes | None = None
    attempts: Mapping[int, bytes] = msgspec.field(default_factory=dict[int, bytes])


class TransferPort(Protocol):
    """Take tasks from one broker to another; the inspection port deletes those that are there."""

    async def read(self, container: Container, start: int, count: int) -> list[TaskCopy | None]:
        """Return tasks of *container* in order, after skipping the first *start*.

        Args:
            container: Where they are; not active. Tasks in aggregation sets are not in it.
            start: Number of tasks to skip.
            count: Most tasks to return; fewer at the end, or if they have `MAX_BYTES`.

        Returns:
            The tasks, None in place of one whose message cannot be decoded. Empty if none is left.
        """
        ...

    async def write(self, container: Container, tasks: Sequence[TaskCopy]) -> list[Refusal | None]:
        """Store *tasks* in *container*, with their locks; a pending one behind all others.

        Args:
            container: Where they go. Inspectors know its queue from then on.
            tasks: Tasks of that queue, at most `MAX_TASKS`.

        Returns:
            For each None if it was stored, else why not.

        Raises:
            BrokerError: If the broker fails; some may be stored.
        """
        ...
