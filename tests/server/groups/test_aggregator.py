"""Groups are combined in time and side by side; no task is lost, doubled or stuck."""

import asyncio
import logging
import threading
import time
from datetime import timedelta
from typing import Unpack, cast

import pytest
from redis.asyncio import Redis

from pyasynq import (
    BrokerUnavailableError,
    Client,
    GroupAggregator,
    Server,
    Task,
    TaskInfo,
)
from pyasynq.core.options import EnqueueOptions
from pyasynq.server import ServerOptions
from pyasynq.server.groups.aggregator import Aggregator
from pyasynq.server.groups.reclaimer import Reclaimer
from tests.server.aggregators import Joiner, join_payloads
from tests.server.handlers import Handler, first_queue_of
from tests.support.clocks import HastyClock
from tests.support.queue_view import QueueView, RedisQueue
from tests.support.servers import RedisServer
from tests.support.waiting import wait_until

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
AT_SIZE_TWO: ServerOptions = {"group_grace_period": HOUR, "group_max_size": 2}


def make_server(url: str, aggregate: GroupAggregator, **options: Unpack[ServerOptions]) -> Server:
    """Return a server that by default combines groups of two."""
    merged: ServerOptions = {**AT_SIZE_TWO, **options, "group_aggregator": aggregate}
    return Server(url, **merged)


def aggregator_of(server: Server) -> Aggregator:
    aggregator = first_queue_of(server).aggregator
    assert aggregator is not None
    return aggregator


def reclaimer_of(server: Server) -> Reclaimer:
    reclaimer = first_queue_of(server).reclaimer
    assert reclaimer is not None
    return reclaimer


async def add(client: Client, *payloads: bytes, **options: Unpack[EnqueueOptions]) -> list[str]:
    """Add tasks to a group, by default ``g``; return their ids."""
    tasks = [Task("part", payload, group="g") for payload in payloads]
    infos = await client.enqueue_many(tasks, **options)
    return [info.id for info in infos if isinstance(info, TaskInfo)]


async def set_keys(r: Redis, queue: RedisQueue) -> list[str]:
    """Return the keys of the aggregation sets."""
    names = cast("list[bytes]", await r.zrange(queue.key("aggregation_sets"), 0, -1))
    return [key.decode() for key in names]


async def count_failures(queue: RedisQueue, task_id: str) -> int:
    return int((await queue.fields(task_id)).get("aggregation_failures", 0))


async def end_waits(r: Redis, queue: RedisQueue) -> None:
    """End the waits of the aggregation sets."""
    for key in await set_keys(r, queue):
        await r.zadd(queue.key("aggregation_sets"), {key: 1}, xx=True)


# -- combining -------------------------------------------------------------------------------------


async def test_a_full_group_becomes_one_task(client: Client, redis_url: str) -> None:
    handler = Handler()
    async with make_server(redis_url, Joiner()).running(handler):
        await add(client, b"a", b"b")
        [task] = await handler.wait_for_tasks()
    assert (task.type, set(task.payload.split(b","))) == ("joined", {b"a", b"b"})


async def test_nothing_of_a_combined_group_is_left(
    client: Client, redis_url: str, r: Redis, queue: RedisQueue
) -> None:
    handler = Handler()
    async with make_server(redis_url, Joiner()).running(handler):
        await add(client, b"a", b"b", unique=HOUR)
        await handler.wait_for_tasks()
        await wait_until(lambda: _is_empty(queue))
        keys = cast("list[bytes]", await r.keys(queue.key("*")))
    assert [key for key in keys if b":t:" in key or b":g:" in key or b":unique:" in key] == []


async def test_a_quiet_group_is_combined_after_its_grace_period(
    client: Client, redis_url: str
) -> None:
    aggregate = Joiner()
    server = Server(redis_url, group_aggregator=aggregate, group_grace_period=SECOND)
    async with server.running(Handler()):
        await add(client, b"a")
        added_at = time.time()
        await aggregate.wait_for_calls()
    assert time.time() - added_at >= 1


async def test_a_group_that_is_never_quiet_is_combined_after_its_longest_delay(
    client: Client, redis_url: str
) -> None:
    aggregate = Joiner()
    server = Server(redis_url, group_aggregator=aggregate, group_max_delay=SECOND)
    async with server.running(Handler()):
        await add(client, b"a")
        await aggregate.wait_for_calls()  # though the grace period is a minute


