"""Look after flows: what is over its time, and steps whose end nobody has reported.

A worker that knows flows reports the end of a step in the step that settles its task. Workers that
do not (of Go, or of earlier versions) end the task alone, and an operator may archive or delete it.
Then the state of the task tells how the step has ended.
"""

import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Final, TypeAlias

import msgspec

from pyasynq.broker import Broker, FlowTimer
from pyasynq.client.flow_control import FlowControl
from pyasynq.client.step_tasks import is_gone, report_by_state
from pyasynq.core.errors import BrokerError, BrokerUnavailableError, PoisonError
from pyasynq.core.flow import MAP_GONE, RUNNING, Node
from pyasynq.core.flow_errors import FlowNotFoundError, FlowStateError
from pyasynq.core.flow_record import FLOW, FlowRecord, report_to_parent
from pyasynq.core.policy import FLOW_IDLE_S
from pyasynq.core.report import Report, report_on
from pyasynq.runtime.actor import OnCall, OutageLog
from pyasynq.runtime.clock import Clock
from pyasynq.runtime.loggers import get_logger

log: Final = get_logger("pyasynq.server")

REST_S: Final = 5.0
"""Least seconds between two steps."""

MOST: Final = 32
"""Flows, and timers, of one step."""

GONE: Final = (
    "its task is gone: a worker that knows no flows has ended it, or somebody has deleted it"
)
OUT_OF_TIME: Final = "its timeout has passed"

Look: TypeAlias = Callable[[FlowRecord, int], Awaitable[Report | None]]
"""Returns the report on a running step that has ended; None if it has not."""


class FlowRecoverer(OnCall):
    """Looks after the flows that are stored with one queue."""

    def __init__(self, broker: Broker, queue: str, *, clock: Clock, outages: OutageLog) -> None:
        """Look after the flows of *queue*."""
        super().__init__(clock=clock, outages=outages)
        self.name: str = f"flow recoverer of {queue!r}"
        self._broker = broker
        self._control = FlowControl(broker)
        self._queue = queue
        self._broken: set[str] = set()
        self._late: dict[FlowTimer, None] = {}

    async def step(self) -> float:
        """End what is over its time, and report the ends of steps that nobody has reported."""
        flows = self._broker.flows
        neglected = await flows.look_after(self._queue, idle_s=FLOW_IDLE_S, count=MOST)
        timers = {**self._late, **dict.fromkeys(neglected.timers)}
        looks = [(timer.id, partial(self._time_out, timer)) for timer in timers]
        looks += [(flow_id, partial(self._look_at, flow_id)) for flow_id in neglected.idle]
        away: BrokerUnavailableError | None = None
        for flow_id, look in looks:
            try:
                await look()
            except BrokerUnavailableError as error:  # the queues of another flow may be reachable
                away = error
            except BrokerError as error:
                self._note_broken(flow_id, error)
            else:
                self._broken.discard(flow_id)
        if away is not None:
            raise away
        return math.inf

    def _note_broken(self, flow_id: str, error: BrokerError) -> None:
        """Log once that a flow cannot go on; it stops no other."""
        if flow_id not in self._broken:
            log.error("flow %s of %r does not go on: %s", flow_id, self._queue, error)
        self._broken.add(flow_id)

    async def _time_out(self, timer: FlowTimer) -> None:
        # A cancelled flow has no timer any more, though some of its tasks may still run: so this
        # one is kept until all of it is done.
        self._late[timer] = None
        with suppress(FlowNotFoundError, FlowStateError):  # it has ended meanwhile
            if timer.node == FLOW:
                await self._control.cancel(self._queue, timer.id, OUT_OF_TIME)
                log.warning("flow %s of %r is cancelled: %s", timer.id, self._queue, OUT_OF_TIME)
            else:
                await self._control.time_out(self._queue, timer.id, timer.node)
        del self._late[timer]

    async def _look_at(self, flow_id: str) -> None:
        record = await self._broker.flows.read(self._queue, flow_id)
        if record is None:
            return
        for number, mark in enumerate(record.marks):
            if mark != RUNNING or record.spec.nodes[number].is_gate:
                continue
            report = await self._look_for(record.spec.nodes[number])(record, number)
            if report is not None:
                name = record.spec.nodes[number].name
                log.info("step %s of flow %s: %s, as its task says", name, record.id, report.result)
                await self._broker.flows.report([report])

    def _look_for(self, node: Node) -> Look:
        if node.is_map:
            return self._report_on_map
        return self._report_on_flow if node.is_flow else self._report_on

    async def _report_on(self, record: FlowRecord, number: int) -> Report | None:
        """Return the report on a running step whose task has ended; None if it has not."""
        queue = record.spec.nodes[number].queue
        try:
            task = await self._broker.inspection.task(queue, record.task_id(number))
            if task is not None:
                return report_by_state(record.place(number), task)
            if not await self._is_gone(record, number):
                return None
        except PoisonError:
            return None
        return report_on(record.place(number), "archived", error=GONE)

    async def _report_on_map(self, record: FlowRecord, number: int) -> Report | None:
        """Return the report on a map that runs, but whose batch is gone; a batch reports itself."""
        if not await self._is_gone(record, number):
            return None
        return report_on(record.place(number), "archived", error=MAP_GONE)

    async def _report_on_flow(self, record: FlowRecord, number: int) -> Report | None:
        """Return the report on a step that is a flow; None unless it has ended, or is gone.

        If the task that opens it neither waits nor runs, it has begun, or never will. A flow
        reports its end itself, but not for a try whose task somebody has deleted.
        """
        report = await self._report_on(record, number)
        if report is None:
            return None
        node = record.spec.nodes[number]
        inner = await self._broker.flows.read(node.queue, node.flow_id)
        if inner is None:
            return report_on(report.place, "archived", error=report.error or GONE)
        end = report_to_parent(inner)
        return None if end is None else msgspec.structs.replace(end, place=report.place)

    async def _is_gone(self, record: FlowRecord, number: int) -> bool:
        """Return whether the task or batch of a step is gone, while the step still runs.

        One that was retried since *record* was read has another task.
        """
        if not await is_gone(self._broker, record, number):
            return False
        now = await self._broker.flows.read(record.queue, record.id)
        return now is not None and now.marks[number] == RUNNING and now.times == record.times
