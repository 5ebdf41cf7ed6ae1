"""Wait for the results of tasks."""

from pyasynq.broker.sqlite.read import find_task
from pyasynq.broker.sqlite.store import Store
from pyasynq.broker.sqlite.tasks import task_info
from pyasynq.broker.sqlite.wake import ended_topic, wait_for
from pyasynq.core.errors import PoisonError
from pyasynq.core.info import TaskInfo
from pyasynq.core.states import ENDED


class SqliteResults:
    """The results port."""

    def __init__(self, store: Store) -> None:
        """Run transactions in *store*."""
        self._store = store

    async def wait(self, queue: str, task_id: str, *, longest_s: float) -> TaskInfo | None:
        """Return the task at once if it has ended; else wait for its end, at most *longest_s*.

        After a wait the task is returned as it was before the wait. None if there is no such task.

        Raises:
            PoisonError: If the stored task cannot be decoded.
        """
        with self._store.wake.listening(ended_topic(queue, task_id)) as changed:
            row = await self._store.read(lambda tx: find_task(tx, queue, task_id))
            if row is None:
                return None
            task = task_info(queue, row, self._store.clock.now())
            if task is None:
                raise PoisonError(len(row.message))
            if task.state not in ENDED:
                await wait_for(changed, longest_s)
            return task
