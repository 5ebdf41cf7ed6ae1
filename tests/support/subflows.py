"""Flows in flows, and workers that run their tasks, for tests below the server."""

from collections.abc import Sequence
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from pyasynq import Client, Flow, Task
from pyasynq.broker import Broker, Lease
from pyasynq.core.flow_info import FlowInfo
from pyasynq.core.flow_record import FlowRecord
from pyasynq.core.verdict import DONE, Verdict
from pyasynq.server.config import Config
from pyasynq.server.run.workflows import Workflows
from tests.support.factories import settle, take
from tests.support.flow_model import QUEUES
from tests.support.flows import deliver_all, ending


def nested(
    ends: str = "ss",
    *,
    home: str = "q",
    queue: str = "q",
    depth: int = 2,
    timeout: timedelta | None = None,
) -> Flow:
    """Return a flow of three steps, of which the second is a flow.

    The type of each task is how it ends: ``s``, ``f`` or ``x``.

    Args:
        ends: The tasks of the innermost flow, one after another.
        home: Home of all flows and tasks but the innermost.
        queue: Home of that, and queue of its tasks.
        depth: Number of flows in one another.
        timeout: Timeout of the innermost flow.
    """
    inner = Flow("inner", queue=queue, timeout=timeout)
    for end in ends:
        inner.add(Task(end, queue=queue), after=inner.all[-1:])
    for level in range(depth, 1, -1):
        outer = Flow(f"level {level}" if level > 2 else "outer", queue=home)
        first = outer.add(Task("s", queue=home), name="first")
        step = outer.add(inner, after=first, name="inner")
        outer.add(Task("s", queue=home), after=step, name="last")
        inner = outer
    return inner


async def open_nested(broker: Broker, flow: Flow) -> FlowInfo:
    """Enqueue *flow*, and deliver what that has posted."""
    info = await Client(broker).enqueue_flow(flow)
    await deliver_all(broker, QUEUES)
    return info


class Crew:
    """Workers of all queues.

    Attributes:
        ran: Ids of the tasks that have run.
    """

    def __init__(self, broker: Broker, *, heals: bool = False) -> None:
        """Run the tasks of *broker*; with *heals*, those that have failed succeed when retried."""
        self._broker = broker
        self._heals = heals
        self._workflows = Workflows(broker, Config())
        self.ran: list[str] = []

    async def run(self, rounds: int = 99) -> None:
        """Run tasks until there are none, but not more than *rounds* times what is there."""
        for _ in range(rounds):
            leases = await self.take_all()
            if not leases:
                return
            for lease in leases:
                await self.end(lease)

    async def take_all(self) -> Sequence[Lease]:
        """Take the tasks that wait, once what is on its way is there."""
        await deliver_all(self._broker, QUEUES)
        return [lease for queue in QUEUES for lease in await take(self._broker, 9, queue=queue)]

    async def end(self, lease: Lease) -> None:
        """Run the task of *lease*, and end it as its type says."""
        verdict = await self.verdict_on(lease)
        self.ran.append(lease.id)
        await settle(self._broker, lease, verdict)
        await deliver_all(self._broker, QUEUES)

    async def verdict_on(self, lease: Lease) -> Verdict:
        """Run the task of *lease*, and return its verdict."""
        opener = self._workflows.opener(lease.message)
        if opener is None:
            is_healed = self._heals and lease.id.endswith(":1")  # the id of a second try
            return ending(lease, "s" if is_healed else lease.message.type)
        task: Any = SimpleNamespace(payload=lease.message.payload, id=lease.id)
        await opener(task)
        return DONE


async def inner_of(broker: Broker, outer: FlowInfo, step: str = "inner") -> FlowRecord:
    """Return the flow that a step of *outer* is, which must be stored."""
    known = outer.step(step)
    record = await broker.flows.read(known.queue, known.flow_id or "")
    assert record is not None
    return record


async def states_of(broker: Broker, flow: FlowInfo) -> list[str]:
    """Return the states of the steps of *flow* now."""
    record = await broker.flows.read(flow.queue, flow.id)
    assert record is not None
    return [step.state for step in record.info().steps]
