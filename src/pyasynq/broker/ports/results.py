"""Wait for the results of tasks."""

from typing import Protocol

from pyasynq.core.info import TaskInfo


class ResultPort(Protocol):
    """Wait for the results of tasks."""

    async def wait(self, queue: str, task_id: str, *, longest_s: float) -> TaskInfo | None:
        """Return the task at once if it has ended; else wait for its end, at most *longest_s*.

        After a wait the task is returned as it was before the wait, so call again. None if there is
        no such task.

        Raises:
            PoisonError: If the stored task cannot be decoded.
        """
        ...
