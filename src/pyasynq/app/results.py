"""Wait for typed results: of calls, of steps of flows, and of tasks by their ids."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, Protocol

import msgspec

from pyasynq.app.substitutes import load, substitute_types
from pyasynq.client import Client, Members, Step
from pyasynq.client.client import LONGEST_PAUSE_S, SHORTEST_PAUSE_S
from pyasynq.core.call import Call, MapInput
from pyasynq.core.errors import OptionError, ResultExpiredError, TaskFailedError
from pyasynq.core.flow import OPEN, STEP_STATES, SUCCEEDED
from pyasynq.core.flow_errors import FlowNotFoundError
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
            return self._decode(kind, data, many=isinstance(target, Members))
        if isinstance(target, str):
            return self._decode("", await client.result(target, queue=queue, timeout=timeout))
        options = target.options
        if options.task_id is None:
            raise OptionError("task", target, NO_ID)
        home = queue or options.queue or DEFAULT_QUEUE
        data = await client.result(options.task_id, queue=home, timeout=timeout)
        return self._decode(target.type, data)

    def _decode(self, kind: str, data: bytes, *, many: bool = False) -> object:
        """Return the result *data* of a task of type *kind*, or the list of *many*.

        Empty data is None.
        """
        if not data:
            return None
        task = self._tasks.get(kind)
        wanted: Any = Any if task is None else task.result_type
        known: Any = substitute_types(wanted)
        return msgspec.json.decode(data, type=list[known] if many else known, dec_hook=load)


async def _step_result(client: Client, step: Step[Any]) -> tuple[str, bytes]:
    """Wait until *step* has ended; return the type of its task and its result."""
    flow, flows = step.flow, client.broker.flows
    pause_s = SHORTEST_PAUSE_S
    while True:
        record = await flows.read(flow.queue, flow.id)
        if record is None:
            raise FlowNotFoundError(flow.queue, flow.id)
        if (mark := record.marks[step.number]) not in OPEN:
            break
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
    node = record.spec.nodes[step.number]
    if mark != SUCCEEDED:
        error = record.errors.get(step.number) or f"the step was not run: {STEP_STATES[mark]}"
        raise TaskFailedError(node.queue, _id_of(record, step.number), error)
    if node.is_map:
        return node.type, await _map_result(client, record, step.number)
    outputs = await flows.outputs(flow.queue, flow.id, [step.number])
    if outputs is None:
        raise ResultExpiredError(node.queue, _id_of(record, step.number))
    return node.type, client.open_output(record, step.number, outputs[0])


async def _map_result(client: Client, record: FlowRecord, number: int) -> bytes:
    """Return the results of a map, which has succeeded, as a JSON array."""
    node = record.spec.nodes[number]
    outputs = await client.broker.flows.outputs(record.queue, record.id, [number])
    if outputs and outputs[0]:  # an operator has skipped it
        return client.open_output(record, number, outputs[0])
    of = MapInput(number=number, queue=node.queue, batch_id=node.batch_id, type=node.type)
    results = await client.open_results(of)
    if results is None:
        allowed = "one whose results a step of the flow uses; those of others are not kept"
        raise OptionError("target", node.name, allowed)
    return results


def _id_of(record: FlowRecord, number: int) -> str:
    return record.task_id(number) or record.spec.nodes[number].name
