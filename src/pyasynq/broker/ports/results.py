"""Wait for the results of tasks."""

from typing import Protocol

from pyasynq.core.info import TaskInfo


class ResultPort(Protocol):
    """Wait for the results of tasks."""

    async def wait(self, queue: str, task_id: str, *, longest_s: float) -> TaskInfo | None:
        """Return the task if it is over; else wait until it is, at most *longest_s* seconds.

        After a wait the task is returned as it was before. None if there is no such task.

        Raises:
            PoisonError: If what stands under this id is no task.
        """
        ...
