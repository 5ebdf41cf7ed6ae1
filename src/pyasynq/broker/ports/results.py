"""Wait for the results of tasks."""

from typing import Protocol

from pyasynq.core.info import TaskInfo


class ResultPort(Protocol):
    """Wait for the results of tasks."""

    async def wait(self, queue: str, task_id: str, *, longest_s: float) -> TaskInfo | None:
        """Return the task once it is over, or after *longest_s* seconds as it was before.

        None if there is no such task.

        Raises:
            PoisonError: If what stands under this id is no task.
        """
        ...
