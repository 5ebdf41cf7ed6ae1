"""Read flows, and act on them."""

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

from pyasynq.client.flow_control import FlowControl
from pyasynq.core.errors import OptionError
from pyasynq.core.flow_errors import FlowNotFoundError
from pyasynq.core.flow_info import FlowInfo
from pyasynq.core.options import check_count, check_name
from pyasynq.inspector.filters import MAX_RANK
from pyasynq.inspector.reader import PAGE_SIZE, Reader

Listed: TypeAlias = Literal["running", "ended"]

BY_HAND: Final = "an operator has cancelled it"


class FlowInspector(Reader):
    """Reads flows, and acts on them.

    Each method raises `NotSupportedError` if the broker has no flows.
    """

    async def flows(
        self, queue: str, state: Listed = "running", *, page: int = 1, size: int = PAGE_SIZE
    ) -> Sequence[FlowInfo]:
        """Return one page of the flows that are stored with *queue*.

        Of those that run, the latest change comes first; of others, the one that is kept longest.

        Args:
            queue: Home of the flows.
            state: ``running``, or ``ended`` for all others.
            page: Number of the page, from 1.
            size: Flows on a page, from 1.

        Raises:
            OptionError: If an argument is not allowed.
            QueueNotFoundError: If there is no such queue.
        """
        if state not in {"running", "ended"}:
            raise OptionError("state", state, "'running' or 'ended'")
        check_count("page", page, MAX_RANK)
        check_count("size", size, MAX_RANK)
        await self._actions.check(queue)
        found = await self._broker.flows.list(
            queue, running=state == "running", start=(page - 1) * size, count=size
        )
        return [record.info() for record in found]

    async def flow(self, queue: str, flow_id: str) -> FlowInfo:
        """Return a flow with its steps.

        Raises:
            FlowNotFoundError: If there is no such flow, or it is no longer kept.
        """
        check_name("queue", queue)
        record = await self._broker.flows.read(queue, check_name("flow_id", flow_id))
        if record is None:
            raise FlowNotFoundError(queue, flow_id)
        return record.info()

    async def cancel_flow(self, queue: str, flow_id: str) -> FlowInfo:
        """Start nothing more of a flow, and return it.

        Its waiting tasks are deleted. Those that run are stopped, as `Inspector.cancel` does, and
        then deleted, too; workers of Go and of earlier versions retry them if retries are left.

        Raises:
            FlowNotFoundError: If there is no such flow.
            FlowStateError: If it does not run. One that was cancelled can be once more as long as
                tasks of it run.
            BrokerError: If a task could not be stopped; the flow is cancelled, maybe.
        """
        check_name("queue", queue)
        check_name("flow_id", flow_id)
        return (await FlowControl(self._broker).cancel(queue, flow_id, BY_HAND)).info()

    async def retry_flow(self, queue: str, flow_id: str) -> FlowInfo:
        """Run again what has failed in a flow that has ended, then what comes after; return it.

        A step that has succeeded is not repeated. Of a flow that was cancelled, the steps that were
        left out run, too. Each repeated task has another id: that of its first try, a colon, and
        how often it was retried.

        Raises:
            FlowNotFoundError: If there is no such flow.
            FlowStateError: If it has not failed, and was not cancelled.
        """
        check_name("queue", queue)
        check_name("flow_id", flow_id)
        return (await FlowControl(self._broker).retry(queue, flow_id)).info()

    async def skip_step(self, queue: str, flow_id: str, step: str) -> FlowInfo:
        """Let a flow go on as if *step*, which has not ended, had succeeded; return the flow.

        Its result is null. Its task is stopped if it runs, and deleted.

        Raises:
            FlowNotFoundError: If there is no such flow.
            StepNotFoundError: If it has no such step.
            FlowStateError: If the flow or the step has ended.
        """
        check_name("queue", queue)
        check_name("flow_id", flow_id)
        step = check_name("step", step)
        return (await FlowControl(self._broker).skip(queue, flow_id, step)).info()

    async def signal(self, queue: str, flow_id: str, gate: str, value: object = None) -> None:
        """Let a flow go on at *gate*; see `Client.signal`."""
        check_name("queue", queue)
        check_name("flow_id", flow_id)
        await FlowControl(self._broker).signal(queue, flow_id, check_name("gate", gate), value)
