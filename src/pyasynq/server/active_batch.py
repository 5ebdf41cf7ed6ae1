"""The batch of a running task."""

from collections.abc import Callable, Sequence

from pyasynq.core.batch import BatchOutcome, outcome_in
from pyasynq.core.errors import PyasynqError
from pyasynq.core.message import TaskMessage
from pyasynq.core.report import place_of
from pyasynq.core.task import Task


class ActiveBatch:
    """The batch of which a running task is a member.

    Attributes:
        queue: Its queue.
        id: Its id.
    """

    __slots__ = ("_add", "id", "queue")

    def __init__(self, queue: str, batch_id: str, add: Callable[[Sequence[Task]], None]) -> None:
        """Describe a batch; *add* adds members to it."""
        self.queue: str = queue
        self.id: str = batch_id
        self._add = add

    def add(self, *tasks: Task) -> None:
        """Add *tasks* to the batch together with the success of this run, or not at all.

        The batch then ends when they have ended, too. They are for the queue of the batch, and have
        no id of their own and no group. One whose unique lock is held is left out. Together with
        what `ActiveTask.then` adds they are at most 100.

        Raises:
            OptionError: If one is not a `Task`, or the run has added more than 100.
            PyasynqError: If the run has ended.
        """
        self._add(tasks)


def batch_of(
    message: TaskMessage, task: object, add: Callable[[Sequence[Task]], None]
) -> ActiveBatch:
    """Return the batch of the running *task* of *message*; *add* adds members to it.

    Raises:
        PyasynqError: If it is no member of a batch.
    """
    place = place_of(message)
    if place is None or place.kind != "batch":
        msg = f"{task!r} is no member of a batch: Client.enqueue_batch makes members"
        raise PyasynqError(msg)
    if place.keeps_result:
        msg = f"{task!r} belongs to a map whose results are used: their number is fixed"
        raise PyasynqError(msg)
    return ActiveBatch(place.queue, place.id, add)


def batch_outcome_of(message: TaskMessage, task: object) -> BatchOutcome:
    """Return the outcome of the batch that the *task* of *message* follows.

    Raises:
        PyasynqError: If it follows no batch.
    """
    outcome = outcome_in(message)
    if outcome is None:
        msg = f"{task!r} follows no batch: only what is given as then or failed does"
        raise PyasynqError(msg)
    return outcome
