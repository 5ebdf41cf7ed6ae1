"""Deliver tasks from one queue to another, if the broker cannot write to both in one step."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from pyasynq.core.errors import BrokerError


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A task that waits in one queue until it is created in another.

    Attributes:
        id: Id of the letter.
        queue: The queue that the task is for.
        task_id: Id of the task.
        type: Its type; empty if it cannot be read.
        posted_at: When the letter was written.
    """

    id: str
    queue: str
    task_id: str
    type: str
    posted_at: datetime


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a delivery.

    Attributes:
        delivered: Number of letters that were delivered.
        more: More are due now.
        next_in_s: Seconds until the next is due; None if there is none.
        error: Why some could not be delivered; they are sent again later. None if all could.
    """

    delivered: int
    more: bool
    next_in_s: float | None
    error: BrokerError | None = None


class MailPort(Protocol):
    """The tasks that `WorkPort.settle` could not create, because they are for other queues."""

    async def deliver(self, queue: str) -> Delivery:
        """Create the tasks of a batch of the mail of *queue* that is due, each once.

        Nobody else delivers the same letters for some seconds, then anybody may: a task that was
        created before is not created again. A task whose id is taken, or whose lock is held, is
        dropped and logged.

        Raises:
            BrokerError: If the mail cannot be read.
        """
        ...

    async def letters(self, queue: str, start: int, count: int) -> Sequence[Letter]:
        """Return up to *count* letters of *queue*, the next to be delivered first.

        *start* is the number of letters to skip. Fewer than *count* are returned at the end, or if
        they are large.
        """
        ...
