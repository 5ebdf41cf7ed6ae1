"""Tasks whose retention is over are deleted."""

import time
from datetime import timedelta

from redis.asyncio import Redis

from pyasynq import Client, Server, SkipRetry, Task
from tests.server.handlers import Handler, first_queue_of, run_burst
from tests.support.queue_view import QueueView, RedisQueue
from tests.support.waiting import wait_until

HOUR = timedelta(hours=1)
DAY_S = 86_400


async def test_a_completed_task_goes_when_its_retention_is_over(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"), retention=timedelta(seconds=1))
    interval = timedelta(seconds=0.2)
    async with Server(redis_url, janitor_interval=interval).running(Handler()):
        await wait_until(lambda: queue.ids("completed"))
        await wait_until(lambda: _is_gone(queue, info.id))
    assert await queue.ids("completed") == []


async def test_a_completed_task_stays_for_its_retention(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"), retention=HOUR)
    await run_burst(Server(redis_url, burst=True), Handler())
    async with Server(redis_url).running(Handler()) as server:
        await first_queue_of(server).janitor.step()
    assert await queue.ids("completed") == [info.id]


async def test_one_step_deletes_all_expired_tasks_in_small_batches(
    client: Client, redis_url: str, queue: QueueView, r: Redis
) -> None:
    await client.enqueue_many([Task("t") for _ in range(50)], retention=HOUR)
    await run_burst(Server(redis_url, burst=True), Handler())
    await queue.make_due(*await queue.ids("completed"))
    async with Server(redis_url, janitor_batch_size=7).running(Handler()) as server:
        await first_queue_of(server).janitor.step()
    assert await queue.ids("completed") == []
    assert [key async for key in r.scan_iter("*:t:*")] == []


async def test_an_archived_task_goes_after_ninety_days(
    client: Client, redis_url: str, queue: RedisQueue, r: Redis
) -> None:
    await client.enqueue(Task("t"), task_id="old")
    await client.enqueue(Task("t"), task_id="young")
    await run_burst(Server(redis_url, burst=True), Handler(SkipRetry()))
    now = time.time()
    await r.zadd(queue.key("archived"), {"old": now - 91 * DAY_S, "young": now - 89 * DAY_S})
    async with Server(redis_url).running(Handler()) as server:
        await first_queue_of(server).janitor.step()
    assert await queue.ids("archived") == ["young"]
    assert not await queue.exists("old")


async def _is_gone(queue: QueueView, task_id: str) -> bool:
    return not await queue.exists(task_id)
