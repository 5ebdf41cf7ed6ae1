"""Wait for typed results: of calls, of steps of flows, and of tasks by their ids."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, Protocol

import msgspec

from pyasynq.app.substitutes import load, substitute_types
from pyasynq.client import Client, Step
from pyasynq.client.client import LONGEST_PAUSE_S, SHORTEST_PAUSE_S
from pyasynq.core.call import Call
from pyasynq.core.errors import OptionError, ResultExpiredError, TaskFailedError
from pyasynq.core.flow import OPEN, STEP_STATES, SUCCEEDED
from pyasynq.core.flow_errors import FlowNotFoundError, StepNotFoundError
from pyasynq.core.flow_record import FlowRecord
from pyasynq.core.options import DEFAULT_QUEUE, check_timeout

NO_ID: Final = "one with a task_id (options(task_id=…)), the step of a flow, or the id of a task"


class Typed(Protocol):
    """A typed task."""

    @property
    def result_type(self) -> object:
        """Type of its result."""
        ...


class Results:
    """Reads the results of the tasks of an app."""

    def __init__(self, tasks: Mapping[str, Typed]) -> None:
        """Read results as the functions of *tasks*, by type, declare them."""
        self._tasks = tasks

    async def wait(
        self,
        client: Client,
        target: Call[Any] | Step[Any] | str,
        queue: str | None,
        timeout: timedelta | None,  # noqa: ASYNC109
    ) -> object:
        """Return the result of *target*; see `App.result`."""
        if isinstance(target, Step):
            limit_s = None if timeout is None else check_timeout(timeout).total_seconds()
            async with asyncio.timeout(limit_s):
                kind, data = await _step_result(client, target)
            return self._decode(kind, data)
        if isinstance(target, str):
            return self._decode("", await client.result(target, queue=queue, timeout=timeout))
        options = target.options
        if options.task_id is None:
            raise OptionError("task", target, NO_ID)
        home = queue or options.queue or DEFAULT_QUEUE
        data = await client.result(options.task_id, queue=home, timeout=timeout)
        return self._decode(target.type, data)

    def _decode(self, kind: str, data: bytes) -> object:
        """Return the result *data* of a task of type *kind*; empty data is None."""
        if not data:
            return None
        task = self._tasks.get(kind)
        wanted: Any = Any if task is None else task.result_type
        return msgspec.json.decode(data, type=substitute_types(wanted), dec_hook=load)


async def _step_result(client: Client, step: Step[Any]) -> tuple[str, bytes]:
    """Wait until *step* has ended; return the type of its task and its result."""
    flow, flows = step.flow, client.broker.flows
    pause_s = SHORTEST_PAUSE_S
    while True:
        record = await flows.read(flow.queue, flow.id)
        if record is None:
            raise FlowNotFoundError(flow.queue, flow.id)
        number = record.spec.number_of(step.name)
        if number is None:  # another flow was stored with this id before
            known = [node.name for node in record.spec.nodes]
            raise StepNotFoundError(flow.queue, flow.id, step.name, known)
        if (mark := record.marks[number]) not in OPEN:
            break
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
    node = record.spec.nodes[number]
    if mark != SUCCEEDED:
        error = record.errors.get(number) or f"the step was not run: {STEP_STATES[mark]}"
        raise TaskFailedError(node.queue, _id_of(record, number), error)
    outputs = await flows.outputs(flow.queue, flow.id, [number])
    if outputs is None:
        raise ResultExpiredError(node.queue, _id_of(record, number))
    return node.type, client.open_output(record, number, outputs[0])


def _id_of(record: FlowRecord, number: int) -> str:
    return record.task_id(number) or record.spec.nodes[number].name
