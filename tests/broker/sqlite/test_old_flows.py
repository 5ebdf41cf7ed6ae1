"""Flows are deleted once they are no longer kept, though no other flow needs care."""

from collections.abc import AsyncIterator

import pytest

from pyasynq.broker.sqlite import SqliteBroker, in_memory, upkeep
from tests.support.clocks import SteeredClock
from tests.support.flow_model import StepShape
from tests.support.flows import a_flow, end_step, open_flow

ONLY: StepShape = ("succeeded", ())

KEPT_S = 100
"""Seconds for which `a_flow` is kept after a success."""


@pytest.fixture
def clock() -> SteeredClock:
    return SteeredClock()


@pytest.fixture
async def broker(clock: SteeredClock) -> AsyncIterator[SqliteBroker]:
    broker = in_memory(clock)
    yield broker
    await broker.aclose()


async def run(broker: SqliteBroker, flow_id: str) -> None:
    await open_flow(broker, a_flow(ONLY, flow_id=flow_id))
    await end_step(broker)


async def rows(broker: SqliteBroker) -> tuple[int, int]:
    """Return the numbers of flows and of their steps."""
    sql = "SELECT (SELECT count(*) FROM pyasynq_flow), (SELECT count(*) FROM pyasynq_flow_step)"
    ((flows, steps),) = await broker._store.read(lambda tx: tx.rows(sql))
    return flows, steps


async def test_a_flow_and_its_steps_are_deleted_when_their_time_is_over(
    broker: SqliteBroker, clock: SteeredClock
) -> None:
    await run(broker, "flow")
    clock.advance(seconds=KEPT_S)
    assert [await broker.upkeep.trim("q", limit=10) for _ in range(2)] == [1, 0]
    assert await rows(broker) == (0, 0)


async def test_a_flow_stays_as_long_as_it_is_kept(
    broker: SqliteBroker, clock: SteeredClock
) -> None:
    await run(broker, "flow")
    clock.advance(seconds=KEPT_S - 1)
    assert await broker.upkeep.trim("q", limit=10) == 0
    assert await rows(broker) == (1, 1)


async def test_a_running_flow_stays(broker: SqliteBroker, clock: SteeredClock) -> None:
    await open_flow(broker, a_flow(ONLY))
    clock.advance(days=1000)
    assert await broker.upkeep.trim("q", limit=10) == 0
    assert await rows(broker) == (1, 1)


async def test_old_flows_are_deleted_in_steps_by_whatever_queue_is_trimmed(
    broker: SqliteBroker, clock: SteeredClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "FLOWS_AT_ONCE", 2)
    await run(broker, "1")
    await run(broker, "2")
    await run(broker, "3")
    clock.advance(seconds=KEPT_S)
    assert [await broker.upkeep.trim("other", limit=10) for _ in range(3)] == [2, 1, 0]
    assert await rows(broker) == (0, 0)
