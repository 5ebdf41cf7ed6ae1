"""Compose the tasks of a flow, and store it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from pyasynq.broker import Broker
from pyasynq.client.flow import Draft, Flow
from pyasynq.client.middleware import MiddlewareChain
from pyasynq.client.plans import Compose, Plans
from pyasynq.core.call import INPUTS, inputs_of
from pyasynq.core.compose import Composed, Plan
from pyasynq.core.errors import OptionError
from pyasynq.core.flow import Node, begin
from pyasynq.core.flow_info import FlowInfo
from pyasynq.core.flow_record import FlowRecord, FlowSpec, NewFlow
from pyasynq.core.options import Options
from pyasynq.core.report import HEADER, Place, header_of
from pyasynq.core.task import Task
from pyasynq.runtime.clock import Clock

MAX_FLOW: Final = 16 * 1024 * 1024
"""Bytes of all messages of a flow: they are stored in one step."""


class FlowWriter:
    """Stores flows."""

    def __init__(
        self, broker: Broker, middleware: MiddlewareChain, compose: Compose, clock: Clock
    ) -> None:
        """Store flows in *broker*; their tasks pass through *middleware* to *compose*."""

        def compose_step(task: Task, options: Options, *, now: datetime, task_id: str) -> Composed:
            # A delay counts from the start of the step; its id is that of the flow.
            own = msgspec.structs.replace(options, process_in=None, group=None, task_id=None)
            return compose(task, own, now=now, task_id=task_id)

        self._broker = broker
        self._clock = clock
        self._plans = Plans(compose_step, middleware, clock)

    async def enqueue(self, flow: Flow) -> FlowInfo:
        """Store *flow* and start its first steps; see `Client.enqueue_flow`."""
        if not isinstance(flow, Flow):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise OptionError("flow", flow, "a Flow (for a task there is enqueue)")
        if not flow.drafts:
            raise OptionError("steps", 0, "at least one (flow.add)")
        flows = self._broker.flows
        plans = [await self._plan(flow, number) for number in range(len(flow.drafts))]
        new = _new_flow(flow, plans)
        await flows.open(new)
        return _record(new, self._clock.now()).info()

    async def _plan(self, flow: Flow, number: int) -> Plan | None:
        """Return the plan for the task of a step; None for a gate."""
        draft = flow.drafts[number]
        if draft.task is None:
            return None
        options = Options(headers=_headers(flow, number, draft.task))
        return await self._plans.one(draft.task, options, f"{flow.id}:{draft.name}")


def _headers(flow: Flow, number: int, task: Task) -> Mapping[str, str]:
    """Return the headers that make *task* a step of *flow*, beside its own."""
    place = Place(kind="flow", queue=flow.queue, id=flow.id, node=number)
    headers = {**task.headers, HEADER: header_of(place)}
    if inputs := inputs_of(task):
        numbers = {name: result.number for name, result in inputs.items()}
        headers[INPUTS] = msgspec.json.encode(numbers).decode()
    return headers


def _new_flow(flow: Flow, plans: Sequence[Plan | None]) -> NewFlow:
    size = sum(plan.message.ByteSize() for plan in plans if plan is not None)
    if size > MAX_FLOW:
        allowed = f"at most {MAX_FLOW} bytes of payloads and headers in a flow"
        raise OptionError("payload", size, allowed)
    spec = FlowSpec(
        name=flow.name,
        nodes=tuple(_nodes(flow, plans)),
        timeout_s=flow.timeout_s,
        keep_s=flow.keep_s,
        keep_failed_s=flow.keep_failed_s,
    )
    if spec.spreads:
        for plan in plans:
            if plan is not None:
                spread(plan)
    return NewFlow(queue=flow.queue, id=flow.id, spec=spec, plans=plans, moves=begin(spec.nodes))


def spread(plan: Plan) -> None:
    """Have the worker that ends the step of *plan* wake the courier of the flow's home."""
    place = msgspec.json.decode(plan.message.headers[HEADER], type=Place)
    plan.message.headers[HEADER] = header_of(msgspec.structs.replace(place, spreads=True))


def _nodes(flow: Flow, plans: Sequence[Plan | None]) -> Iterator[Node]:
    then: list[list[int]] = [[] for _ in flow.drafts]
    for number, draft in enumerate(flow.drafts):
        for before in draft.after:
            then[before].append(number)
    for draft, plan, after in zip(flow.drafts, plans, then, strict=True):
        yield Node(
            name=draft.name,
            type="" if plan is None else plan.message.type,
            queue=flow.queue if plan is None else plan.message.queue,
            task_id="" if plan is None else plan.message.id,
            when=draft.when,
            after=draft.after,
            then=tuple(after),
            delay_s=_delay_s(draft),
            timeout_s=draft.timeout_s,
        )


def _delay_s(draft: Draft) -> int:
    delay = None if draft.task is None else draft.task.options.process_in
    return 0 if delay is None else math.ceil(delay.total_seconds())


def _record(new: NewFlow, now: datetime) -> FlowRecord:
    return FlowRecord(
        queue=new.queue,
        id=new.id,
        spec=new.spec,
        state="running",
        marks=new.moves.marks,
        version=0,
        created_s=int(now.timestamp()),
    )
