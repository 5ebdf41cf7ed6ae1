"""Open the flows that are steps of others."""

from contextlib import suppress

from pyasynq.broker import Broker
from pyasynq.client.flow_control import NOT_AWAITED, FlowControl
from pyasynq.client.flow_starter import flow_in
from pyasynq.client.flow_writer import FlowWriter
from pyasynq.core.control import SkipRetry
from pyasynq.core.flow_errors import DuplicateFlowError, FlowNotFoundError, FlowStateError
from pyasynq.core.flow_record import subflow_id
from pyasynq.core.report import Place, Report
from pyasynq.server.context import ActiveTask
from pyasynq.server.run.inputs import Inputs


class Subflows:
    """Opens flows that are steps, once each, and takes them on when their steps are retried."""

    def __init__(self, broker: Broker, writer: FlowWriter, inputs: Inputs) -> None:
        """Open flows with *writer*, for steps that wait for them as *inputs* says."""
        self._writer = writer
        self._inputs = inputs
        self._control = FlowControl(broker)
        self._port = broker.flows

    async def open(self, parent: Place, task: ActiveTask) -> None:
        """Have the flow that *task* holds run for the step *parent*.

        It may be called any number of times. The step is looked at again at the end: one that was
        stopped meanwhile had perhaps no flow yet that could be cancelled.

        Raises:
            SkipRetry: If the flow cannot be opened: another one has its name, or its id.
            PayloadError: If it holds no flow.
            OptionError: If something of the flow is not allowed.
            CodecError: If a codec cannot seal a payload.
            BrokerError: If the broker does not answer.
            Exception: Any error of a client middleware.
        """
        flow = flow_in(task.payload, subflow_id(parent.queue, task.id, parent.member))
        if await self._inputs.awaits(parent):
            try:
                await self._writer.enqueue(flow, parent=parent)
                await self._control.resume(flow.queue, flow.id, parent)
            except (DuplicateFlowError, FlowStateError) as error:
                raise SkipRetry(str(error)) from error
            if await self._inputs.awaits(parent):
                return
        with suppress(FlowNotFoundError, FlowStateError):
            await self._control.cancel(flow.queue, flow.id, NOT_AWAITED, parent=parent)
        end = Report(place=parent, result="failed", error=NOT_AWAITED)
        await self._port.report([end])  # a flow that was not opened cannot
