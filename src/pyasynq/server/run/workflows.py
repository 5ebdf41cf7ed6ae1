"""What flows and batches say about their tasks: whether they may begin, with what, and again."""

import functools
from collections.abc import Mapping
from typing import Final

from pyasynq.broker import Broker
from pyasynq.client.client import MAX_PAYLOAD
from pyasynq.client.flow_starter import flow_in
from pyasynq.client.flow_template import STARTER, SUBFLOW
from pyasynq.client.flow_writer import FlowWriter
from pyasynq.core.call import INPUTS
from pyasynq.core.compose import Composer
from pyasynq.core.control import RevokeTask
from pyasynq.core.flow_errors import DuplicateFlowError
from pyasynq.core.message import TaskMessage
from pyasynq.core.report import HEADER, place_of
from pyasynq.runtime.loggers import get_logger
from pyasynq.server.config import Config
from pyasynq.server.context import ActiveTask
from pyasynq.server.mux import AsyncHandler
from pyasynq.server.run.cancelled_batches import CancelledBatches
from pyasynq.server.run.inputs import Inputs
from pyasynq.server.run.subflows import Subflows

log: Final = get_logger("pyasynq.server")

NOTHING: Final[Mapping[str, bytes]] = {}


class Workflows:
    """Asks flows and batches about their tasks, and opens the flows that tasks hold."""

    def __init__(self, broker: Broker, config: Config) -> None:
        """Ask those of *broker*, if it has such."""
        flows = broker.flows if broker.supports("flows") else None
        batches = broker.batches if broker.supports("batches") else None
        self._inputs = None if flows is None else Inputs(flows, batches, config.codecs)
        compose = Composer(config.codecs, max_payload=MAX_PAYLOAD).compose
        self._writer = FlowWriter(broker, config.client_middleware, compose, config.clock)
        inputs, writer = self._inputs, self._writer
        self._subflows = None if inputs is None else Subflows(broker, writer, inputs)
        self._cancelled = None if batches is None else CancelledBatches(batches, config.clock)

    async def inputs(self, message: TaskMessage) -> Mapping[str, bytes]:
        """Return the results of steps that the task of *message* uses, if it may begin.

        Raises:
            RevokeTask: If its batch is cancelled.
            SkipRetry: If its flow is gone, and with it the results.
            CodecError: If a result cannot be opened.
            Snooze: If the broker does not give the results now.
        """
        if HEADER not in message.headers:
            return NOTHING
        if self._cancelled is not None:
            await self._cancelled.check(message)
        if INPUTS not in message.headers or self._inputs is None:
            return NOTHING
        return await self._inputs.read(message)

    def opener(self, message: TaskMessage) -> AsyncHandler | None:
        """Return what runs the task of *message* if it holds a flow; else None."""
        if STARTER in message.headers:
            return self.open_flow
        if SUBFLOW not in message.headers or self._subflows is None:
            return None
        place = place_of(message)
        return None if place is None else functools.partial(self._subflows.open, place)

    async def open_flow(self, task: ActiveTask) -> None:
        """Open the flow that *task* holds, under the id of the task, unless that was done.

        Raises:
            RevokeTask: If another flow of its name runs, and only one may.
            PayloadError: If it holds no flow.
            OptionError: If something of the flow is not allowed.
            CodecError: If a codec cannot seal a payload.
            BrokerError: If the broker does not answer.
            Exception: Any error of a client middleware.
        """
        try:
            await self._writer.enqueue(flow_in(task.payload, task.id))
        except DuplicateFlowError as error:
            log.info("%s", error)
            raise RevokeTask(str(error)) from error

    async def is_awaited(self, message: TaskMessage) -> bool:
        """Return whether anybody waits for the end of the task of *message*.

        Nobody does if its flow goes on without it, or if its flow or batch was cancelled.

        Raises:
            BrokerError: If the broker does not answer.
        """
        if self._cancelled is not None and await self._cancelled.is_cancelled(message):
            return False
        return self._inputs is None or await self._inputs.is_awaited(message)
