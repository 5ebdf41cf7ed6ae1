"""What a task that is part of a flow or a batch needs to know before it begins."""

from collections.abc import Mapping
from typing import Final

from pyasynq.broker import Broker
from pyasynq.core.call import INPUTS
from pyasynq.core.message import TaskMessage
from pyasynq.core.report import HEADER
from pyasynq.server.config import Config
from pyasynq.server.run.cancelled_batches import CancelledBatches
from pyasynq.server.run.inputs import Inputs

NOTHING: Final[Mapping[str, bytes]] = {}


class Parts:
    """Asks the records of which tasks are part."""

    def __init__(self, broker: Broker, config: Config) -> None:
        """Ask the records of *broker*, if it has such."""
        flows = broker.flows if broker.supports("flows") else None
        batches = broker.batches if broker.supports("batches") else None
        self._inputs = None if flows is None else Inputs(flows, batches, config.codecs)
        self._cancelled = None if batches is None else CancelledBatches(batches, config.clock)

    async def inputs(self, message: TaskMessage) -> Mapping[str, bytes]:
        """Return the results of steps that the task of *message* uses, if it may begin.

        Raises:
            RevokeTask: If its batch is cancelled.
            SkipRetry: If its flow is gone, and with it the results.
            CodecError: If a result cannot be opened.
            BrokerError: If the broker does not answer.
        """
        if HEADER not in message.headers:
            return NOTHING
        if self._cancelled is not None:
            await self._cancelled.check(message)
        if INPUTS not in message.headers or self._inputs is None:
            return NOTHING
        return await self._inputs.read(message)

    async def is_awaited(self, message: TaskMessage) -> bool:
        """Return whether anybody waits for the end of the task of *message*.

        Nobody does if its flow goes on without it, or if its flow or batch was cancelled.

        Raises:
            BrokerError: If the broker does not answer.
        """
        if self._cancelled is not None and await self._cancelled.is_cancelled(message):
            return False
        return self._inputs is None or await self._inputs.is_awaited(message)
