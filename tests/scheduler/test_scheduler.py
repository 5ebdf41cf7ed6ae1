"""A scheduler starts, takes entries at any time, and ends in order."""

import asyncio
import os
import signal
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from redis.asyncio import Redis

from pyasynq import (
    EntryNotFoundError,
    OptionError,
    PeriodicTask,
    Scheduler,
    SchedulerStateError,
    Task,
)
from tests.scheduler.steps import ticker_of
from tests.support.clocks import SteeredClock
from tests.support.queue_view import QueueView, RedisQueue
from tests.support.servers import RedisServer
from tests.support.waiting import wait_until

TASK = Task("t")


async def test_a_running_scheduler_enqueues(redis_url: str, queue: QueueView) -> None:
    scheduler = Scheduler(redis_url)
    scheduler.register("@every 1s", TASK)
    async with scheduler.running():
        await wait_until(queue.pending_ids)


async def test_an_entry_may_come_while_the_scheduler_runs(redis_url: str, queue: QueueView) -> None:
    async with Scheduler(redis_url).running() as scheduler:
        await ticker_of(scheduler).steps.next()
        scheduler.register("@every 1s", TASK)
        await wait_until(queue.pending_ids)


async def test_a_scheduler_without_entries_warns(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Scheduler(redis_url).running():
        assert "nothing is registered, so nothing will be enqueued" in caplog.text


async def test_a_spec_that_never_comes_is_logged_when_it_is_registered(
    scheduler: Scheduler, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler.register("0 0 30 2 *", TASK)
    scheduler.register("0 0 29 2 *", TASK)
    assert [record.getMessage() for record in caplog.records] == [
        "'0 0 30 2 *' never ticks: t will not be enqueued"
    ]


async def test_a_tick_may_be_made_without_running(
    scheduler: Scheduler, clock: SteeredClock, queue: QueueView
) -> None:
    assert scheduler.upcoming is None
    scheduler.register("@every 1h", TASK)
    scheduler.register("@every 2h", TASK)
    await scheduler.tick()
    assert scheduler.upcoming == clock.now() + timedelta(hours=1)
    clock.advance(hours=2)
    await scheduler.tick()
    assert len(await queue.pending_ids()) == 2


async def test_equal_entries_count_once(scheduler: Scheduler) -> None:
    assert scheduler.register("@hourly", TASK) == scheduler.register("@hourly", TASK)
    scheduler.unregister(scheduler.register("@hourly", TASK))
    assert scheduler._entries == {}


async def test_the_last_catch_up_of_an_entry_counts(scheduler: Scheduler) -> None:
    scheduler.register("@hourly", TASK)
    entry_id = scheduler.register("@hourly", TASK, catch_up="all")
    assert scheduler._entries[entry_id].catch_up == "all"


async def test_a_definition_can_be_added_as_a_value(scheduler: Scheduler) -> None:
    wanted = PeriodicTask(spec="@hourly", task=TASK, options={"queue": "low"})
    assert scheduler.add(wanted) == scheduler.register("@hourly", TASK, queue="low")


async def test_the_location_counts_for_specs_without_a_zone(make: Callable[..., Scheduler]) -> None:
    tokyo, utc = make(location=ZoneInfo("Asia/Tokyo")), make()
    assert tokyo.register("0 9 * * *", TASK) != utc.register("0 9 * * *", TASK)


def test_an_unknown_option_of_a_scheduler_is_refused(redis_url: str) -> None:
    with pytest.raises(TypeError, match="did you mean 'location'"):
        Scheduler(redis_url, locations=ZoneInfo("Asia/Tokyo"))  # type: ignore[call-arg]


async def test_an_unknown_entry_cannot_be_unregistered(scheduler: Scheduler) -> None:
    with pytest.raises(EntryNotFoundError, match="no scheduler entry found: 'x'"):
        scheduler.unregister("x")


@pytest.mark.parametrize("spec", ["", "nonsense", "* * * * * *", "TZ=UTC"])
async def test_an_invalid_spec_is_refused(spec: str, scheduler: Scheduler) -> None:
    with pytest.raises(OptionError, match="spec must be"):
        scheduler.register(spec, TASK)


async def test_a_value_that_is_no_task_is_refused(scheduler: Scheduler) -> None:
    with pytest.raises(OptionError, match="task must be a Task"):
        scheduler.register("@hourly", cast("Task", "t"))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("location", "Asia/Tokyo"),
        ("catch_up", "some"),
        ("heartbeat_interval", timedelta(0)),
        ("heartbeat_interval", 10),
        ("heartbeat_interval", timedelta.max),
        ("pre_enqueue", "no"),
        ("post_enqueue", 1),
        ("clock", 1),
    ],
)
def test_an_option_that_cannot_work_is_refused(option: str, value: object) -> None:
    with pytest.raises(OptionError, match=f"{option} must be"):
        Scheduler("localhost", **cast("Any", {option: value}))


async def test_a_scheduler_runs_once(redis_url: str) -> None:
    scheduler = Scheduler(redis_url)
    async with scheduler.running():
        with pytest.raises(SchedulerStateError, match="this one is active"):
            await scheduler.run()
    with pytest.raises(SchedulerStateError, match="this one is closed"):
        await scheduler.run()


async def test_run_ends_at_a_signal(redis_url: str) -> None:
    scheduler = Scheduler(redis_url)
    running = asyncio.create_task(scheduler.run())
    await wait_until(lambda: scheduler.state == "active")
    os.kill(os.getpid(), signal.SIGTERM)
    await running
    assert scheduler.state == "closed"


async def test_an_error_in_the_block_is_raised_unchanged(redis_url: str) -> None:
    with pytest.raises(ZeroDivisionError):
        async with Scheduler(redis_url).running():
            raise ZeroDivisionError


async def test_a_running_tick_is_finished(redis_url: str, r: Redis) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def hold(_task: Task) -> None:
        begun.set()
        await go_on.wait()

    scheduler = Scheduler(redis_url, pre_enqueue=hold)
    entry_id = scheduler.register("@every 1s", TASK)
    async with scheduler.running():
        await begun.wait()
        asyncio.get_running_loop().call_later(0.05, go_on.set)
    assert await r.zcard(f"asynq:scheduler_history:{entry_id}") == 1


async def test_histories_outlive_the_scheduler(redis_url: str, r: Redis) -> None:
    scheduler = Scheduler(redis_url)
    entry_id = scheduler.register("@every 1s", TASK)
    async with scheduler.running():
        await wait_until(lambda: r.exists(f"asynq:scheduler_history:{entry_id}"))
    assert await r.exists(f"asynq:scheduler_history:{entry_id}") == 1


async def test_a_scheduler_starts_while_redis_is_away(own_redis: RedisServer) -> None:
    own_redis.stop()
    scheduler = Scheduler(own_redis.url)
    scheduler.register("@every 1s", TASK)
    async with scheduler.running():
        await ticker_of(scheduler).steps.next()
        own_redis.start()
        async with Redis.from_url(own_redis.url) as r:
            await wait_until(lambda: RedisQueue(r).pending_ids())


async def test_a_running_scheduler_follows_the_clock_of_a_test(
    make: Callable[..., Scheduler], clock: SteeredClock, queue: QueueView
) -> None:
    scheduler = make()
    scheduler.register("@daily", TASK)
    async with scheduler.running():
        await ticker_of(scheduler).steps.next()
        clock.advance(hours=12)
        await wait_until(queue.pending_ids)
