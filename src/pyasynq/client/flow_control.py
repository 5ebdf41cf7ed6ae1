"""Act on flows: signal, cancel, retry, skip.

Each action reads the flow, decides, and writes, unless the flow has changed meanwhile; then again.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, TypeAlias

import msgspec

from pyasynq.broker import Broker, Container, StoredTask
from pyasynq.client.batch_control import BatchControl, deliver
from pyasynq.client.step_tasks import is_gone, report_by_state
from pyasynq.core.compose import Plan
from pyasynq.core.errors import BrokerError, OptionError, PoisonError, PyasynqError
from pyasynq.core.flow import (
    FAILED,
    RUNNING,
    SKIPPED,
    SUCCEEDED,
    WAITING,
    Moves,
    advance,
    cancel,
    retry,
)
from pyasynq.core.flow_errors import FlowNotFoundError, FlowStateError, StepNotFoundError
from pyasynq.core.flow_info import FlowInfo
from pyasynq.core.flow_record import FLOW, FlowChange, FlowRecord, task_id
from pyasynq.core.message import TaskMessage
from pyasynq.core.options import DEFAULT_QUEUE, check_name
from pyasynq.core.report import (
    HEADER,
    MOST_OUTPUT,
    Place,
    header_of,
    pack_output,
    place_of,
)
from pyasynq.core.states import Action, TaskState

NULL: Final = pack_output("", b"null")
EMPTY: Final = pack_output("", b"[]")
"""The outputs of a step, and of a map, that were skipped by hand."""

WAITING_TASKS: Final = frozenset({TaskState.PENDING, TaskState.SCHEDULED, TaskState.RETRY})
"""States of tasks that are deleted when their steps are stopped."""

NOT_AWAITED: Final = "the flow that it is a step of goes on without it"
"""Why a flow is cancelled whose step has ended otherwise."""

Decide: TypeAlias = Callable[[FlowRecord], Awaitable[FlowChange]]
"""Returns how a flow changes; it is asked again if the flow changes meanwhile."""


class FlowControl:
    """Acts on the flows of a broker."""

    def __init__(self, broker: Broker) -> None:
        """Act on the flows of *broker*."""
        self._broker = broker

    async def signal(self, queue: str, flow_id: str, gate: str, value: object) -> None:
        """Let a flow go on at *gate*; see `Client.signal`."""
        data = msgspec.json.encode(value)
        if len(data) > MOST_OUTPUT:
            raise OptionError("value", len(data), f"at most {MOST_OUTPUT} bytes of JSON")
        output = pack_output("", data)

        async def decide(record: FlowRecord) -> FlowChange:
            if record.state != "running":
                raise FlowStateError(queue, flow_id, f"it is {record.state}, and awaits no signal")
            number = _number_of(record, gate, gates=True)
            mark = record.marks[number]
            if mark == RUNNING:
                moves = advance(record.spec.nodes, record.marks, number, SUCCEEDED)
            elif mark == WAITING and not await self._has_output(record, number):
                moves = _unmoved(record)
            else:
                raise FlowStateError(queue, flow_id, _gate_is_over(gate, mark))
            return FlowChange(moves=moves, outputs={number: output})

        await self._change(queue, flow_id, decide)

    async def cancel(
        self, queue: str, flow_id: str, reason: str, *, parent: Place | None = None
    ) -> FlowRecord:
        """Start nothing more of a flow, delete its waiting tasks and stop those that run.

        Of one that is cancelled already, stop what still runs: an earlier call may have failed.
        With *parent*, the step that it is, only unless it runs for a later try of that.
        """

        async def decide(record: FlowRecord) -> FlowChange:
            if parent is not None:
                known = _try_of(record, parent)
                if known is None or known > parent.member:
                    problem = f"it does not run for the flow {parent.id!r}"
                    raise FlowStateError(queue, flow_id, problem)
            again = record.state == "cancelled" and RUNNING in record.marks
            if record.state != "running" and not again:
                raise FlowStateError(queue, flow_id, f"it is {record.state}; it does not run")
            moves = cancel(record.spec.nodes, record.marks)
            return FlowChange(moves=moves, state="cancelled", reason="" if again else reason)

        record = await self._change(queue, flow_id, decide)
        await self._stop_all(record)
        return await self._read(queue, flow_id)

    async def retry(self, queue: str, flow_id: str) -> FlowRecord:
        """Run again what has failed in a flow that has ended, and then what comes after it."""

        async def decide(record: FlowRecord) -> FlowChange:
            if record.state not in {"failed", "cancelled"}:
                reason = f"it is {record.state}; only one that has failed, or was cancelled, can be"
                raise FlowStateError(queue, flow_id, f"{reason} retried")
            return await self._retry(record)

        await self._change(queue, flow_id, decide)
        return await self._read(queue, flow_id)

    async def resume(self, queue: str, flow_id: str, parent: Place) -> None:
        """Let a flow run for the step *parent* that it is, which was retried since it began.

        What has failed in it runs again. If it has succeeded meanwhile, it reports that. One that
        is gone has reported before.

        Raises:
            FlowStateError: If it is no such step.
        """
        while (record := await self._broker.flows.read(queue, flow_id)) is not None:
            known = _try_of(record, parent)
            if known is None:
                raise FlowStateError(queue, flow_id, f"it is no step of the flow {parent.id!r}")
            if known >= parent.member:
                return
            change = FlowChange(moves=_unmoved(record))  # one that has succeeded ends once more
            if record.state in {"failed", "cancelled"}:
                change = await self._retry(record)
            times = {**change.times, FLOW: parent.member}
            if await self._broker.flows.change(
                record, msgspec.structs.replace(change, times=times)
            ):
                return

    async def skip(self, queue: str, flow_id: str, step: str) -> FlowRecord:
        """Go on as if *step* had succeeded, with the result null."""

        async def decide(record: FlowRecord) -> FlowChange:
            number = _number_of(record, step, gates=False)
            if record.state != "running":
                raise FlowStateError(queue, flow_id, f"it is {record.state}; it does not run")
            if record.marks[number] not in {WAITING, RUNNING}:
                raise FlowStateError(queue, flow_id, f"the step {step!r} has ended")
            moves = advance(record.spec.nodes, record.marks, number, SUCCEEDED)
            output = EMPTY if record.spec.nodes[number].is_map else NULL
            return FlowChange(moves=moves, outputs={number: output})

        record = await self._change(queue, flow_id, decide)
        number = _number_of(record, step, gates=False)
        if record.marks[number] == RUNNING:
            await deliver(self._broker, queue)  # its task may be on its way
            await self._stop(record, number)
        return await self._read(queue, flow_id)

    async def time_out(self, queue: str, flow_id: str, number: int) -> None:
        """Let the gate *number* fail, if it still waits."""
        record = await self._read(queue, flow_id)
        if record.state != "running" or record.marks[number] != RUNNING:
            return
        moves = advance(record.spec.nodes, record.marks, number, FAILED)
        errors = {number: "no signal came in time"}
        await self._broker.flows.change(record, FlowChange(moves=moves, errors=errors))

    async def _retry(self, record: FlowRecord) -> FlowChange:
        cancelled = record.state == "cancelled"
        moves = retry(record.spec.nodes, record.marks, was_cancelled=cancelled)
        again = (FAILED, SKIPPED) if cancelled else (FAILED,)
        numbers = [n for n, mark in enumerate(record.marks) if mark in again]
        found = await self._broker.flows.plans(record.queue, record.id, numbers)
        known = {n: plan for n, plan in zip(numbers, found, strict=True) if plan is not None}
        repeated = [n for n in numbers if n in known or record.spec.nodes[n].is_map]
        times = {n: record.next_times(n) for n in repeated}
        await self._free_locks(record, [n for n, plan in known.items() if plan.lock is not None])
        plans = {
            n: _again(plan, record.spec.nodes[n].task_id, times[n]) for n, plan in known.items()
        }
        return FlowChange(
            moves=moves,
            errors=dict.fromkeys(numbers, ""),
            plans=plans,
            times=times,
        )

    async def _free_locks(self, record: FlowRecord, numbers: Sequence[int]) -> None:
        """Delete the archived tasks of steps, because each still holds the lock of the next try."""
        for number in numbers:
            archive = Container(queue=record.spec.nodes[number].queue, state=TaskState.ARCHIVED)
            ids = [record.task_id(number)]
            await self._broker.inspection.apply(Action.DELETE, archive, ids)

    async def _change(self, queue: str, flow_id: str, decide: Decide) -> FlowRecord:
        """Change a flow as *decide* says; return it as it was before."""
        while True:
            record = await self._read(queue, flow_id)
            if await self._broker.flows.change(record, await decide(record)):
                return record

    async def _read(self, queue: str, flow_id: str) -> FlowRecord:
        record = await self._broker.flows.read(queue, flow_id)
        if record is None:
            raise FlowNotFoundError(queue, flow_id)
        return record

    async def _has_output(self, record: FlowRecord, number: int) -> bool:
        outputs = await self._broker.flows.outputs(record.queue, record.id, [number])
        return outputs is not None and outputs[0] is not None

    async def _stop_all(self, record: FlowRecord) -> None:
        """Stop all running steps of a flow that was cancelled.

        One whose task cannot be reached, or read, keeps no other running: its error is raised at
        the end.
        """
        await deliver(self._broker, record.queue)  # tasks may be on their way
        deleted: list[int] = []
        failure: PyasynqError | None = None
        for number, mark in enumerate(record.marks):
            if mark != RUNNING:
                continue
            try:
                if await self._stop(record, number):
                    deleted.append(number)
            except (BrokerError, PoisonError) as error:
                failure = error
        await self._mark_stopped(record, deleted)
        if failure is not None:
            raise failure

    async def _stop(self, record: FlowRecord, number: int) -> bool:
        """Stop a step that runs; return True if nothing is left of it that could report its end."""
        node = record.spec.nodes[number]
        if node.is_map:
            return await self._stop_map(record, number)
        if node.is_flow:
            return await self._stop_flow(record, number)
        return not node.is_gate and await self._stop_task(record, number)

    async def _stop_task(self, record: FlowRecord, number: int) -> bool:
        """Cancel the task of a step if it runs; if it waits, delete it and return True.

        A task that moves meanwhile is looked at again. One that has ended without a report, because
        an operator has archived it, is reported; one that is gone without a report, because an
        operator or an earlier call has deleted it, counts as deleted now.
        """
        node, step_id = record.spec.nodes[number], record.task_id(number)
        while (found := await self._broker.inspection.task(node.queue, step_id)) is not None:
            if found.container.state is TaskState.ACTIVE:
                await self._broker.registry.cancel(step_id)
                return False
            if found.container.state not in WAITING_TASKS:
                await self._report_on(record.place(number), found)
                return False
            if await self._broker.inspection.apply(Action.DELETE, found.container, [step_id]):
                return True
        await deliver(self._broker, node.queue)  # its report may be on its way
        return await is_gone(self._broker, record, number)

    async def _report_on(self, place: Place, task: StoredTask) -> None:
        report = report_by_state(place, task)
        if report is not None:
            await self._broker.flows.report([report])

    async def _stop_flow(self, record: FlowRecord, number: int) -> bool:
        """Cancel the flow that a step is; return True unless its task runs.

        The worker that runs it looks at the step again after it has opened the flow, and ends both.
        """
        node, step_id = record.spec.nodes[number], record.task_id(number)
        while (found := await self._broker.inspection.task(node.queue, step_id)) is not None:
            if found.container.state not in WAITING_TASKS:
                break
            await self._broker.inspection.apply(Action.DELETE, found.container, [step_id])
        with suppress(FlowNotFoundError, FlowStateError):
            parent = record.place(number)
            await self.cancel(node.queue, node.flow_id, NOT_AWAITED, parent=parent)
        return found is None or found.container.state is not TaskState.ACTIVE

    async def _mark_stopped(self, record: FlowRecord, numbers: Sequence[int]) -> None:
        """Mark the steps of a cancelled flow whose tasks were deleted as skipped.

        If somebody has retried the flow meanwhile, they are left to the flow recoverer: it finds
        that their tasks are gone.
        """
        while numbers:
            now = await self._read(record.queue, record.id)
            if (now.state, now.times) != ("cancelled", record.times):
                return
            marks = [
                SKIPPED if mark == RUNNING and number in numbers else mark
                for number, mark in enumerate(now.marks)
            ]
            change = FlowChange(moves=Moves("".join(marks), ()), state="cancelled")
            if await self._broker.flows.change(now, change):
                return

    async def _stop_map(self, record: FlowRecord, number: int) -> bool:
        """Cancel the batch that a step is, which then reports its end; True if it is gone."""
        node, times = record.spec.nodes[number], record.times.get(number, 0)
        control = BatchControl(self._broker)
        is_stopped = await control.stop(node.queue, node.batch_id, times=times)
        return not is_stopped and await is_gone(self._broker, record, number)


def home_and_id(flow: object, queue: str | None) -> tuple[str, str]:
    """Return home and id of *flow*, which is a `FlowInfo` or an id.

    Raises:
        OptionError: If it is neither.
    """
    if isinstance(flow, FlowInfo):
        if queue not in {None, flow.queue}:
            raise OptionError("queue", queue, f"left out, or {flow.queue!r} as the flow says")
        return flow.queue, flow.id
    if not isinstance(flow, str):
        raise OptionError("flow", flow, "a FlowInfo (what enqueue_flow returned), or an id")
    home = DEFAULT_QUEUE if queue is None else queue
    return check_name("queue", home), check_name("flow", flow)


def _number_of(record: FlowRecord, step: str, *, gates: bool) -> int:
    number = record.spec.number_of(step)
    if number is None or (gates and not record.spec.nodes[number].is_gate):
        known = [node.name for node in record.spec.nodes if node.is_gate or not gates]
        raise StepNotFoundError(record.queue, record.id, step, known)
    return number


def _try_of(record: FlowRecord, parent: Place) -> int | None:
    """Return for which try of the step *parent* a flow runs; None if it is no such step."""
    known = record.parent
    if known is None:
        return None
    same = (known.queue, known.id, known.node) == (parent.queue, parent.id, parent.node)
    return known.member if same else None


def _unmoved(record: FlowRecord) -> Moves:
    return Moves(record.marks, ())


def _gate_is_over(gate: str, mark: str) -> str:
    return f"the gate {gate!r} " + ("has its signal" if mark == WAITING else "has ended")


def _again(plan: Plan, first_id: str, times: int) -> Plan:
    """Return *plan* for another try: its task has another id, and its reports count again."""
    message = TaskMessage()
    message.CopyFrom(plan.message)
    message.id = task_id(first_id, times)
    place = place_of(message)
    if place is not None:
        message.headers[HEADER] = header_of(msgspec.structs.replace(place, member=times))
    return msgspec.structs.replace(plan, message=message)
