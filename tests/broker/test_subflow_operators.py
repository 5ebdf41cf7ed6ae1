"""Operators act on flows in flows at random while workers run their tasks: each flow ends."""

import random
from collections.abc import Sequence
from contextlib import suppress

import pytest

from pyasynq.broker import Broker
from pyasynq.core.flow import OPEN
from pyasynq.core.flow_errors import FlowNotFoundError, FlowStateError, StepNotFoundError
from pyasynq.core.flow_record import subflow_id
from pyasynq.core.verdict import REQUEUE
from pyasynq.server.upkeep import flow_recoverer
from tests.broker.test_flow_operators import left_in
from tests.broker.test_map_operators import let_mail_wait
from tests.support.crowds import Act, Crowd
from tests.support.factories import settle, take
from tests.support.flow_model import QUEUES
from tests.support.subflows import Crew, nested, open_nested

ROUNDS = 30

pytestmark = pytest.mark.needs("flows")


class SubflowCrowd(Crowd):
    """Workers and operators who act on a flow, and on those in it, at the same time."""

    def __init__(self, broker: Broker, chance: random.Random) -> None:
        super().__init__(broker, chance, homes=QUEUES, queues=QUEUES)
        self._crew = Crew(broker)

    async def open(self) -> None:
        """Open a flow with a flow with a flow; each has three steps."""
        outer = await open_nested(self._broker, nested("sfs", queue="r", depth=3))
        middle = outer.step("inner").flow_id or ""
        inner = subflow_id("q", f"{middle}:inner")
        self.flows = [("q", outer.id), ("q", middle), ("r", inner)]

    async def finish(self) -> None:
        """Run what is left, and look after the flows."""
        for _ in range(16):
            await self._crew.run(9)
            await self._recover()

    async def _work(self) -> None:
        for lease in await take(self._broker, 3, queue=self._chance.choice(QUEUES)):
            if self._chance.random() < 0.2:
                await self._crew.verdict_on(lease)
                await settle(self._broker, lease, REQUEUE)
            else:
                await self._crew.end(lease)

    async def _operate(self) -> None:
        queue, flow_id = self._chance.choice(self.flows)
        actions: Sequence[Act] = [
            lambda: self._control.cancel(queue, flow_id, "why"),
            *[lambda: self._control.retry(queue, flow_id)] * 3,
            lambda: self._control.skip(queue, flow_id, self._chance.choice(["inner", "last", "s"])),
        ]
        with suppress(FlowNotFoundError, FlowStateError, StepNotFoundError):
            await self._chance.choice(actions)()


@pytest.mark.parametrize("seed", [*range(5), 40, 54, 75])
async def test_flows_in_flows_end_whatever_operators_do(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(flow_recoverer, "FLOW_IDLE_S", -1)
    crowd = SubflowCrowd(broker, random.Random(seed))
    await crowd.open()
    with monkeypatch.context() as patch:
        let_mail_wait(broker, random.Random(seed), patch)
        await crowd.act(ROUNDS)
    await crowd.finish()
    found = [await broker.flows.read(queue, flow_id) for queue, flow_id in crowd.flows]
    records = [record for record in found if record is not None]
    assert [(it.state, it.marks) for it in records if it.state == "running"] == []
    assert [it.marks for it in records if {*it.marks} & {*OPEN}] == []
    assert await left_in(broker) == 0
