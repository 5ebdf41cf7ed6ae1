"""Make flows and run their steps, for tests below the client."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

import msgspec

from pyasynq.broker import BatchRef, Broker, Lease
from pyasynq.broker.redis import RedisBroker, keys
from pyasynq.broker.redis.connection import execute
from pyasynq.core.batch import BatchPlan, make_member, member_id
from pyasynq.core.compose import Plan
from pyasynq.core.flow import Node, begin
from pyasynq.core.flow_record import FlowRecord, FlowSpec, NewFlow
from pyasynq.core.outcome import Event
from pyasynq.core.report import HEADER, Place, header_of, place_of, report_on
from pyasynq.core.verdict import DONE, Archive, Verdict
from tests.support.factories import a_pending, archived, settle, take
from tests.support.flow_model import StepShape, steps_of

if TYPE_CHECKING:
    from pyasynq.broker.sqlite.flows import SqliteFlows

EVENTS: Mapping[str, Event] = {"s": "succeeded", "f": "archived", "x": "revoked"}


def a_flow(
    *steps: StepShape,
    flow_id: str = "flow",
    home: str = "q",
    queues: Sequence[str] = (),
    changes: Mapping[int, Mapping[str, object]] = {},
) -> NewFlow:
    """Return a flow of *steps*, named by their numbers.

    Args:
        *steps: When each runs, and the numbers of the steps before it.
        flow_id: Its id.
        home: Its home.
        queues: Queue of each step; the home if not given.
        changes: Fields of nodes that differ; a step without a type is a gate.
    """
    where = queues or [home] * len(steps)
    nodes = tuple(
        _node(node, flow_id, where[n], changes.get(n, {})) for n, node in enumerate(steps_of(steps))
    )
    spec = FlowSpec(name="import", nodes=nodes, keep_s=100, keep_failed_s=200)
    plans = [
        _plan(home, flow_id, n, node) if node.task_id else None for n, node in enumerate(nodes)
    ]
    return NewFlow(queue=home, id=flow_id, spec=spec, plans=plans, moves=begin(nodes))


def _node(node: Node, flow_id: str, queue: str, changes: Mapping[str, object]) -> Node:
    known = {"queue": queue, "task_id": f"{flow_id}:{node.name}", **changes}
    return msgspec.structs.replace(node, **known)


def _plan(home: str, flow_id: str, number: int, node: Node) -> Plan:
    place = Place(kind="flow", queue=home, id=flow_id, node=number)
    headers = {HEADER: header_of(place)}
    return a_pending(node.task_id, queue=node.queue, headers=headers)


def a_map(count: int = 2, *, batch_id: str = "m", queue: str = "q") -> dict[str, object]:
    """Return the fields of a node that is a map."""
    return {"task_id": "", "batch_id": batch_id, "queue": queue, "size": count}


async def hold_map(
    broker: Broker,
    count: int = 2,
    *,
    node: int = 0,
    batch_id: str = "m",
    queue: str = "q",
    keeps_results: bool = False,
) -> None:
    """Store the tasks of the map *node* of a flow."""
    batch = BatchRef(queue=queue, id=batch_id, home=queue)
    plans: list[Plan] = []
    for number in range(count):
        plan = a_pending(member_id(batch_id, number), queue=queue)
        place = Place(
            kind="batch",
            queue=queue,
            id=batch_id,
            member=number,
            spreads=True,
            keeps_result=keeps_results,
        )
        make_member(plan.message, place)
        plans.append(plan)
    if plans:
        await broker.batches.stage(batch, plans, first=0)
    parent = Place(kind="flow", queue="q", id="flow", node=node)
    plan_of_batch = BatchPlan(
        then=None, failed=None, kept_s=0, parent=parent, keeps_results=keeps_results
    )
    await broker.batches.start(batch, count, plan_of_batch)


async def open_flow(broker: Broker, flow: NewFlow) -> None:
    """Store *flow*, which must be new."""
    assert await broker.flows.open(flow) is True


async def record_of(broker: Broker, flow_id: str = "flow", home: str = "q") -> FlowRecord:
    """Return a flow, which must exist."""
    record = await broker.flows.read(home, flow_id)
    assert record is not None
    return record


async def marks_of(broker: Broker, flow_id: str = "flow", home: str = "q") -> str:
    """Return the marks of a flow, which must exist."""
    return (await record_of(broker, flow_id, home)).marks


def ending(lease: Lease, mark: str = "s", *, output: bytes = b"") -> Verdict:
    """Return the verdict with which the step of *lease* ends with *mark*, and its report."""
    place = place_of(lease.message)
    assert place is not None
    verdict: Verdict = archived(lease) if mark == "f" else DONE
    error = verdict.message.error_msg if isinstance(verdict, Archive) and verdict.message else ""
    report = report_on(place, EVENTS[mark], output=output, error=error)
    assert report is not None
    return msgspec.structs.replace(verdict, then=(report,))


async def end_step(
    broker: Broker, mark: str = "s", *, queue: str = "q", output: bytes = b""
) -> Lease:
    """Take the next task of *queue*, a step, and end it with *mark*; return its lease."""
    (lease,) = await take(broker, queue=queue)
    assert await settle(broker, lease, ending(lease, mark, output=output)) is True
    await deliver_all(broker, [queue])
    return lease


async def deliver_all(broker: Broker, queues: Sequence[str]) -> None:
    """Deliver the mail of *queues*, and what that makes."""
    if broker.supports("mail"):
        for queue in queues:
            while (await broker.mail.deliver(queue)).delivered:
                pass


async def damage_flow(broker: Broker, flow_id: str, home: str = "q") -> None:
    """Make the record of a flow unreadable."""
    await _write_spec(broker, flow_id, home, b"\xff")


async def mend_flow(broker: Broker, flow: NewFlow) -> None:
    """Make the record of a flow readable again."""
    await _write_spec(broker, flow.id, flow.queue, msgspec.msgpack.encode(flow.spec))


async def _write_spec(broker: Broker, flow_id: str, home: str, spec: bytes) -> None:
    if isinstance(broker, RedisBroker):
        await execute(broker._driver, "HSET", keys.flow(home, flow_id), "spec", spec)
        return
    sql = "UPDATE pyasynq_flow SET spec = ? WHERE id = ?"
    store = cast("SqliteFlows", broker.flows)._store
    await store.write(lambda tx: tx.rows(sql, spec, flow_id))
