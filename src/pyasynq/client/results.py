"""Wait for results: of tasks, and of the steps of flows."""

import asyncio
import functools
from datetime import timedelta
from typing import Any, Final

from pyasynq.broker import Broker
from pyasynq.client.flow import Flow, Step
from pyasynq.client.map_results import read_results
from pyasynq.core.call import MapInput
from pyasynq.core.codec import Codecs
from pyasynq.core.errors import OptionError, ResultExpiredError, TaskFailedError
from pyasynq.core.flow import OPEN, STEP_STATES, SUCCEEDED, Node
from pyasynq.core.flow_errors import FlowNotFoundError, StepNotFoundError
from pyasynq.core.flow_outputs import open_output
from pyasynq.core.flow_record import FlowRecord
from pyasynq.core.info import TaskInfo
from pyasynq.core.options import DEFAULT_QUEUE, check_name, check_timeout
from pyasynq.core.states import TaskState

SHORTEST_PAUSE_S: Final = 0.02
LONGEST_PAUSE_S: Final = 1
"""Polling interval while waiting for a result; it doubles. For the result of a task a Python worker
notifies earlier."""


class Results:
    """Waits for results."""

    def __init__(self, broker: Broker, codecs: Codecs) -> None:
        """Read from *broker*; open sealed results with *codecs*."""
        self._broker = broker
        self._codecs = codecs

    async def wait(
        self,
        target: TaskInfo | Step[Any] | str,
        queue: str | None,
        timeout: timedelta | None,  # noqa: ASYNC109
    ) -> bytes:
        """Return the result of *target* once it has ended; see `Client.result`."""
        if isinstance(target, Step):
            flow = target.flow
            _check_queue(queue, flow.queue, "flow")
            name = f"step {target.name!r} of flow {flow.id!r} in {flow.queue!r}"
            read = functools.partial(self._of_step, target)
        else:
            queue, task_id = _queue_and_id(target, queue)
            name = f"task {task_id!r} of {queue!r}"
            read = functools.partial(self._of_task, queue, task_id)
        limit_s = None if timeout is None else check_timeout(timeout).total_seconds()
        try:
            async with asyncio.timeout(limit_s):
                return await read()
        except TimeoutError:
            msg = f"{name} has not ended in time"
            raise TimeoutError(msg) from None

    async def _of_task(self, queue: str, task_id: str) -> bytes:
        pause_s = SHORTEST_PAUSE_S
        while True:
            task = await self._broker.results.wait(queue, task_id, longest_s=pause_s)
            if task is None:
                raise ResultExpiredError(queue, task_id)
            if task.state is TaskState.COMPLETED:
                return self._codecs.open_result(task)
            if task.state is TaskState.ARCHIVED:
                raise TaskFailedError(queue, task_id, task.last_error)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _of_step(self, step: Step[Any]) -> bytes:
        flow, flows = step.flow, self._broker.flows
        pause_s = SHORTEST_PAUSE_S
        while True:
            record = await self._record_of(flow)
            number = record.spec.number_of(step.name)
            if number is None:  # another flow was stored with this id before
                known = [node.name for node in record.spec.nodes]
                raise StepNotFoundError(flow.queue, flow.id, step.name, known)
            if (mark := record.marks[number]) not in OPEN:
                break
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        queue, task_id = record.spec.nodes[number].queue, record.task_id(number) or step.name
        if mark != SUCCEEDED:
            error = record.errors.get(number) or f"the step was not run: {STEP_STATES[mark]}"
            raise TaskFailedError(queue, task_id, error)
        outputs = await flows.outputs(flow.queue, flow.id, [number])
        if outputs is None:
            raise ResultExpiredError(queue, task_id)
        if record.spec.nodes[number].is_map and not outputs[0]:  # else an operator has skipped it
            return await self._of_map(record.spec.nodes[number], number)
        return open_output(self._codecs, record, number, outputs[0])

    async def _record_of(self, flow: Flow) -> FlowRecord:
        """Return the record of *flow*; wait for it if the flow is a step that will open it."""
        while True:
            is_to_come = await self._is_to_come(flow)
            record = await self._broker.flows.read(flow.queue, flow.id)
            if record is not None:
                return record
            if not is_to_come:
                raise FlowNotFoundError(flow.queue, flow.id)
            await asyncio.sleep(LONGEST_PAUSE_S)

    async def _is_to_come(self, flow: Flow) -> bool:
        """Return whether *flow* may be stored later, because it is a step that has not ended."""
        if flow.step is None:
            return False
        outer = flow.step.flow
        record = await self._broker.flows.read(outer.queue, outer.id)
        if record is None:
            return await self._is_to_come(outer)
        number = record.spec.number_of(flow.step.name)
        return number is not None and record.marks[number] in OPEN

    async def _of_map(self, node: Node, number: int) -> bytes:
        of = MapInput(number=number, queue=node.queue, batch_id=node.batch_id, type=node.type)
        results = await read_results(self._broker.batches, self._codecs, of)
        if results is None:
            allowed = "one whose results a step of the flow uses; those of others are not kept"
            raise OptionError("step", node.name, allowed)
        return results


def _queue_and_id(info: object, queue: str | None) -> tuple[str, str]:
    if isinstance(info, TaskInfo):
        _check_queue(queue, info.queue, "task")
        return info.queue, info.id
    if not isinstance(info, str):
        allowed = "a TaskInfo (what enqueue returned), the step of a flow, or the id of a task"
        raise OptionError("info", info, allowed)
    queue = DEFAULT_QUEUE if queue is None else queue
    return check_name("queue", queue), check_name("info", info)


def _check_queue(queue: str | None, own: str, kind: str) -> None:
    if queue not in {None, own}:
        raise OptionError("queue", queue, f"left out, or {own!r} as the {kind} says")
