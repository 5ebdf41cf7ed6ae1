"""Operators act on flows at random while workers run the steps: each flow ends."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress

import pytest

from pyasynq.broker import Broker, Lease
from pyasynq.core.errors import QueueNotFoundError
from pyasynq.core.flow import OPEN, SUCCEEDED, Node, mark_for
from pyasynq.core.flow_errors import FlowStateError, StepNotFoundError
from pyasynq.core.flow_record import FlowRecord
from pyasynq.core.verdict import REQUEUE
from pyasynq.server.upkeep import flow_recoverer
from tests.support.crowds import Act, Crowd
from tests.support.factories import settle, take
from tests.support.flow_model import QUEUES, a_graph
from tests.support.flows import a_flow, deliver_all, ending, record_of

FLOWS, ROUNDS = 4, 20

pytestmark = pytest.mark.needs("flows")


class FlowCrowd(Crowd):
    """Workers and operators who act on the same flows at the same time."""

    def __init__(self, broker: Broker, chance: random.Random) -> None:
        super().__init__(broker, chance, homes=QUEUES, queues=QUEUES)
        graphs = [a_graph(chance, most=8) for _ in range(FLOWS)]
        self._ends = [graph.ends for graph in graphs]
        self.flows = [
            a_flow(*it.steps, flow_id=f"{n}", home=chance.choice(QUEUES), queues=it.queues)
            for n, it in enumerate(graphs)
        ]
        self.ended: list[str] = []

    async def open(self) -> None:
        """Open each flow twice at once."""
        await asyncio.gather(*(self._broker.flows.open(it) for it in self.flows * 2))

    async def end(self) -> None:
        """Run what is left, and look after the flows."""
        for _ in range(FLOWS * 8):
            await deliver_all(self._broker, QUEUES)
            for queue in QUEUES:
                for lease in await take(self._broker, 9, queue=queue):
                    await self._end(lease)
            await self._recover()

    async def _work(self) -> None:
        for lease in await take(self._broker, 3, queue=self._chance.choice(QUEUES)):
            if self._chance.random() < 0.2:
                await settle(self._broker, lease, REQUEUE)
            else:
                await self._end(lease)

    async def _end(self, lease: Lease) -> None:
        number, step, *_ = lease.id.split(":")
        verdict = ending(lease, self._ends[int(number)][int(step)])
        if await settle(self._broker, lease, verdict) is True:
            self.ended.append(lease.id)

    async def _operate(self) -> None:
        flow = self._chance.choice(self.flows)
        step = self._chance.choice(flow.spec.nodes).name
        actions: Sequence[Act] = [
            lambda: self._control.cancel(flow.queue, flow.id, "why"),
            lambda: self._control.retry(flow.queue, flow.id),
            lambda: self._control.skip(flow.queue, flow.id, step),
            lambda: self._control.signal(flow.queue, flow.id, step, 1),
        ]
        with suppress(FlowStateError, StepNotFoundError):
            await self._chance.choice(actions)()


@pytest.mark.parametrize("seed", range(6))
async def test_flows_end_whatever_operators_do(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(flow_recoverer, "FLOW_IDLE_S", -1)
    crowd = FlowCrowd(broker, random.Random(seed))
    await crowd.open()
    await crowd.act(ROUNDS)
    await crowd.end()
    records = [await record_of(broker, flow.id, flow.queue) for flow in crowd.flows]
    assert [open_steps(record) for record in records] == [[]] * FLOWS
    assert [against_the_rule(record) for record in records] == [[]] * FLOWS
    assert len(crowd.ended) == len(set(crowd.ended))
    assert await left_in(broker) == 0


def open_steps(record: FlowRecord) -> list[int]:
    """Return the steps that have not ended; all of them if the flow has not."""
    return [n for n, mark in enumerate(record.marks) if mark in OPEN or record.state == "running"]


def against_the_rule(record: FlowRecord) -> list[tuple[Node, str]]:
    """Return the steps of a flow that was not cancelled which should not be as they are."""
    expected = [(node, mark_for(node, record.marks)) for node in record.spec.nodes]
    return [
        (node, mark)
        for (node, rule), mark in zip(expected, record.marks, strict=True)
        if record.state != "cancelled" and rule not in {"r", mark} and mark != SUCCEEDED
    ]


async def left_in(broker: Broker) -> int:
    """Return the number of tasks that wait or run."""
    left = 0
    for queue in QUEUES:
        with suppress(QueueNotFoundError):
            info = await broker.inspection.queue_info(queue, memory=False)
            left += info.pending + info.active + info.scheduled + info.retry
    return left
