"""Delayed tasks never run early; the benchmarks measure how late they run."""

import math
import time
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from pyasynq import ActiveTask, Client, RetryIn, Server, Snooze, Task
from tests.server.handlers import Handler, first_queue_of
from tests.support.queue_view import QueueView, RedisQueue
from tests.support.waiting import wait_until

SECOND = timedelta(seconds=1)


class RecordingHandler:
    """A handler that records when each run begins; the first run raises *first*."""

    def __init__(self, first: Exception | None = None) -> None:
        self.times: list[float] = []
        self._first = first

    async def __call__(self, _task: ActiveTask) -> None:
        self.times.append(time.time())
        error, self._first = self._first, None
        if error is not None:
            raise error


async def test_a_scheduled_task_does_not_run_early(client: Client, redis_url: str) -> None:
    handler = RecordingHandler()
    async with Server(redis_url).running(handler):
        due = time.time() + 1
        await client.enqueue(Task("t"), process_in=SECOND)
        await wait_until(lambda: handler.times)
    assert handler.times[0] >= due


@pytest.mark.parametrize("error", [RetryIn(SECOND), Snooze(SECOND)], ids=["retry", "snooze"])
async def test_a_task_that_comes_back_does_not_come_back_early(
    error: Exception, client: Client, redis_url: str
) -> None:
    handler = RecordingHandler(error)
    await client.enqueue(Task("t"))
    async with Server(redis_url).running(handler):
        await wait_until(lambda: len(handler.times) == 2)
    assert handler.times[1] >= handler.times[0] + 1


async def test_a_task_that_is_due_when_the_server_starts_runs_at_once(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    await client.enqueue(Task("t"), task_id="x", process_in=timedelta(hours=1))
    await queue.make_due("x")
    handler = Handler()
    async with Server(redis_url).running(handler):
        await handler.wait_for_tasks()


async def test_a_task_that_is_not_due_stays(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"), process_in=timedelta(hours=1))
    async with Server(redis_url).running(Handler()) as server:
        await first_queue_of(server).forwarder.step()
    assert await queue.ids("scheduled") == [info.id]


async def test_hundreds_of_due_tasks_are_forwarded_in_one_step(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    await client.enqueue_many([Task("t") for _ in range(500)], process_in=timedelta(hours=1))
    await queue.make_due(*await queue.ids("scheduled"))
    async with Server(redis_url).running(Handler()) as server:
        await first_queue_of(server).forwarder.step()
        assert await queue.ids("scheduled") == []


async def test_the_forwarder_tells_when_the_next_task_is_due(
    client: Client, redis_url: str
) -> None:
    async with Server(redis_url).running(Handler()) as server:
        due = time.time() + 10
        await client.enqueue(Task("t"), process_in=timedelta(seconds=10))
        wait_s = await first_queue_of(server).forwarder.step()
    assert due - time.time() <= wait_s <= 11.1  # scores are whole seconds, rounded up


async def test_without_delayed_tasks_there_is_no_next_time(redis_url: str) -> None:
    async with Server(redis_url).running(Handler()) as server:
        assert await first_queue_of(server).forwarder.step() == math.inf


async def test_every_queue_is_forwarded(client: Client, redis_url: str, r: Redis) -> None:
    queues = {"one": 1, "two": 1}
    await client.enqueue(Task("t"), task_id="x", queue="one", process_in=timedelta(hours=1))
    await client.enqueue(Task("t"), task_id="x", queue="two", process_in=timedelta(hours=1))
    await RedisQueue(r, "one").make_due("x")
    await RedisQueue(r, "two").make_due("x")
    handler = Handler()
    async with Server(redis_url, queues=queues).running(handler):
        await handler.wait_for_tasks(2)
