"""Read batches."""

from pyasynq.core.batch import BatchInfo
from pyasynq.core.errors import BatchNotFoundError
from pyasynq.core.options import check_count, check_name
from pyasynq.inspector.filters import MAX_RANK
from pyasynq.inspector.reader import PAGE_SIZE, Reader


class BatchInspector(Reader):
    """Reads batches."""

    async def batches(self, queue: str, *, page: int = 1, size: int = PAGE_SIZE) -> list[BatchInfo]:
        """Return one page of the batches of *queue*.

        Those that run come first, and of these the one that has not changed for longest; then those
        that have ended, the next to be deleted first.

        Args:
            queue: The queue of their members.
            page: Number of the page, from 1.
            size: Batches on a page, from 1.

        Raises:
            OptionError: If an argument is not allowed.
            QueueNotFoundError: If there is no such queue.
        """
        check_count("page", page, MAX_RANK)
        check_count("size", size, MAX_RANK)
        await self._actions.check(queue)
        return list(await self._broker.batches.read_all(queue, (page - 1) * size, size))

    async def batch(self, queue: str, batch_id: str) -> BatchInfo:
        """Return one batch.

        Raises:
            OptionError: If a name is not allowed.
            BatchNotFoundError: If the queue has no such batch, or no longer.
        """
        check_name("queue", queue)
        found = await self._broker.batches.read(queue, check_name("batch_id", batch_id))
        if found is None:
            raise BatchNotFoundError(queue, batch_id)
        return found

    async def failed_members(self, queue: str, batch_id: str) -> list[str]:
        """Return the ids of the members of a batch that have failed, at most 10,000, in order.

        They are archived, unless somebody has deleted them, or runs them again.

        Raises:
            OptionError: If a name is not allowed.
            BatchNotFoundError: If the queue has no such batch, or no longer.
        """
        await self.batch(queue, batch_id)
        return list(await self._broker.batches.failed_members(queue, batch_id))
