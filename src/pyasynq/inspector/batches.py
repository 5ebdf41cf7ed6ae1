"""Read batches, and act on them."""

from pyasynq.client.batch_control import BatchControl
from pyasynq.core.batch import BatchInfo
from pyasynq.core.batch_errors import BatchNotFoundError
from pyasynq.core.options import check_count, check_name
from pyasynq.inspector.filters import MAX_RANK
from pyasynq.inspector.reader import PAGE_SIZE, Reader


class BatchInspector(Reader):
    """Reads batches, and acts on them."""

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

    async def cancel_batch(self, queue: str, batch_id: str) -> BatchInfo:
        """Run no more members of a batch, and return it; nothing follows it.

        Members that wait are deleted; in Redis some stay until a worker takes and drops them. Those
        that run are cancelled, as `Inspector.cancel` does: a cancelled run fails, and is not tried
        again. Members that are deleted have not failed.

        Raises:
            OptionError: If a name is not allowed.
            BatchNotFoundError: If the queue has no such batch, or no longer.
            BatchStateError: If it does not run.
        """
        check_name("queue", queue)
        return await BatchControl(self._broker).cancel(queue, check_name("batch_id", batch_id))

    async def retry_batch(self, queue: str, batch_id: str) -> BatchInfo:
        """Run the failed members of a batch that has ended again, and return it.

        They have the retries of a new task. When all have ended, what follows the batch runs again.
        A member whose task is no longer archived stays failed; of more than 10,000, so do the
        others.

        Raises:
            OptionError: If a name is not allowed.
            BatchNotFoundError: If the queue has no such batch, or no longer.
            BatchStateError: If it has not failed, or is a step of a flow, which is to be retried.
        """
        check_name("queue", queue)
        return await BatchControl(self._broker).retry(queue, check_name("batch_id", batch_id))
