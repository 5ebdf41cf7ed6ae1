"""Compose the tasks of a flow, and store it."""

import asyncio
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from pyasynq.broker import Broker
from pyasynq.client.flow import Flow
from pyasynq.client.flow_template import Draft, members_once
from pyasynq.client.middleware import MiddlewareChain
from pyasynq.client.plans import Compose, Plans
from pyasynq.client.together import HeldMap, discard_maps, hold_map
from pyasynq.core.call import INPUTS, MapInput, StepResult, inputs_of
from pyasynq.core.compose import Composed, Plan
from pyasynq.core.errors import BrokerError, BrokerFullError, OptionError
from pyasynq.core.flow import Node, begin
from pyasynq.core.flow_info import FlowInfo
from pyasynq.core.flow_record import FlowRecord, FlowSpec, NewFlow, first_task_id, subflow_id
from pyasynq.core.options import Options
from pyasynq.core.report import HEADER, Place, header_of
from pyasynq.core.task import Task
from pyasynq.runtime.cleanup import run_to_end
from pyasynq.runtime.clock import Clock

MAX_FLOW: Final = 16 * 1024 * 1024
"""Bytes of all messages of a flow: they are stored in one step."""

Maps = dict[int, HeldMap]
"""The maps of a flow by the numbers of their steps."""


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
        self._member_plans = Plans(compose, middleware, clock)

    async def enqueue(self, flow: Flow, *, parent: Place | None = None) -> FlowInfo:
        """Store *flow* and start its first steps; see `Client.enqueue_flow`.

        It reports its end to *parent*, the step that it is; None if it is no step.
        """
        if not isinstance(flow, Flow):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise OptionError("flow", flow, "a Flow (for a task there is enqueue)")
        if not flow.draft.steps:
            raise OptionError("steps", 0, "at least one (flow.add)")
        if flow.step is not None:
            allowed = f"the flow {flow.step.flow.name!r}, of which it is a step"
            raise OptionError("flow", flow, allowed)
        if any(draft.members is not None for draft in flow.draft.steps):
            return await self._enqueue_with_maps(flow, parent)
        new = await self._new_flow(flow, {}, parent)
        await self._broker.flows.open(new)
        return _record(new, self._clock.now()).info()

    async def _enqueue_with_maps(self, flow: Flow, parent: Place | None) -> FlowInfo:
        """Store the tasks of the maps first: they wait until the flow begins them.

        If this process dies in between, servers delete them. Each try has tasks of its own, so that
        the tries of several processes do not meet.
        """
        flows, maps, is_opening = self._broker.flows, Maps(), False
        stored = await flows.read(flow.queue, flow.id)
        if stored is not None:
            return stored.info()
        try:
            await self._hold_maps(flow, maps)
            new = await self._new_flow(flow, maps, parent)
            await asyncio.sleep(0)  # raise a cancellation that has come while nothing is opened
            is_opening = True
            is_new = await flows.open(new)
        except BaseException as error:
            if not (is_opening and _may_have_opened(error)):
                await run_to_end(lambda: discard_maps(self._broker.batches, maps.values()))
            raise  # else the flow may be stored
        found = None if is_new else await flows.read(flow.queue, flow.id)
        if found is None:
            return _record(new, self._clock.now()).info()
        # It may be this one: a call whose answer was lost was sent again.
        own = {node.batch_id for node in found.spec.nodes}
        others = [held for held in maps.values() if held.batch.id not in own]
        await discard_maps(self._broker.batches, others)
        return found.info()

    async def _hold_maps(self, flow: Flow, maps: Maps) -> None:
        """Store the tasks of the maps of *flow*, and add each to *maps* when it is there."""
        used = {result.number for draft in flow.draft.steps for result in _results_in(draft)}
        for number, draft in enumerate(flow.draft.steps):
            if draft.members is None:
                continue
            maps[number] = await hold_map(
                self._broker.batches,
                self._member_plans,
                members_once(draft.members, number, flow.draft.map_types),
                parent=Place(kind="flow", queue=flow.queue, id=flow.id, node=number),
                keeps_results=number in used,
            )
            flow.draft.map_types[number] = maps[number].type

    async def _new_flow(self, flow: Flow, maps: Maps, parent: Place | None) -> NewFlow:
        plans = [await self._plan(flow, number, maps) for number in range(len(flow.draft.steps))]
        size = sum(plan.message.ByteSize() for plan in plans if plan is not None)
        if size > MAX_FLOW:
            allowed = f"at most {MAX_FLOW} bytes of payloads and headers in a flow"
            raise OptionError("payload", size, allowed)
        spec = FlowSpec(
            name=flow.name,
            nodes=tuple(_nodes(flow, plans, maps)),
            timeout_s=flow.draft.timeout_s,
            keep_s=flow.draft.keep_s,
            keep_failed_s=flow.draft.keep_failed_s,
            parent=parent,
        )
        if spec.spreads:
            for plan in plans:
                if plan is not None:
                    spread(plan)
        moves = begin(spec.nodes)
        return NewFlow(
            queue=flow.queue,
            id=flow.id,
            spec=spec,
            plans=plans,
            moves=moves,
            unique_s=flow.draft.unique_s,
        )

    async def _plan(self, flow: Flow, number: int, maps: Maps) -> Plan | None:
        """Return the plan for the task of a step; None for a gate, and for a map."""
        draft = flow.draft.steps[number]
        if draft.task is None:
            return None
        options = Options(headers=_headers(flow, number, draft.task, maps))
        return await self._plans.one(draft.task, options, first_task_id(flow.id, draft.name))


