"""Each tick is enqueued once: on time, by the first scheduler, and after a fault if wanted."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from redis.asyncio import Redis

from pyasynq import (
    BrokerError,
    BrokerUnavailableError,
    Clock,
    DuplicateTaskError,
    Scheduler,
    Task,
    TaskInfo,
    TaskState,
)
from pyasynq.broker import Broker
from pyasynq.scheduler.entry import CatchUp
from pyasynq.scheduler.ticker import LONGEST_S
from tests.scheduler.steps import advance_and_step, ticker_of
from tests.support.clocks import NOON, ShiftedClock, SteeredClock
from tests.support.queue_view import QueueView, RedisQueue
from tests.support.servers import RedisServer
from tests.support.waiting import wait_until

TASK = Task("t", b"p")
MINUTELY = "* * * * *"

Make = Callable[..., Scheduler]


async def count_pending(queue: QueueView) -> int:
    return len(await queue.pending_ids())


# -- one scheduler ---------------------------------------------------------------------------------


async def test_nothing_is_enqueued_before_the_first_tick(
    scheduler: Scheduler, clock: SteeredClock, queue: QueueView
) -> None:
    scheduler.register(MINUTELY, TASK)
    assert await advance_and_step(scheduler, clock) == LONGEST_S
    await advance_and_step(scheduler, clock, seconds=59.9)
    assert await count_pending(queue) == 0


async def test_a_task_is_enqueued_when_its_tick_has_come(
    scheduler: Scheduler, clock: SteeredClock, queue: QueueView
) -> None:
    scheduler.register(MINUTELY, TASK, max_retry=7)
    await advance_and_step(scheduler, clock)
    await advance_and_step(scheduler, clock, minutes=1)
    (task_id,) = await queue.pending_ids()
    message = await queue.message(task_id)
    assert (message.type, message.payload, message.retry) == ("t", b"p", 7)


async def test_the_ticker_sleeps_until_the_next_tick(
    scheduler: Scheduler, clock: SteeredClock
) -> None:
    scheduler.register(MINUTELY, TASK)
    await advance_and_step(scheduler, clock)
    assert await advance_and_step(scheduler, clock, seconds=57.5) == pytest.approx(2.5)


async def test_every_tick_is_enqueued(
    scheduler: Scheduler, clock: SteeredClock, queue: QueueView
) -> None:
    scheduler.register(MINUTELY, TASK)
    await advance_and_step(scheduler, clock)
    await advance_and_step(scheduler, clock, minutes=1)
    await advance_and_step(scheduler, clock, minutes=1)
    await advance_and_step(scheduler, clock, minutes=1)
    assert await count_pending(queue) == 3


async def test_a_tick_is_enqueued_once_in_several_steps(
    scheduler: Scheduler, clock: SteeredClock, queue: QueueView
) -> None:
    scheduler.register(MINUTELY, TASK)
    await advance_and_step(scheduler, clock)
    await advance_and_step(scheduler, clock, minutes=1)
    await advance_and_step(scheduler, clock, seconds=1)
    assert await count_pending(queue) == 1


@pytest.mark.parametrize("last", [str(2**50), "-1", "inf", "nan", "1.5", "garbage", ""])
async def test_an_entry_whose_last_tick_is_no_instant_begins_anew(
    last: str, scheduler: Scheduler, clock: SteeredClock, queue: RedisQueue, r: Redis
) -> None:
    strange = scheduler.register(MINUTELY, TASK)
    scheduler.register(MINUTELY, Task("u"))
    await r.set(queue.key(f"scheduler_last:{strange}"), last)
    await advance_and_step(scheduler, clock)
    await advance_and_step(scheduler, clock, minutes=1)
    assert await count_pending(queue) == 2


async def test_entries_are_due_independently(
    scheduler: Scheduler, clock: SteeredClock, r: Redis
) -> None:
    scheduler.register(MINUTELY, TASK, queue="one")
    scheduler.register("*/2 * * * *", TASK, queue="two")
    scheduler.register("0 0 30 2 *", TASK, queue="three")
    await advance_and_step(scheduler, clock)
    await advance_and_step(scheduler, clock, minutes=1)
    await advance_and_step(scheduler, clock, minutes=1)
    counts = [await count_pending(RedisQueue(r, name)) for name in ("one", "two", "three")]
    assert counts == [2, 1, 0]


async def test_hundreds_of_entries_are_enqueued_at_one_tick(
    scheduler: Scheduler, clock: SteeredClock, queue: QueueView
) -> None:
    entries = [scheduler.register(MINUTELY, Task("t", b"%d" % n)) for n in range(500)]
    await advance_and_step(scheduler, clock)
    await advance_and_step(scheduler, clock, minutes=1)
    assert await count_pending(queue) == len(set(entries)) == 500


async def test_a_scheduler_without_entries_waits(scheduler: Scheduler, clock: SteeredClock) -> None:
    assert await advance_and_step(scheduler, clock) == LONGEST_S


async def test_an_unregistered_entry_is_enqueued_no_more(
    scheduler: Scheduler, clock: SteeredClock, queue: QueueView, broker: Broker
) -> None:
    entry_id = scheduler.register(MINUTELY, TASK)
    await advance_and_step(scheduler, clock)
    await advance_and_step(scheduler, clock, minutes=1)
    scheduler.unregister(entry_id)
    await advance_and_step(scheduler, clock, minutes=1)
    assert await count_pending(queue) == 1
    assert await broker.schedules.events(entry_id, page=1, size=10) == []


async def test_an_entry_that_is_registered_again_at_once_keeps_its_history(
    scheduler: Scheduler, clock: SteeredClock, broker: Broker
) -> None:
    entry_id = scheduler.register(MINUTELY, TASK)
    await advance_and_step(scheduler, clock)
    await advance_and_step(scheduler, clock, minutes=1)
    scheduler.unregister(entry_id)
    scheduler.register(MINUTELY, TASK)
    await advance_and_step(scheduler, clock)
    assert len(await broker.schedules.events(entry_id, page=1, size=10)) == 1


async def test_a_delayed_task_is_scheduled(
    scheduler: Scheduler, clock: SteeredClock, queue: QueueView
) -> None:
    scheduler.register(MINUTELY, TASK, process_in=timedelta(minutes=5))
    await advance_and_step(scheduler, clock)
    await advance_and_step(scheduler, clock, minutes=1)
    (task_id,) = await queue.ids("scheduled")
    due = NOON + timedelta(minutes=6)
    assert await queue.due_at(task_id) == due.timestamp()


# -- several schedulers ----------------------------------------------------------------------------


async def test_of_several_schedulers_one_enqueues_each_tick(
    make: Make, clock: SteeredClock, queue: QueueView
) -> None:
    schedulers = [make() for _ in range(5)]
    ids = {scheduler.register(MINUTELY, TASK) for scheduler in schedulers}
    assert len(ids) == 1
    await asyncio.gather(*(advance_and_step(scheduler, clock) for scheduler in schedulers))
    clock.advance(minutes=1)
    await asyncio.gather(*(advance_and_step(scheduler, clock) for scheduler in schedulers))
    clock.advance(minutes=1)
    await asyncio.gather(*(advance_and_step(scheduler, clock) for scheduler in schedulers))
    assert await count_pending(queue) == 2


async def test_a_tick_is_not_enqueued_again_when_its_task_is_gone(
    make: Make, clock: SteeredClock, queue: RedisQueue, r: Redis
) -> None:
    first, second = make(), make()
    first.register(MINUTELY, TASK)
    second.register(MINUTELY, TASK)
    await advance_and_step(first, clock)
    await advance_and_step(second, clock)
    await advance_and_step(first, clock, minutes=1)
    (task_id,) = await queue.pending_ids()
    await r.delete(queue.key("pending"), queue.key(f"t:{task_id}"))
    await advance_and_step(second, clock)
    assert await count_pending(queue) == 0


async def test_schedulers_agree_on_ticks_that_are_relative(
    make: Make, clock: SteeredClock, queue: QueueView
) -> None:
    first, second = make(), make()
    first.register("@every 1m", TASK)
    second.register("@every 1m", TASK)
    await advance_and_step(first, clock)
    await advance_and_step(second, clock, seconds=30)
    await advance_and_step(first, clock, seconds=30)
    await advance_and_step(second, clock, seconds=30)
    assert await count_pending(queue) == 1


async def test_a_lost_last_tick_does_not_double_the_pace(
    make: Make, clock: SteeredClock, queue: RedisQueue, r: Redis
) -> None:
    first, second = make(), make()
    entry_id = first.register("@every 1m", TASK)
    await advance_and_step(first, clock)
    clock.advance(seconds=30)
    await r.delete(queue.key(f"scheduler_last:{entry_id}"))
    second.register("@every 1m", TASK)
    await advance_and_step(second, clock)
    await advance_and_step(first, clock, seconds=30)
    await advance_and_step(second, clock, seconds=30)
    await advance_and_step(first, clock, seconds=30)
    await advance_and_step(second, clock, seconds=30)
    assert await count_pending(queue) == 2


async def test_only_the_scheduler_that_enqueued_calls_post_enqueue(
    make: Make, clock: SteeredClock
) -> None:
    outcomes: list[object] = []
    schedulers = [make(post_enqueue=lambda _, outcome: outcomes.append(outcome)) for _ in range(3)]
    assert len({scheduler.register(MINUTELY, TASK) for scheduler in schedulers}) == 1
    await asyncio.gather(*(advance_and_step(scheduler, clock) for scheduler in schedulers))
    clock.advance(minutes=1)
    await asyncio.gather(*(advance_and_step(scheduler, clock) for scheduler in schedulers))
    assert len(outcomes) == 1


# -- clocks that are fast --------------------------------------------------------------------------

SECONDLY = "@every 1s"


@pytest.fixture
async def make_with_clock(redis_url: str) -> AsyncIterator[Callable[[Clock], Scheduler]]:
    """Yield a function that makes a scheduler with one entry and the given clock."""
    made: list[Scheduler] = []

    def scheduler(clock: Clock) -> Scheduler:
        made.append(Scheduler(redis_url, clock=clock))
        made[-1].register(SECONDLY, TASK)
        return made[-1]

    yield scheduler
    for one in made:
        await one._broker.aclose()


async def steps_until(count: int, scheduler: Scheduler, queue: QueueView) -> None:
    """Let the scheduler take steps until *count* tasks wait."""

    async def enough() -> bool:
        await ticker_of(scheduler).step()
        return await count_pending(queue) >= count

    await wait_until(enough)


async def test_a_scheduler_whose_clock_is_fast_does_not_stop_the_others(
    make_with_clock: Callable[[Clock], Scheduler], queue: QueueView
) -> None:
    good, bad = make_with_clock(Clock()), make_with_clock(ShiftedClock(wall=timedelta(days=1)))
    await ticker_of(good).step()
    await steps_until(1, bad, queue)
    await steps_until(2, good, queue)


async def test_a_clock_that_is_fast_from_the_start_begins_now(
    make_with_clock: Callable[[Clock], Scheduler], queue: QueueView
) -> None:
    fast = ShiftedClock(wall=timedelta(days=1))
    await ticker_of(make_with_clock(fast)).step()
    await steps_until(1, make_with_clock(Clock()), queue)


async def test_a_clock_that_is_set_forward_and_back_is_logged_once_each(
    make_with_clock: Callable[[Clock], Scheduler],
    queue: QueueView,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "pyasynq.scheduler")
    clock = ShiftedClock()
    scheduler = make_with_clock(clock)
    await ticker_of(scheduler).step()
    clock.wall = timedelta(days=1)
    await steps_until(2, scheduler, queue)
    clock.wall = timedelta(0)
    await steps_until(3, scheduler, queue)
    texts = [record.getMessage() for record in caplog.records]
    assert [text for text in texts if "clock" in text] == [
        "this machine's clock is 86400 s ahead of that of the broker;"
        " until they agree, ticks go by that of the broker",
        "this machine's clock agrees with that of the broker again",
    ]


async def test_a_last_tick_that_a_fast_clock_left_is_logged_and_ignored(
    make_with_clock: Callable[[Clock], Scheduler],
    queue: RedisQueue,
    r: Redis,
    caplog: pytest.LogCaptureFixture,
) -> None:
    scheduler = make_with_clock(Clock())
    (entry_id,) = scheduler._entries
    await r.set(queue.key(f"scheduler_last:{entry_id}"), "4000000000", ex=100)
    await steps_until(1, scheduler, queue)
    assert "a scheduler whose clock was fast has left 2096-10-02 07:06:40" in caplog.text


# -- missed ticks ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("catch_up", "count"), [("skip", 0), ("once", 1), ("all", 10)])
async def test_catch_up_decides_about_ticks_that_no_scheduler_saw(
    catch_up: CatchUp, count: int, make: Make, clock: SteeredClock, queue: QueueView
) -> None:
    gone, back = make(catch_up=catch_up), make(catch_up=catch_up)
    gone.register(MINUTELY, TASK)
    await advance_and_step(gone, clock)
    back.register(MINUTELY, TASK)
    await advance_and_step(back, clock, minutes=10, seconds=45)
    assert await count_pending(queue) == count


@pytest.mark.parametrize("catch_up", ["skip", "once", "all"])
async def test_after_missed_ticks_it_goes_on_as_before(
    catch_up: CatchUp, make: Make, clock: SteeredClock, queue: QueueView
) -> None:
    gone, back = make(), make()
    gone.register(MINUTELY, TASK)
    await advance_and_step(gone, clock)
    back.register(MINUTELY, TASK, catch_up=catch_up)
    await advance_and_step(back, clock, minutes=10, seconds=45)
    before = await count_pending(queue)
    await advance_and_step(back, clock, seconds=15)
    assert await count_pending(queue) == before + 1


async def test_the_catch_up_of_an_entry_wins(
    make: Make, clock: SteeredClock, queue: QueueView
) -> None:
    gone, back = make(), make(catch_up="skip")
    gone.register(MINUTELY, TASK)
    await advance_and_step(gone, clock)
    back.register(MINUTELY, TASK, catch_up="all")
    await advance_and_step(back, clock, minutes=10, seconds=45)
    assert await count_pending(queue) == 10


async def test_schedulers_that_come_back_together_catch_up_once(
    make: Make, clock: SteeredClock, queue: QueueView
) -> None:
    gone, *back = [make(catch_up="all") for _ in range(4)]
    gone.register(MINUTELY, TASK)
    await advance_and_step(gone, clock)
    clock.advance(minutes=20, seconds=45)
    assert len({scheduler.register(MINUTELY, TASK) for scheduler in back}) == 1
    await asyncio.gather(*(advance_and_step(scheduler, clock) for scheduler in back))
    assert await count_pending(queue) == 20


async def test_a_new_entry_has_missed_nothing(
    make: Make, clock: SteeredClock, queue: QueueView
) -> None:
    scheduler = make(catch_up="all")
    scheduler.register(MINUTELY, TASK)
    await advance_and_step(scheduler, clock, minutes=10)
    assert await count_pending(queue) == 0


async def test_missed_ticks_are_logged(
    make: Make, clock: SteeredClock, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = make()
    scheduler.register(MINUTELY, TASK)
    await advance_and_step(scheduler, clock)
    await advance_and_step(scheduler, clock, minutes=10, seconds=45)
    assert "was missed since 2026-03-04 12:01:00" in caplog.text


# -- refusals, hooks, history ----------------------------------------------------------------------


async def test_a_refused_task_is_reported_and_the_entry_goes_on(
    make: Make, clock: SteeredClock, queue: QueueView, broker: Broker
) -> None:
    outcomes: list[object] = []
    scheduler = make(post_enqueue=lambda _, outcome: outcomes.append(outcome))
    entry_id = scheduler.register(MINUTELY, TASK, unique=timedelta(hours=1))
    await advance_and_step(scheduler, clock)
    await advance_and_step(scheduler, clock, minutes=1)
    await advance_and_step(scheduler, clock, minutes=1)
    assert [type(outcome) for outcome in outcomes] == [TaskInfo, DuplicateTaskError]
    assert await count_pending(queue) == 1
    assert len(await broker.schedules.events(entry_id, page=1, size=10)) == 1


async def test_a_task_id_of_the_entrys_own_is_taken_while_the_task_is_there(
    scheduler: Scheduler, clock: SteeredClock, queue: RedisQueue, r: Redis
) -> None:
    scheduler.register(MINUTELY, TASK, task_id="mine")
    await advance_and_step(scheduler, clock)
    await advance_and_step(scheduler, clock, minutes=1)
    await advance_and_step(scheduler, clock, minutes=1)
    assert await queue.pending_ids() == ["mine"]
    await r.delete(queue.key("pending"), queue.key("t:mine"))
    await advance_and_step(scheduler, clock, minutes=1)
    assert await queue.pending_ids() == ["mine"]


async def test_hooks_are_called_before_and_after(make: Make, clock: SteeredClock) -> None:
    calls: list[Any] = []

    async def after(task: Task, outcome: object) -> None:
        calls.append((task, outcome))

    scheduler = make(pre_enqueue=calls.append, post_enqueue=after)
    scheduler.register(MINUTELY, TASK, queue="low")
    await advance_and_step(scheduler, clock)
    await advance_and_step(scheduler, clock, minutes=1)
    assert calls[0] is TASK
    assert calls[1][0] is TASK
    assert (calls[1][1].queue, calls[1][1].state) == ("low", TaskState.PENDING)


async def test_a_plain_hook_is_called_in_a_thread_and_does_not_block_the_loop(
    make: Make, clock: SteeredClock
) -> None:
    threads: list[threading.Thread] = []
    scheduler = make(
        pre_enqueue=lambda _: threads.append(threading.current_thread()),
        post_enqueue=lambda *_: threads.append(threading.current_thread()),
    )
    scheduler.register(MINUTELY, TASK)
    await advance_and_step(scheduler, clock)
    await advance_and_step(scheduler, clock, minutes=1)
    assert len(threads) == 2
    assert threading.current_thread() not in threads


async def test_a_hook_that_cancels_what_it_awaits_stops_nothing(
    make: Make, clock: SteeredClock, queue: QueueView
) -> None:
    async def fail(_task: Task) -> None:
        raise asyncio.CancelledError

    scheduler = make(pre_enqueue=fail)
    scheduler.register(MINUTELY, TASK)
    await advance_and_step(scheduler, clock)
    await advance_and_step(scheduler, clock, minutes=1)
    assert await count_pending(queue) == 1


async def test_a_hook_that_fails_stops_nothing(
    make: Make, clock: SteeredClock, queue: QueueView, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    scheduler = make(pre_enqueue=fail, post_enqueue=fail)
    scheduler.register(MINUTELY, TASK)
    await advance_and_step(scheduler, clock)
    await advance_and_step(scheduler, clock, minutes=1)
    assert await count_pending(queue) == 1
    failed = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert [text.split()[0] for text in failed] == ["pre_enqueue", "post_enqueue"]


async def test_an_enqueued_task_is_in_the_history(
    scheduler: Scheduler, clock: SteeredClock, queue: QueueView, broker: Broker
) -> None:
    entry_id = scheduler.register(MINUTELY, TASK)
    await advance_and_step(scheduler, clock)
    await advance_and_step(scheduler, clock, minutes=1, seconds=1)
    (event,) = await broker.schedules.events(entry_id, page=1, size=10)
    assert [event.task_id] == await queue.pending_ids()
    assert event.enqueued_at == NOON + timedelta(seconds=61)


# -- faults ----------------------------------------------------------------------------------------


async def test_a_missed_tick_is_enqueued_when_redis_is_back(
    clock: SteeredClock, own_redis: RedisServer
) -> None:
    scheduler = Scheduler(own_redis.url, clock=clock, catch_up="all")
    scheduler.register(MINUTELY, TASK)
    await advance_and_step(scheduler, clock)
    own_redis.stop()
    clock.advance(minutes=3)
    with pytest.raises(BrokerUnavailableError):
        await ticker_of(scheduler).step()
    own_redis.start()
    await advance_and_step(scheduler, clock)
    async with Redis.from_url(own_redis.url) as r:
        assert await count_pending(RedisQueue(r)) == 3
    await scheduler._broker.aclose()


@pytest.mark.parametrize("when", ["at the start", "later"])
async def test_a_broken_key_of_one_entry_does_not_stop_the_others(
    when: str, make: Make, clock: SteeredClock, r: Redis
) -> None:
    scheduler = make(catch_up="all")
    scheduler.register(MINUTELY, TASK, queue="two")
    await advance_and_step(scheduler, clock)
    broken = scheduler.register(MINUTELY, TASK, queue="one")
    key = f"asynq:{{one}}:scheduler_last:{broken}"
    if when == "later":
        await advance_and_step(scheduler, clock)
        await r.delete(key)
    await r.hset(key, "a", "b")
    clock.advance(minutes=3)
    with pytest.raises(BrokerError, match="WRONGTYPE"):
        await ticker_of(scheduler).step()
    assert await count_pending(RedisQueue(r, "two")) == 3
    await r.delete(key)


async def test_an_entry_that_cannot_be_forgotten_does_not_stop_the_others(
    clock: SteeredClock, own_redis: RedisServer
) -> None:
    scheduler = Scheduler(own_redis.url, clock=clock)
    gone = scheduler.register(MINUTELY, TASK, queue="gone")
    scheduler.register(MINUTELY, TASK)
    await advance_and_step(scheduler, clock)
    await advance_and_step(scheduler, clock, minutes=1)
    scheduler.unregister(gone)
    async with Redis.from_url(own_redis.url) as r:
        await r.acl_setuser("default", enabled=True, commands=["-del"])
        with pytest.raises(BrokerError):
            await advance_and_step(scheduler, clock, minutes=1)
        assert await count_pending(RedisQueue(r)) == 2
        await r.acl_setuser("default", enabled=True, commands=["+del"])
        await advance_and_step(scheduler, clock)
        assert await r.exists(f"asynq:scheduler_history:{gone}") == 0
    await scheduler._broker.aclose()


async def test_each_missed_tick_is_in_the_history_before_the_next_is_enqueued(
    make: Make, clock: SteeredClock, broker: Broker
) -> None:
    recorded: list[int] = []

    async def look(_task: Task, _outcome: object) -> None:
        recorded.append(len(await broker.schedules.events(entry_id, page=1, size=10)))

    gone, back = make(), make(catch_up="all", post_enqueue=look)
    gone.register(MINUTELY, TASK)
    await advance_and_step(gone, clock)
    entry_id = back.register(MINUTELY, TASK)
    await advance_and_step(back, clock, minutes=3)
    assert recorded == [0, 1, 2]


async def test_events_that_redis_did_not_take_are_recorded_later(
    clock: SteeredClock, own_redis: RedisServer
) -> None:
    scheduler = Scheduler(
        own_redis.url, clock=clock, post_enqueue=lambda _task, _outcome: own_redis.stop()
    )
    entry_id = scheduler.register(MINUTELY, TASK)
    await advance_and_step(scheduler, clock)
    clock.advance(minutes=1)
    with pytest.raises(BrokerUnavailableError):
        await ticker_of(scheduler).step()
    own_redis.start()
    await advance_and_step(scheduler, clock)
    async with Redis.from_url(own_redis.url) as r:
        assert await r.zcard(f"asynq:scheduler_history:{entry_id}") == 1
    await scheduler._broker.aclose()


async def test_a_broken_history_stops_nothing(
    scheduler: Scheduler, clock: SteeredClock, broker: Broker, r: Redis
) -> None:
    broken = scheduler.register(MINUTELY, TASK, queue="one")
    sound = scheduler.register(MINUTELY, TASK, queue="two")
    await advance_and_step(scheduler, clock)
    await r.set(f"asynq:scheduler_history:{broken}", "text")
    await advance_and_step(scheduler, clock, minutes=1)
    await advance_and_step(scheduler, clock, minutes=1)
    assert len(await broker.schedules.events(sound, page=1, size=10)) == 2
    assert await count_pending(RedisQueue(r, "one")) == 2
    await r.delete(f"asynq:scheduler_history:{broken}")
