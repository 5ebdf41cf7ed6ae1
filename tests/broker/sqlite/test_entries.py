"""What is known of entries is deleted once its time is over."""

from typing import cast

from pyasynq.broker.sqlite import SqliteBroker, in_memory
from pyasynq.core.entry_task import EntryTask
from pyasynq.core.options import NO_OPTIONS
from pyasynq.core.policy import ENDED_S, MOST_ENDED
from tests.support.clocks import SteeredClock
from tests.support.factories import a_server, an_entry, entry_values

TTL_S = 1000
TASK = EntryTask(
    entry_id="e", queue="q", type="t", payload=b"p", headers={}, options=NO_OPTIONS, ttl_s=TTL_S
)


async def stored(broker: SqliteBroker) -> list[str]:
    """Return the ids in the tables of entries and pauses."""
    sql = "SELECT id FROM pyasynq_entry UNION ALL SELECT entry FROM pyasynq_pause"
    rows = await broker._store.read(lambda tx: tx.rows(sql))
    return [cast("str", entry_id) for (entry_id,) in rows]


async def test_what_is_over_is_not_returned_and_then_deleted() -> None:
    clock = SteeredClock()
    broker = in_memory(clock)
    await broker.entries.keep([TASK])
    await broker.entries.pause("e", ttl_s=TTL_S)
    clock.advance(seconds=TTL_S)
    assert await broker.entries.task("e") is None
    assert await broker.entries.pauses() == {}
    assert await stored(broker) == ["e", "e"]
    await broker.upkeep.trim("q", limit=10)
    assert await stored(broker) == []
    await broker.aclose()


async def test_the_entries_of_a_scheduler_that_ended_are_known_for_a_while() -> None:
    clock = SteeredClock()
    broker = in_memory(clock)
    await broker.schedules.write_entries("h:1:s", [an_entry()], ttl_s=20)
    await broker.registry.write_server(a_server(), ttl_s=20)
    clock.advance(seconds=20 + ENDED_S - 1)
    await broker.upkeep.trim("q", limit=10)
    assert await broker.schedules.entries() == []
    assert entry_values(await broker.schedules.entries_of("h:1:s")) == entry_values([an_entry()])
    assert await broker.diagnosis.heartbeats() == []
    clock.advance(seconds=1)
    await broker.upkeep.trim("q", limit=10)
    assert await broker.diagnosis.schedulers() == []
    await broker.aclose()


async def test_only_the_last_schedulers_that_have_crashed_are_known() -> None:
    clock = SteeredClock()
    broker = in_memory(clock)
    names = [f"h:{number}:s" for number in range(MOST_ENDED + 3)]
    for name in names:
        await broker.schedules.write_entries(name, [an_entry()], ttl_s=20)
        clock.advance(seconds=1)
    clock.advance(seconds=20)
    await broker.schedules.write_entries("h:new:s", [an_entry()], ttl_s=20)
    known = [heartbeat.server for heartbeat in await broker.diagnosis.schedulers()]
    assert known == [*names[3:], "h:new:s"]
    await broker.aclose()
