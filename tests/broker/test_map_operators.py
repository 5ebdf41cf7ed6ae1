"""Operators act on flows with maps at random while workers run their tasks: each flow ends."""

import random
from collections.abc import Sequence
from contextlib import suppress

import pytest

from pyasynq.broker import Broker, Delivery
from pyasynq.client.batch_control import BatchControl
from pyasynq.core.batch_errors import BatchStateError
from pyasynq.core.flow import OPEN
from pyasynq.core.flow_errors import FlowStateError
from pyasynq.core.report import place_of
from pyasynq.core.verdict import REQUEUE
from pyasynq.server.upkeep import flow_recoverer
from tests.support.crowds import Act, Crowd
from tests.support.factories import settle, take
from tests.support.flow_model import StepShape
from tests.support.flows import a_flow, a_map, deliver_all, ending, hold_map, open_flow, record_of

QUEUES = "qr"
STEPS: Sequence[StepShape] = [
    ("succeeded", ()),
    ("succeeded", (0,)),
    ("ended", (1,)),
    ("succeeded", (1,)),
]
MAPS = {0: ("m", "q", 5), 1: ("n", "r", 3), 3: ("o", "q", 0)}

pytestmark = pytest.mark.needs("flows", "batches")


class MapCrowd(Crowd):
    """Workers and operators who act on one flow at the same time."""

    def __init__(self, broker: Broker, chance: random.Random) -> None:
        super().__init__(broker, chance, homes="q", queues=QUEUES)
        self.strays: list[str] = []

    async def open(self) -> None:
        """Store the maps and the flow."""
        for node, (batch_id, queue, count) in MAPS.items():
            await hold_map(self._broker, count, node=node, batch_id=batch_id, queue=queue)
        changes = {n: a_map(count, batch_id=it, queue=q) for n, (it, q, count) in MAPS.items()}
        await open_flow(self._broker, a_flow(*STEPS, changes=changes))

    async def end(self) -> None:
        """Run what is left, and look after the flow."""
        for _ in range(16):
            await deliver_all(self._broker, QUEUES)
            is_cancelled = (await record_of(self._broker)).state == "cancelled"
            for queue in QUEUES:
                ran = await self._run(queue, 9, chance_of_failure=0)
                self.strays += ran if is_cancelled else []
            await self._recover()

    async def _work(self) -> None:
        await self._run(self._chance.choice(QUEUES), 3, chance_of_failure=0.3)

    async def _run(self, queue: str, count: int, *, chance_of_failure: float) -> Sequence[str]:
        """Run tasks; return the ids of those of maps that were not cancelled."""
        ran: list[str] = []
        for lease in await take(self._broker, count, queue=queue):
            place = place_of(lease.message)
            assert place is not None
            if place.kind == "batch" and await self._broker.batches.is_cancelled(queue, place.id):
                await settle(self._broker, lease, ending(lease, "x"))
            elif chance_of_failure and self._chance.random() < 0.2:
                await settle(self._broker, lease, REQUEUE)
            else:
                ran += [lease.id] if place.kind == "batch" else []
                mark = "f" if self._chance.random() < chance_of_failure else "s"
                await settle(self._broker, lease, ending(lease, mark))
        return ran

    async def _operate(self) -> None:
        batch_id, queue, _ = self._chance.choice([*MAPS.values()])
        actions: Sequence[Act] = [
            lambda: self._control.cancel("q", "flow", "why"),
            *[lambda: self._control.retry("q", "flow")] * 3,
            lambda: self._control.skip("q", "flow", self._chance.choice("0123")),
            lambda: BatchControl(self._broker).cancel(queue, batch_id),
        ]
        with suppress(FlowStateError, BatchStateError):
            await self._chance.choice(actions)()


def let_mail_wait(broker: Broker, chance: random.Random, patch: pytest.MonkeyPatch) -> None:
    """Deliver mail only now and then, as while others have taken it, or a node is away."""
    if not broker.supports("mail"):
        return
    deliver = broker.mail.deliver

    async def deliver_perhaps(queue: str) -> Delivery:
        if chance.random() < 0.7:
            return Delivery(delivered=0, more=False, next_in_s=None)
        return await deliver(queue)

    patch.setattr(broker.mail, "deliver", deliver_perhaps)


@pytest.mark.parametrize("seed", [0, 1, 2, 18, 42, 55])
async def test_flows_with_maps_end_whatever_operators_do(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(flow_recoverer, "FLOW_IDLE_S", -1)
    crowd = MapCrowd(broker, random.Random(seed))
    await crowd.open()
    with monkeypatch.context() as patch:
        let_mail_wait(broker, random.Random(seed), patch)
        await crowd.act(20)
    await crowd.end()
    assert crowd.strays == []
    record = await record_of(broker)
    assert (record.state == "running", {*record.marks} & {*OPEN}) == (False, set())
    infos = [await broker.batches.read(queue, it) for it, queue, _ in MAPS.values()]
    assert [it.state for it in infos if it is not None and it.state == "running"] == []
    sizes = [await broker.inspection.queue_info(queue, memory=False) for queue in QUEUES]
    assert [it.pending + it.active + it.retry for it in sizes] == [0, 0]
