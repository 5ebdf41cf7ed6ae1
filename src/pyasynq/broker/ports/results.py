"""Wait for the results of tasks."""

from typing import Protocol

from pyasynq.core.info import TaskInfo


class ResultPort(Protocol):
    """Wait for the results of tasks."""

    async def look(self, queue: str, task_id: str) -> TaskInfo | None:
        """Return the task; while it is not over, let `wait` know when it is.

        Raises:
            PoisonError: If what stands under this id is no task.
        """
        ...

    async def wait(self, queue: str, task_id: str, *, longest_s: float) -> None:
        """Return when the task is over, or *longest_s* seconds have passed."""
        ...
