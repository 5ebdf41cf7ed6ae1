"""Routes about flows and batches: lists, one of them in detail, and actions on flows."""

from typing import Annotated, Any, Final, Literal

import msgspec

from pyasynq.core.batch import BatchInfo
from pyasynq.core.flow_info import FlowInfo
from pyasynq.core.info import TaskInfo
from pyasynq.core.json_form import fields
from pyasynq.dashboard.api.inputs import DEFAULT_LIMIT, MAX_LIMIT, Limit, Selected
from pyasynq.dashboard.api.outcomes import do_each
from pyasynq.dashboard.routes import Call, Handler, acts_on, reads
from pyasynq.operations import flows
from pyasynq.operations.permissions import Permission

MOST_FAILED: Final = 1000
"""Failed members of a batch that are listed."""


class FlowsInput(msgspec.Struct, frozen=True, kw_only=True):
    """Which flows; without a queue, those of all queues."""

    queue: str = ""
    state: Literal["running", "ended"] = "running"
    limit: Limit = DEFAULT_LIMIT


class BatchesInput(msgspec.Struct, frozen=True, kw_only=True):
    """Which batches; without a queue, those of all queues."""

    queue: str = ""
    limit: Limit = DEFAULT_LIMIT


class OneInput(msgspec.Struct, frozen=True, kw_only=True):
    """A flow or batch: its queue, and its id."""

    queue: str
    id: str


class SelectionInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The flows that were selected."""

    flows: Annotated[list[Selected], msgspec.Meta(min_length=1, max_length=MAX_LIMIT)]


class BatchSelectionInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The batches that were selected."""

    batches: Annotated[list[Selected], msgspec.Meta(min_length=1, max_length=MAX_LIMIT)]


class SkipInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Steps of a flow, by their names."""

    queue: str
    id: str
    steps: Annotated[list[str], msgspec.Meta(min_length=1, max_length=MAX_LIMIT)]


class SignalInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A gate of a flow, by its name, and the value of its signal."""

    queue: str
    id: str
    gate: str
    value: Any = None


async def list_flows(call: Call, given: FlowsInput) -> object:
    """Return the newest flows that run, or that have ended."""
    inspector = call.services.inspector
    found = await flows.newest_flows(inspector, given.queue, given.state, given.limit)
    return {"items": [_summary(call, flow) for flow in found.items], "more": found.more}


def _summary(call: Call, flow: FlowInfo) -> dict[str, object]:
    members = {**fields(flow), "actions": _actions(call, flow)}
    del members["steps"]
    total, open_steps = len(flow.steps), len(flows.open_steps(flow))
    failed = flow.counts.get("failed", 0)
    return {**members, "total": total, "ended": total - open_steps, "failed": failed}


async def show_flow(call: Call, given: OneInput) -> object:
    """Return a flow with its steps, what their tasks do now, and what can be done to it."""
    inspector = call.services.inspector
    flow = await inspector.flow(given.queue, given.id)
    tasks = await flows.tasks_of_steps(inspector, flow)
    return {
        **fields(flow),
        "counts": flow.counts,
        "steps": [{**fields(it), "task": _task(tasks.get(it.name))} for it in flow.steps],
        "actions": _actions(call, flow),
        "open_steps": flows.open_steps(flow),
        "gates": flows.gates(flow),
        "mermaid": flow.mermaid(),
    }


def _task(task: TaskInfo | None) -> dict[str, object] | None:
    """Return what the task of a step does now."""
    if task is None:
        return None
    return {
        "state": task.state,
        "retried": task.retried,
        "max_retry": task.max_retry,
        "last_error": task.last_error,
        "next_process_at": task.next_process_at,
    }


def _actions(call: Call, flow: FlowInfo | BatchInfo) -> list[str]:
    """Return what the principal may do to a flow or batch, as its state allows."""
    kind = "flow" if isinstance(flow, FlowInfo) else "batch"
    if call.services.read_only:
        return []
    allowed = flows.actions_of(flow)
    return [it for it in allowed if call.principal.may(Permission(f"{kind}.{it}"))]


