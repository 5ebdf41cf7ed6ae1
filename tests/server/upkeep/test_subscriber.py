"""Operators cancel running tasks."""

import asyncio
import sys
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from pyasynq import ActiveTask, Client, Server, SkipRetry, Task
from tests.server.handlers import Handler, actors_of, wait_until_cancelled
from tests.support.proxy import Proxy
from tests.support.queue_view import QueueView
from tests.support.servers import RedisServer, free_port
from tests.support.waiting import wait_until

CANCEL = "asynq:cancel"


async def is_listening(r: Redis) -> bool:
    """Return whether a server listens for cancelations."""
    [(_, count)] = await r.pubsub_numsub(CANCEL)
    return count > 0


async def test_a_canceled_task_is_stopped_and_retried(
    client: Client, redis_url: str, queue: QueueView, r: Redis
) -> None:
    info = await client.enqueue(Task("t"))
    handler = Handler(hold=True)
    async with Server(redis_url).running(handler):
        await handler.wait_for_tasks()
        await wait_until(lambda: is_listening(r))
        await r.publish(CANCEL, info.id)
        assert await handler.wait_for_cancelled() == [info.id]
    message = await queue.message(info.id)
    assert (message.retried, message.error_msg) == (1, "context canceled")


async def test_only_the_canceled_task_is_stopped(
    client: Client, redis_url: str, queue: QueueView, r: Redis
) -> None:
    await client.enqueue(Task("t"), task_id="canceled")
    await client.enqueue(Task("t"), task_id="other")
    handler = Handler(hold=True)
    async with Server(redis_url, concurrency=2).running(handler):
        await handler.wait_for_tasks(2)
        await wait_until(lambda: is_listening(r))
        await r.publish(CANCEL, "canceled")
        await handler.wait_for_cancelled()
        handler.release()
    assert handler.cancelled == ["canceled"]
    assert not await queue.exists("other")


async def test_a_plain_function_sees_its_cancelation(
    client: Client, redis_url: str, queue: QueueView, r: Redis
) -> None:
    info = await client.enqueue(Task("t"))
    began = asyncio.Event()
    loop = asyncio.get_running_loop()

    def handle(task: ActiveTask) -> None:
        loop.call_soon_threadsafe(began.set)
        wait_until_cancelled(task)
        raise SkipRetry

    async with Server(redis_url).running(handle):
        await began.wait()
        await wait_until(lambda: is_listening(r))
        await r.publish(CANCEL, info.id)
        await wait_until(lambda: queue.ids("archived"))


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="a handler begins as its task is taken")
async def test_a_task_that_is_canceled_before_its_handler_began_frees_its_slot(
    client: Client, redis_url: str, queue: QueueView, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = await client.enqueue(Task("t"))
    handler = Handler()
    server = Server(redis_url, concurrency=1)
    port = server._broker.work
    dequeue = port.dequeue

    async def dequeue_and_cancel(*args: object, **kwargs: object) -> object:
        taken = await dequeue(*args, **kwargs)  # type: ignore[arg-type]
        asyncio.get_running_loop().call_soon(actors_of(server).runner.cancel, info.id)
        return taken

    monkeypatch.setattr(port, "dequeue", dequeue_and_cancel)
    async with server.running(handler):
        await wait_until(lambda: queue.ids("retry"))
        await client.enqueue(Task("t"), task_id="next")
        await wait_until(lambda: "next" in handler.ids)


async def test_the_id_of_a_task_that_does_not_run_here_is_ignored(
    client: Client, redis_url: str, r: Redis
) -> None:
    handler = Handler()
    async with Server(redis_url).running(handler) as server:
        await wait_until(lambda: is_listening(r))
        passed = asyncio.ensure_future(actors_of(server).subscriber.steps.next())
        await r.publish(CANCEL, b"\xff elsewhere")
        await passed
        await client.enqueue(Task("t"))
        await handler.wait_for_tasks()


async def test_cancelations_are_received_again_after_redis_was_away(own_redis: RedisServer) -> None:
    handler = Handler(hold=True)
    async with Client(own_redis.url) as client, Redis.from_url(own_redis.url) as r:
        async with Server(own_redis.url, shutdown_timeout=timedelta()).running(handler):
            await wait_until(lambda: is_listening(r))
            own_redis.restart()
            info = await client.enqueue(Task("t"))
            await handler.wait_for_tasks()
            await wait_until(lambda: is_listening(r))
            await r.publish(CANCEL, info.id)
            assert await handler.wait_for_cancelled() == [info.id]


async def test_a_server_whose_subscription_went_dead_listens_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pyasynq.broker.redis.registry.LISTEN_S", 0.02)
    handler = Handler(hold=True)
    with RedisServer(port=free_port()) as redis:
        async with Proxy(redis.port) as proxy, Client(proxy.url) as client:
            async with Server(proxy.url).running(handler), Redis.from_url(redis.url) as r:
                info = await client.enqueue(Task("t"))
                await handler.wait_for_tasks()
                await wait_until(lambda: is_listening(r))
                monkeypatch.setattr("pyasynq.broker.redis.registry.ANSWER_S", 0.2)
                proxy.freeze(b"SUBSCRIBE")
                await wait_until(lambda: proxy.count(b"SUBSCRIBE") > 1)
                await wait_until(lambda: cancel_and_check(r, info.id, handler))
    warnings = [record for record in caplog.records if "no sign of life" in record.message]
    assert len(warnings) == 1


async def cancel_and_check(r: Redis, task_id: str, handler: Handler) -> bool:
    """Cancel a task; return whether its handler was cancelled."""
    await r.publish(CANCEL, task_id)
    return handler.cancelled == [task_id]


async def test_a_server_looks_what_operators_want_whenever_it_begins_to_listen(
    own_redis: RedisServer,
) -> None:
    async with Server(own_redis.url).running(Handler()) as server:
        controller = actors_of(server).controller
        await wait_until(lambda: controller.steps.count == 2)  # its first, and that of the message
        own_redis.restart()
        await wait_until(lambda: controller.steps.count > 2)
