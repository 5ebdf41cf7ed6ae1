"""Inspectors see the entries of a scheduler at once, and as long as it runs."""

import os
import socket
from datetime import timedelta
from typing import cast

from redis.asyncio import Redis

from pyasynq import Scheduler, Task
from pyasynq.broker import Broker
from pyasynq.core.options import Options
from tests.scheduler.steps import advance_and_step, heartbeater_of
from tests.support.clocks import NOON, SteeredClock
from tests.support.waiting import Lapse, wait_until


async def ids_of_entries(broker: Broker) -> list[str]:
    return sorted(entry.id for entry in await broker.schedules.entries())


async def test_entries_are_shown_as_they_are(
    scheduler: Scheduler, clock: SteeredClock, broker: Broker
) -> None:
    entry_id = scheduler.register("@hourly", Task("t", b"p"), queue="low")
    await advance_and_step(scheduler, clock)
    await advance_and_step(scheduler, clock, hours=1)
    await heartbeater_of(scheduler).step()
    (entry,) = await broker.schedules.entries()
    assert (entry.id, entry.spec) == (entry_id, "@hourly")
    assert (entry.task.type, entry.task.payload) == ("t", b"p")
    assert entry.options == Options(queue="low")
    assert (entry.prev, entry.next) == (NOON + timedelta(hours=1), NOON + timedelta(hours=2))


async def test_a_scheduler_is_named_after_host_and_process(scheduler: Scheduler, r: Redis) -> None:
    scheduler.register("@hourly", Task("t"))
    await heartbeater_of(scheduler).step()
    (key,) = await r.keys("asynq:schedulers:*")
    assert str(key).startswith(f"b'asynq:schedulers:{{{socket.gethostname()}:{os.getpid()}:")


async def test_entries_are_shown_for_two_intervals_rounded_up(
    redis_url: str, r: Redis, lapse: Lapse
) -> None:
    scheduler = Scheduler(redis_url, heartbeat_interval=timedelta(seconds=20.2))
    scheduler.register("@hourly", Task("t"))
    assert await heartbeater_of(scheduler).step() == 20.2
    found = await r.zrange("asynq:schedulers", 0, -1, withscores=True)
    ((_, ends_s),) = cast("list[tuple[bytes, float]]", found)
    assert ends_s - 41 in lapse
    await scheduler._broker.aclose()


async def test_entries_are_shown_at_once(redis_url: str, broker: Broker) -> None:
    scheduler = Scheduler(redis_url)
    entry_id = scheduler.register("@hourly", Task("t"))
    async with scheduler.running():
        await wait_until(lambda: _are_listed(broker, [entry_id]))


async def test_entries_that_come_and_go_later_are_shown_at_once(
    redis_url: str, broker: Broker
) -> None:
    scheduler = Scheduler(redis_url, heartbeat_interval=timedelta(hours=1))
    async with scheduler.running():
        entry_id = scheduler.register("@hourly", Task("t"))
        await wait_until(lambda: _are_listed(broker, [entry_id]))
        scheduler.unregister(entry_id)
        await wait_until(lambda: _are_listed(broker, []))


async def test_a_scheduler_that_has_ended_shows_nothing(redis_url: str, r: Redis) -> None:
    scheduler = Scheduler(redis_url)
    scheduler.register("@hourly", Task("t"))
    async with scheduler.running():
        await heartbeater_of(scheduler).steps.next()
    assert await r.keys("asynq:schedulers*") == []


async def _are_listed(broker: Broker, ids: list[str]) -> bool:
    return await ids_of_entries(broker) == ids
