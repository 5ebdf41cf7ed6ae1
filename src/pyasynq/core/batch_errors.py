"""Errors about batches."""

from pyasynq.core.errors import PyasynqError


class BatchNotFoundError(PyasynqError):
    """The queue has no batch with this id, or no longer.

    Attributes:
        queue: Name of the queue.
        batch_id: Id of the batch.
    """

    def __init__(self, queue: str, batch_id: str) -> None:
        """Name the *queue* and the *batch_id* that is not in it."""
        self.queue = queue
        self.batch_id = batch_id
        super().__init__(f"batch not found: {batch_id!r} is not, or no longer, in {queue!r}")


class BatchStateError(PyasynqError):
    """The action is not possible in the state of the batch; nothing was changed.

    Attributes:
        queue: Name of the queue.
        batch_id: Id of the batch.
        reason: Why it is not possible.
    """

    def __init__(self, queue: str, batch_id: str, reason: str) -> None:
        """Name the batch, and say why not."""
        self.queue = queue
        self.batch_id = batch_id
        self.reason = reason
        super().__init__(f"batch {batch_id!r} of {queue!r}: {reason}")