async def list_batches(call: Call, given: BatchesInput) -> object:
    """Return the newest batches."""
    found = await flows.newest_batches(call.services.inspector, given.queue, given.limit)
    items = [{**fields(batch), "actions": _actions(call, batch)} for batch in found.items]
    return {"items": items, "more": found.more}


async def show_batch(call: Call, given: OneInput) -> object:
    """Return a batch, and the ids of members that have failed."""
    inspector = call.services.inspector
    batch = await inspector.batch(given.queue, given.id)
    failed = await inspector.failed_members(given.queue, given.id)
    return {
        **fields(batch),
        "failed_members": failed[:MOST_FAILED],
        "actions": _actions(call, batch),
    }


# -- actions ---------------------------------------------------------------------------------------


def _each(permission: Permission, method: str) -> Handler:
    """Return a handler that calls *method* of the inspector for each flow or batch."""

    async def handle(call: Call, given: SelectionInput | BatchSelectionInput) -> object:
        apply = getattr(call.services.inspector, method)

        async def act(one: Selected) -> None:
            await apply(one.queue, one.id)

        chosen = given.flows if isinstance(given, SelectionInput) else given.batches
        return await do_each(call, permission, chosen, act, fields)

    return handle


async def skip(call: Call, given: SkipInput) -> object:
    """Let a flow go on as if some of its steps had succeeded."""

    async def act(step: str) -> None:
        await call.services.inspector.skip_step(given.queue, given.id, step)

    def name(step: str) -> dict[str, object]:
        return {"queue": given.queue, "id": given.id, "step": step}

    return await do_each(call, Permission.FLOW_SKIP, given.steps, act, name)


async def signal(call: Call, given: SignalInput) -> object:
    """Let a flow go on at a gate."""

    async def act(gate: str) -> None:
        await call.services.inspector.signal(given.queue, given.id, gate, given.value)

    def name(gate: str) -> dict[str, object]:
        return {"queue": given.queue, "id": given.id, "gate": gate}

    return await do_each(call, Permission.FLOW_SIGNAL, [given.gate], act, name)


_act_on_flows: Final = acts_on("Flows", "/flows")
_act_on_batches: Final = acts_on("Batches", "/batches")

ROUTES: Final = (
    reads("listFlows", "/flows", FlowsInput, list_flows, "The newest flows"),
    reads("showFlow", "/flow", OneInput, show_flow, "One flow with its steps"),
    reads("listBatches", "/batches", BatchesInput, list_batches, "The newest batches"),
    reads("showBatch", "/batch", OneInput, show_batch, "One batch, and who of it has failed"),
    _act_on_flows(
        Permission.FLOW_CANCEL,
        SelectionInput,
        _each(Permission.FLOW_CANCEL, "cancel_flow"),
        "Start nothing more of some flows, and stop what runs",
    ),
    _act_on_flows(
        Permission.FLOW_RETRY,
        SelectionInput,
        _each(Permission.FLOW_RETRY, "retry_flow"),
        "Run again what has failed in some flows, and what comes after it",
    ),
    _act_on_flows(
        Permission.FLOW_SKIP, SkipInput, skip, "Go on as if steps of a flow had succeeded"
    ),
    _act_on_flows(Permission.FLOW_SIGNAL, SignalInput, signal, "Let a flow go on at a gate"),
    _act_on_batches(
        Permission.BATCH_CANCEL,
        BatchSelectionInput,
        _each(Permission.BATCH_CANCEL, "cancel_batch"),
        "Run no more members of some batches",
    ),
    _act_on_batches(
        Permission.BATCH_RETRY,
        BatchSelectionInput,
        _each(Permission.BATCH_RETRY, "retry_batch"),
        "Run the failed members of some batches again",
    ),
)