async def test_a_group_that_is_not_ready_is_not_combined(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    aggregate = Joiner()
    async with make_server(redis_url, aggregate).running(Handler()) as server:
        ids = await add(client, b"a")
        await aggregator_of(server).steps.next()
        await aggregator_of(server).steps.next()
    assert aggregate.calls == []
    assert await queue.members("g") == ids


async def test_a_server_without_aggregator_leaves_groups_alone(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    ids = await add(client, b"a", b"b")
    async with Server(redis_url).running(Handler()) as server:
        await reclaimer_of(server).step()
        assert first_queue_of(server).aggregator is None
    assert set(await queue.members("g")) == set(ids)


async def test_a_large_group_is_combined_set_by_set(client: Client, redis_url: str) -> None:
    aggregate = Joiner()
    await add(client, *(b"%d" % n for n in range(10)))
    async with make_server(redis_url, aggregate).running(Handler()) as server:
        await aggregate.wait_for_calls(5)
        await aggregator_of(server).groups_done.next()
    payloads = [payload for _, payloads in aggregate.calls for payload in payloads]
    assert sorted(payloads, key=str) == [b"%d" % n for n in range(10)]


async def test_a_group_of_thousands_becomes_tasks_of_a_thousand(
    client: Client, redis_url: str
) -> None:
    aggregate = Joiner()
    await add(client, *(b"%d" % n for n in range(2500)))
    server = Server(redis_url, group_aggregator=aggregate, group_max_delay=SECOND)
    async with server.running(Handler()):
        await aggregate.wait_for_calls(3)
    assert [len(payloads) for _, payloads in aggregate.calls] == [1000, 1000, 500]


async def test_the_groups_of_every_queue_are_combined(client: Client, redis_url: str) -> None:
    aggregate = Joiner()
    await add(client, b"a", b"b", queue="one")
    await add(client, b"c", b"d", queue="two")
    queues = {"one": 1, "two": 1}
    async with make_server(redis_url, aggregate, queues=queues).running(Handler()):
        await aggregate.wait_for_calls(2)
    assert {payload for _, payloads in aggregate.calls for payload in payloads} == {
        b"a",
        b"b",
        b"c",
        b"d",
    }


async def test_a_plain_function_combines_in_a_thread(client: Client, redis_url: str) -> None:
    threads: list[str] = []

    def aggregate(_group: str, tasks: list[Task]) -> Task:
        threads.append(threading.current_thread().name)
        return join_payloads([task.payload for task in tasks])

    handler = Handler()
    async with make_server(redis_url, aggregate).running(handler):
        await add(client, b"a", b"b")
        [task] = await handler.wait_for_tasks()
    assert task.type == "joined"
    assert threads[0].startswith("pyasynq-handler-groups")


async def test_a_slow_group_does_not_delay_the_others(client: Client, redis_url: str) -> None:
    aggregate = Joiner(hold=["slow"])
    handler = Handler()
    async with make_server(redis_url, aggregate).running(handler):
        await add(client, b"a", b"b", group="slow")
        await aggregate.wait_for_calls()
        await add(client, b"c", b"d", group="fast")
        [task] = await handler.wait_for_tasks()
        assert set(task.payload.split(b",")) == {b"c", b"d"}
        aggregate.release()
        await handler.wait_for_tasks(2)


async def test_a_queue_with_slow_groups_does_not_delay_other_queues(
    client: Client, redis_url: str
) -> None:
    slow = [f"slow{n}" for n in range(15)]
    aggregate = Joiner(hold=slow)
    server = make_server(redis_url, aggregate, queues={"one": 1, "two": 1}, group_max_size=1)
    async with server.running(Handler()):
        tasks = [Task("part", b"p", group=name) for name in slow]
        await client.enqueue_many(tasks, queue="one")
        await aggregate.wait_for_calls(10)
        await add(client, b"two", queue="two")
        await aggregate.wait_for_calls(11)
        aggregate.release()
    assert aggregate.calls[10] == ("g", [b"two"])


async def test_a_broken_queue_does_not_stop_the_groups_of_others(
    client: Client, redis_url: str, r: Redis
) -> None:
    broken = RedisQueue(r, "broken")
    await r.set(broken.key("groups"), "wrong type")
    aggregate = Joiner()
    async with make_server(redis_url, aggregate, queues={"broken": 1, "default": 1}).running(
        Handler()
    ):
        await add(client, b"a", b"b")
        await aggregate.wait_for_calls()
    await r.delete(broken.key("groups"))


async def test_two_servers_combine_each_task_once(
    client: Client, redis_url: str, queue: RedisQueue
) -> None:
    one, two, handler = Joiner(), Joiner(), Handler()
    async with (
        make_server(redis_url, one).running(handler),
        make_server(redis_url, two).running(handler),
    ):
        for n in range(20):
            await add(client, b"%d" % (2 * n), b"%d" % (2 * n + 1), group=f"g{n}")
        await handler.wait_for_tasks(20)
        await wait_until(lambda: _is_empty(queue))
    parts = [part for task in handler.tasks for part in task.payload.split(b",")]
    assert sorted(map(int, parts)) == list(range(40))


# -- failures --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("aggregate", "text"),
    [
        (Joiner(ValueError("boom")), "ValueError: boom"),
        (Joiner(BrokerUnavailableError("elsewhere")), "elsewhere"),
        (Joiner(SystemExit(3)), "the group aggregator raised SystemExit(3)"),
        (Joiner(asyncio.CancelledError()), "the group aggregator raised CancelledError()"),
        (Joiner(answer="no task"), "must return a Task, got str"),
        (Joiner(answer=Task("t", task_id="taken")), "task ID conflicts"),
        (Joiner(answer=Task("t", b"p", unique=HOUR)), "task already exists"),
    ],
    ids=["raises", "cannot reach", "exits", "cancels", "no task", "conflict", "duplicate"],
)
async def test_a_task_that_can_never_be_combined_is_archived_with_the_reason(
    aggregate: Joiner, text: str, client: Client, redis_url: str, queue: RedisQueue
) -> None:
    await client.enqueue(Task("t", b"p"), task_id="taken", unique=HOUR, process_in=HOUR)
    ids = await add(client, b"a", b"b")
    async with make_server(redis_url, aggregate, group_max_failures=1).running(Handler()):
        await wait_until(lambda: _has(queue, "archived", 2))
    assert set(await queue.ids("archived")) == set(ids)
    message = await queue.message(ids[0])
    assert text in message.error_msg
    assert await queue.set_keys() == []


async def test_a_failure_is_counted_and_the_set_waits(
    client: Client, redis_url: str, queue: RedisQueue, r: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    began_s = time.time()
    async with make_server(redis_url, Joiner(ValueError("boom"))).running(Handler()) as server:
        ids = await add(client, b"a", b"b")
        await aggregator_of(server).groups_done.next()
    assert [await count_failures(queue, task_id) for task_id in ids] == [1, 1]
    [key] = await set_keys(r, queue)
    again_at_s = await queue.reclaimed_at(key) or 0
    assert began_s + 10 < again_at_s <= time.time() + 45
    assert "group 'g' in 'default' could not be combined" in caplog.text
    assert "ValueError: boom" in caplog.text


async def test_a_group_that_failed_is_tried_again(
    client: Client, redis_url: str, queue: RedisQueue, r: Redis
) -> None:
    aggregate, handler = Joiner(ValueError("boom")), Handler()
    async with make_server(redis_url, aggregate).running(handler) as server:
        await add(client, b"a", b"b")
        await aggregator_of(server).groups_done.next()
        aggregate.error = None
        await end_waits(r, queue)
        await reclaimer_of(server).step()
        await handler.wait_for_tasks()
    assert len(aggregate.calls) == 2


async def test_failures_are_remembered_by_the_next_server(
    client: Client, redis_url: str, queue: RedisQueue, r: Redis
) -> None:
    ids = await add(client, b"a", b"b")
    async with make_server(redis_url, Joiner(ValueError()), group_max_failures=2).running(
        Handler()
    ) as server:
        await aggregator_of(server).groups_done.next()
    await end_waits(r, queue)
    async with make_server(redis_url, Joiner(ValueError()), group_max_failures=2).running(
        Handler()
    ):
        await wait_until(lambda: _has(queue, "archived", 2))
    assert set(await queue.ids("archived")) == set(ids)


async def test_poison_is_archived_and_the_others_are_combined(
    client: Client, redis_url: str, queue: RedisQueue, r: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    bad, missing, good = await add(client, b"a", b"b", b"c")
    await queue.corrupt(bad)
    await r.delete(queue.key(f"t:{missing}"))
    handler = Handler()
    async with make_server(redis_url, Joiner(), group_max_size=3).running(handler):
        [task] = await handler.wait_for_tasks()
    assert task.payload == b"c"
    assert await queue.ids("archived") == [bad]
    assert not await queue.exists(good)
    assert "1 tasks of group 'g' in 'default' cannot be read; archived" in caplog.text


async def test_a_group_of_missing_tasks_is_deleted(
    client: Client, redis_url: str, queue: RedisQueue, r: Redis
) -> None:
    ids = await add(client, b"a", b"b")
    await r.delete(*(queue.key(f"t:{task_id}") for task_id in ids))
    aggregate = Joiner()
    async with make_server(redis_url, aggregate).running(Handler()):
        await wait_until(lambda: _is_empty(queue))
    assert aggregate.calls == []
    assert await set_keys(r, queue) == []


# -- sets of others --------------------------------------------------------------------------------


async def test_a_set_that_was_put_back_meanwhile_is_not_combined(
    client: Client, redis_url: str, queue: RedisQueue, r: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "pyasynq.server")
    aggregate, handler = Joiner(hold=["g"]), Handler()
    async with make_server(redis_url, aggregate).running(handler) as server:
        ids = await add(client, b"a", b"b")
        await aggregate.wait_for_calls()
        await end_waits(r, queue)
        await reclaimer_of(server).step()
        assert set(await queue.members("g")) == set(ids)
        aggregate.release()
        await handler.wait_for_tasks()
        await wait_until(lambda: _is_empty(queue))
    assert [set(task.payload.split(b",")) for task in handler.tasks] == [{b"a", b"b"}]
    assert "was put back, or combined, meanwhile" in caplog.text


async def test_a_group_nobody_registered_is_found_and_combined(
    client: Client, redis_url: str, queue: RedisQueue, r: Redis
) -> None:
    await add(client, b"a", b"b")
    await r.delete(queue.key("groups"))
    handler = Handler()
    async with make_server(redis_url, Joiner()).running(handler):
        await handler.wait_for_tasks()


async def test_a_set_that_cannot_be_put_back_is_logged_and_groups_are_still_found(
    client: Client, redis_url: str, queue: RedisQueue, r: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "pyasynq.actor")
    await add(client, b"a", b"b")
    await r.delete(queue.key("groups"))
    await r.set(queue.key("g:bad"), "wrong type")
    await r.zadd(queue.key("g:bad:set"), {"1": 1})
    await r.zadd(queue.key("aggregation_sets"), {queue.key("g:bad:set"): 1})
    handler = Handler()
    async with make_server(redis_url, Joiner()).running(handler):
        await handler.wait_for_tasks()
    await r.delete(queue.key("g:bad"), queue.key("g:bad:set"))
    assert caplog.text.count("g:bad:set") == 1


async def test_a_server_without_aggregator_puts_stale_sets_back(
    client: Client, redis_url: str, queue: RedisQueue, r: Redis
) -> None:
    ids = await add(client, b"a")
    await r.rename(queue.key("g:g"), queue.key("g:g:set"))
    await r.zadd(queue.key("aggregation_sets"), {queue.key("g:g:set"): 1})
    async with Server(redis_url).running(Handler()):
        await wait_until(lambda: _has(queue, "g:g", 1))
    assert await queue.members("g") == ids


async def test_a_set_is_held_as_long_as_the_function_works(
    client: Client, redis_url: str, queue: RedisQueue, r: Redis
) -> None:
    aggregate, handler = Joiner(hold=["g"]), Handler()
    async with make_server(redis_url, aggregate, clock=HastyClock()).running(handler):
        await add(client, b"a", b"b")
        await aggregate.wait_for_calls()
        [key] = await set_keys(r, queue)
        soon_s = int(time.time()) + 10
        await r.zadd(queue.key("aggregation_sets"), {key: soon_s})
        await wait_until(lambda: _ends_after(queue, key, soon_s + 100))
        aggregate.release()
        await handler.wait_for_tasks()


# -- stopping --------------------------------------------------------------------------------------


async def test_a_stop_waits_for_groups_that_are_being_combined(
    client: Client, redis_url: str, queue: RedisQueue
) -> None:
    aggregate = Joiner(hold=["g"])
    async with make_server(redis_url, aggregate).running(Handler()):
        await add(client, b"a", b"b")
        await aggregate.wait_for_calls()
        asyncio.get_running_loop().call_later(0.2, aggregate.release)
    assert len(await queue.pending_ids()) == 1
    assert await _is_empty(queue)


async def test_a_group_that_takes_longer_than_a_stop_may_is_put_back_at_once(
    client: Client, redis_url: str, queue: RedisQueue, r: Redis
) -> None:
    aggregate = Joiner(hold=["g"])
    timeout = timedelta(seconds=0.1)
    async with make_server(redis_url, aggregate, shutdown_timeout=timeout).running(Handler()):
        ids = await add(client, b"a", b"b")
        await aggregate.wait_for_calls()
    assert aggregate.cancelled == ["g"]
    assert set(await queue.members("g")) == set(ids)
    assert await set_keys(r, queue) == []
    assert await r.smembers(queue.key("groups")) == {b"g"}


async def test_a_thread_that_takes_longer_than_a_stop_may_combines_nothing(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    began, go_on = threading.Event(), threading.Event()

    def aggregate(_group: str, tasks: list[Task]) -> Task:
        began.set()
        go_on.wait(15)
        return join_payloads([task.payload for task in tasks])

    timeout = timedelta(seconds=0.1)
    async with make_server(redis_url, aggregate, shutdown_timeout=timeout).running(Handler()):
        ids = await add(client, b"a", b"b")
        await wait_until(began.is_set)
    go_on.set()
    assert set(await queue.members("g")) == set(ids)
    assert await queue.pending_ids() == []


async def test_a_group_is_combined_though_redis_was_away(own_redis: RedisServer) -> None:
    aggregate, handler = Joiner(hold=["g"]), Handler()
    async with (
        Client(own_redis.url) as client,
        make_server(own_redis.url, aggregate).running(handler),
    ):
        await add(client, b"a", b"b")
        await aggregate.wait_for_calls()
        own_redis.stop()
        aggregate.release()
        own_redis.start()
        await handler.wait_for_tasks()
    assert len(handler.tasks) == 1


async def test_a_stop_without_redis_leaves_the_set_to_others(own_redis: RedisServer) -> None:
    aggregate = Joiner(hold=["g"])
    timeout = timedelta(seconds=0.1)
    async with Client(own_redis.url) as client:
        await add(client, b"a", b"b")
    async with make_server(own_redis.url, aggregate, shutdown_timeout=timeout).running(Handler()):
        await aggregate.wait_for_calls()
        own_redis.stop()
    own_redis.start()
    async with Redis.from_url(own_redis.url) as r:
        assert len(await set_keys(r, RedisQueue(r))) == 1


async def test_a_set_is_held_again_when_redis_is_back(own_redis: RedisServer) -> None:
    aggregate, handler = Joiner(hold=["g"]), Handler()
    server = make_server(own_redis.url, aggregate, clock=HastyClock())
    async with Client(own_redis.url) as client, server.running(handler):
        await add(client, b"a", b"b")
        await aggregate.wait_for_calls()
        own_redis.stop()
        await aggregator_of(server).steps.next()
        await aggregator_of(server).steps.next()
        own_redis.start()
        aggregate.release()
        await handler.wait_for_tasks()
    assert len(handler.tasks) == 1


async def test_groups_that_wait_for_a_slot_are_not_combined_at_a_stop(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    names = [f"g{n}" for n in range(12)]
    aggregate = Joiner(hold=names)
    tasks = [Task("part", b"p", group=name) for name in names]
    async with make_server(redis_url, aggregate, group_max_size=1).running(Handler()):
        await client.enqueue_many(tasks)
        await aggregate.wait_for_calls(10)
        asyncio.get_running_loop().call_later(0.2, aggregate.release)
    assert len(aggregate.calls) == 10
    assert len(await queue.pending_ids()) == 10


async def test_a_broken_key_is_reported_and_does_not_end_the_aggregator(
    client: Client,
    redis_url: str,
    queue: RedisQueue,
    r: Redis,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await r.set(queue.key("aggregation_sets"), "wrong type")
    handler = Handler()
    async with make_server(redis_url, Joiner()).running(handler) as server:
        await add(client, b"a", b"b")
        await aggregator_of(server).groups_done.next()
        await r.delete(queue.key("aggregation_sets"))
        await handler.wait_for_tasks()
    assert "WRONGTYPE" in caplog.text


async def _ends_after(queue: RedisQueue, key: str, at_s: int) -> bool:
    return (await queue.reclaimed_at(key) or 0) > at_s


async def _is_empty(queue: RedisQueue) -> bool:
    return not await queue.members("g") and not await queue.set_keys()


async def _has(queue: QueueView, state: str, count: int) -> bool:
    return len(await queue.ids(state)) == count
