"""A server that is cancelled, however often and by whatever, still stops in order."""

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import anyio
import pytest
from redis.asyncio import Redis

from pyasynq import Client, Server, Task
from tests.server.aggregators import Joiner
from tests.server.handlers import Handler
from tests.support.queue_view import QueueView
from tests.support.waiting import wait_until

HOUR = timedelta(hours=1)


async def server_keys(r: Redis) -> list[bytes]:
    """Return the keys of the records of servers."""
    return [key async for key in r.scan_iter("asynq:servers:*")]


async def connections(r: Redis) -> int:
    """Return the number of connected clients."""
    return len(await r.client_list())


async def test_a_server_in_a_scope_that_is_cancelled_puts_its_tasks_back(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))
    handler = Handler(hold=True)
    with anyio.CancelScope() as scope:
        async with Server(redis_url).running(handler):
            await handler.wait_for_tasks()
            scope.cancel()
            await anyio.sleep_forever()
    assert handler.cancelled == [info.id]
    assert await queue.pending_ids() == [info.id]


async def test_a_server_in_a_scope_that_is_cancelled_leaves_nothing_behind(
    client: Client, redis_url: str, r: Redis
) -> None:
    await client.enqueue(Task("t"))
    before, handler = await connections(r), Handler(hold=True)
    with anyio.CancelScope() as scope:
        async with Server(redis_url).running(handler):
            await handler.wait_for_tasks()
            await wait_until(lambda: server_keys(r))
            scope.cancel()
            await anyio.sleep_forever()
    assert await server_keys(r) == []
    await wait_until(lambda: _holds(connections(r), before))


async def test_outcomes_are_written_though_the_scope_is_cancelled(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"), retention=HOUR)

    async def last(_task: object) -> None:
        began.set()
        try:
            await anyio.sleep_forever()
        except asyncio.CancelledError:
            return  # its work is done

    began = asyncio.Event()
    with anyio.CancelScope() as scope:
        async with Server(redis_url).running(last):
            await began.wait()
            scope.cancel()
            await anyio.sleep_forever()
    assert await queue.ids("completed") == [info.id]


async def test_one_cancellation_lets_running_tasks_end(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"), retention=HOUR)
    server, handler = Server(redis_url), Handler(hold=True)
    job = asyncio.create_task(server.run(handler))
    await handler.wait_for_tasks()
    job.cancel()
    await wait_until(lambda: server.state == "closed")
    handler.release()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert await queue.ids("completed") == [info.id]


async def test_a_second_cancellation_interrupts_them(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))
    server, handler = Server(redis_url, shutdown_timeout=HOUR), Handler(hold=True)
    job = asyncio.create_task(server.run(handler))
    await handler.wait_for_tasks()
    job.cancel()
    await wait_until(lambda: server.state == "closed")
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert handler.cancelled == [info.id]
    assert await queue.pending_ids() == [info.id]


async def test_a_timeout_around_a_server_is_raised_after_its_stop(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))
    handler = Handler(hold=True)

    async def work() -> None:
        async with asyncio.timeout(None) as limit:
            async with Server(redis_url, shutdown_timeout=timedelta()).running(handler):
                await handler.wait_for_tasks()
                limit.reschedule(0)
                await anyio.sleep_forever()

    with pytest.raises(TimeoutError):
        await work()
    assert await queue.pending_ids() == [info.id]


async def test_a_sibling_that_fails_ends_the_server_in_order(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))
    handler = Handler(hold=True)

    async def fail() -> None:
        await handler.wait_for_tasks()
        raise ValueError

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(Server(redis_url, shutdown_timeout=timedelta()).run(handler))
            group.create_task(fail())

    with pytest.raises(ExceptionGroup) as raised:
        await work()
    assert raised.group_contains(ValueError)
    assert await queue.pending_ids() == [info.id]


async def test_a_group_that_is_combined_is_put_back_though_the_scope_is_cancelled(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("part", group="g"))
    aggregate = Joiner(hold=["g"])
    server = Server(redis_url, group_aggregator=aggregate, group_max_size=1)
    with anyio.CancelScope() as scope:
        async with server.running(Handler()):
            await aggregate.wait_for_calls()
            scope.cancel()
            await anyio.sleep_forever()
    assert await queue.members("g") == [info.id]


# -- the end of the loop ---------------------------------------------------------------------------


Main = Callable[[Server, Handler], Coroutine[Any, Any, None]]


def run(main: Main, url: str) -> Handler:
    """Run *main* in a separate loop, which ends with it."""
    handler = Handler(hold=True)

    async def begin() -> None:
        server = Server(url, shutdown_timeout=HOUR)
        await main(server, handler)

    asyncio.run(begin())
    return handler


async def test_a_server_that_is_left_to_the_end_of_its_loop_puts_its_tasks_back(
    client: Client, redis_url: str, queue: QueueView, r: Redis
) -> None:
    async def leave(server: Server, handler: Handler) -> None:
        jobs.append(asyncio.create_task(server.run(handler)))
        await handler.wait_for_tasks()

    jobs: list[asyncio.Task[None]] = []
    info = await client.enqueue(Task("t", max_retry=0))
    await asyncio.to_thread(run, leave, redis_url)
    assert await queue.pending_ids() == [info.id]
    assert await server_keys(r) == []


async def test_a_server_whose_loop_ends_while_it_drains_puts_its_tasks_back(
    client: Client, redis_url: str, queue: QueueView, r: Redis
) -> None:
    async def leave(server: Server, handler: Handler) -> None:
        jobs.append(asyncio.create_task(server.run(handler)))
        await handler.wait_for_tasks()
        server.shut_down()
        await wait_until(lambda: server.state == "closed")

    jobs: list[asyncio.Task[None]] = []
    info = await client.enqueue(Task("t", max_retry=0))
    await asyncio.to_thread(run, leave, redis_url)
    assert await queue.pending_ids() == [info.id]
    assert await server_keys(r) == []


INTERRUPTED = """
import asyncio, sys
from pyasynq import Server

async def handle(task):
    raise KeyboardInterrupt

asyncio.run(Server(sys.argv[1]).run(handle))
"""


async def test_an_interrupt_in_a_handler_ends_the_loop_and_puts_its_task_back(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))
    args = (sys.executable, "-c", INTERRUPTED, redis_url)
    process = await asyncio.create_subprocess_exec(*args, stderr=asyncio.subprocess.DEVNULL)
    assert await process.wait() == -signal.SIGINT
    assert await queue.pending_ids() == [info.id]


async def _holds(answer: Coroutine[Any, Any, int], value: int) -> bool:
    return await answer == value
