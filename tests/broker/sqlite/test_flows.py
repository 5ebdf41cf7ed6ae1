"""Flows in SQLite take no room once they are over."""

from datetime import timedelta
from typing import TYPE_CHECKING, cast

from pyasynq.broker.sqlite import in_memory
from tests.support.clocks import ShiftedClock
from tests.support.flows import a_flow, end_step, open_flow

if TYPE_CHECKING:
    from pyasynq.broker.sqlite.flows import SqliteFlows


async def test_a_flow_that_is_over_is_deleted_though_no_other_needs_care() -> None:
    clock = ShiftedClock()
    broker = in_memory(clock)
    await open_flow(broker, a_flow(("succeeded", ())))
    await end_step(broker)
    assert await rows_of(broker.flows) == 2
    clock.wall = timedelta(seconds=1000)
    await broker.flows.look_after("q", idle_s=30, count=9)
    assert await rows_of(broker.flows) == 0
    await broker.aclose()


async def rows_of(port: object) -> int:
    """Return the number of flows and steps that are stored."""
    sql = "SELECT (SELECT count(*) FROM pyasynq_flow) + (SELECT count(*) FROM pyasynq_flow_step)"
    ((count,),) = await cast("SqliteFlows", port)._store.read(lambda tx: tx.rows(sql))
    return cast("int", count)