def _may_have_opened(error: BaseException) -> bool:
    """Return whether a flow may be stored though its opening raised *error*."""
    if isinstance(error, BrokerFullError):
        return False  # a flow needs room, so a broker that is full has not stored it
    return isinstance(error, BrokerError | asyncio.CancelledError)


def _results_in(draft: Draft) -> Iterator[StepResult]:
    if draft.task is not None:
        yield from inputs_of(draft.task).values()


def _headers(flow: Flow, number: int, task: Task, maps: Maps) -> Mapping[str, str]:
    """Return the headers that make *task* a step of *flow*, beside its own."""
    place = Place(kind="flow", queue=flow.queue, id=flow.id, node=number)
    headers = {**task.headers, HEADER: header_of(place)}
    if inputs := inputs_of(task):
        named = {name: _input(result.number, maps) for name, result in inputs.items()}
        headers[INPUTS] = msgspec.json.encode(named).decode()
    return headers


def _input(number: int, maps: Maps) -> int | MapInput:
    if number not in maps:
        return number
    batch, of = maps[number].batch, maps[number]
    return MapInput(number=number, queue=batch.queue, batch_id=batch.id, type=of.type)


def spread(plan: Plan) -> None:
    """Have the worker that ends the step of *plan* wake the courier of the flow's home."""
    place = msgspec.json.decode(plan.message.headers[HEADER], type=Place)
    plan.message.headers[HEADER] = header_of(msgspec.structs.replace(place, spreads=True))


def _nodes(flow: Flow, plans: Sequence[Plan | None], maps: Maps) -> Iterator[Node]:
    then: list[list[int]] = [[] for _ in flow.draft.steps]
    for number, draft in enumerate(flow.draft.steps):
        for before in draft.after:
            then[before].append(number)
    for number, (draft, plan) in enumerate(zip(flow.draft.steps, plans, strict=True)):
        node = Node(
            name=draft.name,
            type="" if plan is None else plan.message.type,
            queue=flow.queue if plan is None else plan.message.queue,
            task_id="" if plan is None else plan.message.id,
            flow_id=subflow_id(flow.queue, plan.message.id) if plan and draft.is_flow else "",
            when=draft.when,
            after=draft.after,
            then=tuple(then[number]),
            delay_s=_delay_s(draft),
            timeout_s=draft.timeout_s,
        )
        yield _as_map(node, maps[number]) if number in maps else node


def _as_map(node: Node, held: HeldMap) -> Node:
    batch = held.batch
    return msgspec.structs.replace(
        node, type=held.type, queue=batch.queue, batch_id=batch.id, size=held.size
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
