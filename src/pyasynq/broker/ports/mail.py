"""Deliver tasks from one queue to another, if the broker cannot write to both in one step."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from pyasynq.core.errors import BrokerError
from pyasynq.core.info import MailInfo


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

    async def letters(self, queue: str, start: int, count: int) -> Sequence[MailInfo]:
        """Return up to *count* letters of *queue*, the next to be delivered first.

        *start* is the number of letters to skip. Fewer than *count* are returned at the end, or if
        they are large.
        """
        ...
