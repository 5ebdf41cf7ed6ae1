"""Act on batches: cancel, and run failed members again."""

from contextlib import suppress

from pyasynq.broker import Broker
from pyasynq.core.batch import BatchInfo
from pyasynq.core.batch_errors import BatchNotFoundError, BatchStateError
from pyasynq.core.errors import BrokerError


class BatchControl:
    """Acts on the batches of a broker."""

    def __init__(self, broker: Broker) -> None:
        """Act on the batches of *broker*."""
        self._broker = broker

    async def cancel(self, queue: str, batch_id: str) -> BatchInfo:
        """Delete the waiting members of a batch, and stop those that run; return the batch.

        Raises:
            BatchNotFoundError: If there is no such batch.
            BatchStateError: If it does not run.
        """
        if not await self.stop(queue, batch_id):
            found = await self._read(queue, batch_id)
            raise BatchStateError(queue, batch_id, f"it is {found.state}; it does not run")
        return await self._read(queue, batch_id)

    async def stop(self, queue: str, batch_id: str, *, times: int | None = None) -> bool:
        """Do the same; False if the batch does not run, or is gone.

        For a map that its flow has begun, *times* tells how often it was retried.
        """
        running = await self._broker.batches.cancel(queue, batch_id, times=times)
        for task_id in running or ():
            await self._broker.registry.cancel(task_id)
        await deliver(self._broker, queue)
        return running is not None

    async def retry(self, queue: str, batch_id: str) -> BatchInfo:
        """Run the failed members of a batch again; return the batch.

        Raises:
            BatchNotFoundError: If there is no such batch.
            BatchStateError: If it has not failed, or belongs to a flow.
        """
        if not await self._broker.batches.retry(queue, batch_id):
            found = await self._read(queue, batch_id)
            reason = f"it is {found.state}; only one that has failed can be retried"
            if found.state == "failed":
                reason = "it is a step of a flow: retry the flow"
            raise BatchStateError(queue, batch_id, reason)
        await deliver(self._broker, queue)
        return await self._read(queue, batch_id)

    async def _read(self, queue: str, batch_id: str) -> BatchInfo:
        found = await self._broker.batches.read(queue, batch_id)
        if found is None:
            raise BatchNotFoundError(queue, batch_id)
        return found


async def deliver(broker: Broker, queue: str) -> None:
    """Deliver the mail of *queue* now; if that fails, a server does it later."""
    if broker.supports("mail"):
        with suppress(BrokerError):
            await broker.mail.deliver(queue)
