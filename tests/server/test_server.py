"""A server starts, stops, and survives outages of Redis."""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from datetime import timedelta

import pytest
import uvloop
from redis.asyncio import Redis

from pyasynq import (
    ActiveTask,
    Client,
    Inspector,
    Mux,
    OptionError,
    Server,
    ServerStateError,
    Task,
)
from tests.server.handlers import Handler, actors_of, first_queue_of
from tests.support.queue_view import QueueView, RedisQueue
from tests.support.servers import PasswordRedis, RedisServer, free_port
from tests.support.waiting import wait_until

HOUR = timedelta(hours=1)


@asynccontextmanager
async def run(server: Server, handler: Handler) -> AsyncGenerator["asyncio.Task[None]"]:
    """Run *server* until a signal or the block ends it."""
    job = asyncio.create_task(server.run(handler))
    await wait_until(lambda: server.state == "active")
    try:
        yield job
    finally:
        server.shut_down()
        await asyncio.wait_for(job, 60)


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


# -- stopping --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_running_tasks_end(
    number: signal.Signals, client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"), retention=HOUR)
    server, handler = Server(redis_url), Handler(hold=True)
    async with run(server, handler) as job:
        await handler.wait_for_tasks()
        send(number)
        await wait_until(lambda: server.state == "closed")
        handler.release()
        await asyncio.wait_for(job, 60)
    assert await queue.ids("completed") == [info.id]
    assert handler.cancelled == []


async def test_a_broken_key_keeps_a_server_from_none_of_its_last_writes(
    client: Client, redis_url: str, r: Redis
) -> None:
    await client.enqueue(Task("t"))
    handler = Handler()
    async with Server(redis_url).running(handler):
        await handler.wait_for_tasks()
        await wait_until(lambda: r.exists("asynq:{default}:maintainer"))
        await r.set("asynq:servers", "wrong type")
    await r.delete("asynq:servers")
    assert not await r.exists("asynq:{default}:maintainer")
    async with Inspector(redis_url) as inspector:
        (stats,) = await inspector.type_stats()
    assert stats.succeeded == 1


async def test_after_a_signal_no_more_tasks_are_taken(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    await client.enqueue(Task("t"))
    server, handler = Server(redis_url, concurrency=5), Handler(hold=True)
    async with run(server, handler):
        await handler.wait_for_tasks()
        send(signal.SIGTERM)
        await wait_until(lambda: server.state == "closed")
        await client.enqueue(Task("t"), task_id="late")
        handler.release()
    assert await queue.pending_ids() == ["late"]


async def test_leases_are_kept_while_the_server_drains(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))
    server, handler = Server(redis_url, lease=timedelta(seconds=10)), Handler(hold=True)
    async with run(server, handler):
        await handler.wait_for_tasks()
        server.shut_down()
        first = await queue.lease_end(info.id)
        await wait_until(lambda: _is_later(queue, info.id, first))
        handler.release()


async def test_tasks_that_outlast_the_shutdown_timeout_go_back_unchanged_to_run_next(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    await client.enqueue(Task("t"), task_id="slow")
    server = Server(redis_url, concurrency=1, shutdown_timeout=timedelta(seconds=0.1))
    handler = Handler(hold=True)
    async with run(server, handler) as job:
        await handler.wait_for_tasks()
        before = (await queue.message("slow")).SerializeToString()
        await client.enqueue(Task("t"), task_id="other")
        send(signal.SIGTERM)
        await asyncio.wait_for(job, 60)
    assert await queue.pending_ids() == ["slow", "other"]
    assert (await queue.message("slow")).SerializeToString() == before
    assert handler.cancelled == ["slow"]


async def test_a_task_that_goes_back_at_shutdown_is_not_counted_and_calls_no_on_error(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    await client.enqueue(Task("t"))
    errors: list[Exception] = []
    server = Server(
        redis_url, shutdown_timeout=timedelta(), on_error=lambda _task, error: errors.append(error)
    )
    handler = Handler(hold=True)
    async with server.running(handler):
        await handler.wait_for_tasks()
    assert (await queue.count("processed"), await queue.count("failed"), errors) == (0, 0, [])


async def test_a_second_signal_ends_at_once(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))
    server, handler = Server(redis_url, shutdown_timeout=HOUR), Handler(hold=True)
    async with run(server, handler) as job:
        await handler.wait_for_tasks()
        send(signal.SIGTERM)
        await wait_until(lambda: server.state == "closed")
        send(signal.SIGTERM)
        await asyncio.wait_for(job, 60)
    assert await queue.pending_ids() == [info.id]


async def test_a_handler_that_does_not_stop_does_not_keep_the_server(
    client: Client, redis_url: str, queue: QueueView, caplog: pytest.LogCaptureFixture
) -> None:
    info = await client.enqueue(Task("t"))
    began, leave = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def handle(_task: ActiveTask) -> None:
        loop.call_soon_threadsafe(began.set)
        leave.wait(20)

    async with Server(redis_url, shutdown_timeout=timedelta()).running(handle):
        await began.wait()
    leave.set()
    assert await queue.pending_ids() == [info.id]
    assert "does not stop; the task runs again" in caplog.text


async def test_a_handler_that_ends_after_its_server_abandoned_it_settles_nothing(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))
    began, leave, ended = asyncio.Event(), threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def handle(_task: ActiveTask) -> None:
        loop.call_soon_threadsafe(began.set)
        leave.wait(20)

    async with Server(redis_url, shutdown_timeout=timedelta()).running(handle) as server:
        await began.wait()
        actors = actors_of(server)
        (job,) = [run.job for run in actors.runner.runs]
        assert job is not None
        job.add_done_callback(lambda _: ended.set())
        server.stop()  # or it would take the task again
        actors.runner.abandon()
        leave.set()
        await ended.wait()
        assert len(list(actors.completer.leases())) <= 1
    assert await queue.pending_ids() == [info.id]


async def test_sigtstp_takes_no_more_tasks_but_runs_on(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    await client.enqueue(Task("t"))
    server, handler = Server(redis_url, concurrency=5), Handler(hold=True)
    async with run(server, handler) as job:
        await handler.wait_for_tasks()
        send(signal.SIGTSTP)
        await wait_until(lambda: server.state == "stopped")
        await client.enqueue(Task("t"), task_id="late")
        handler.release()
        await wait_until(lambda: not handler.running)
        await actors_of(server).heartbeater.step()
        assert not job.done()
    assert await queue.pending_ids() == ["late"]


async def test_a_stopped_server_ends_at_a_signal(redis_url: str) -> None:
    server = Server(redis_url)
    async with run(server, Handler()) as job:
        server.stop()
        send(signal.SIGTERM)
        await asyncio.wait_for(job, 60)
    assert server.state == "closed"


async def test_an_idle_server_does_not_wait_for_its_shutdown_timeout(redis_url: str) -> None:
    server = Server(redis_url, shutdown_timeout=HOUR)
    async with run(server, Handler()) as job:
        await actors_of(server).processor.steps.next()
        server.shut_down()
        await asyncio.wait_for(job, 60)


async def test_signals_are_no_longer_handled_once_the_server_has_ended(redis_url: str) -> None:
    before = signal.getsignal(signal.SIGTERM)
    async with run(Server(redis_url), Handler()):
        pass
    assert signal.getsignal(signal.SIGTERM) == before


async def test_an_error_in_the_block_ends_the_server_and_comes_through(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    await client.enqueue(Task("t"))
    handler = Handler(hold=True)
    server = Server(redis_url, shutdown_timeout=timedelta())
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - bare or in a group
        await _fail_while_running(server, handler)
    assert "mine" in repr(caught.value)
    assert len(await queue.pending_ids()) == 1


async def _fail_while_running(server: Server, handler: Handler) -> None:
    async with server.running(handler):
        await handler.wait_for_tasks()
        msg = "mine"
        raise KeyError(msg)


# -- starting --------------------------------------------------------------------------------------


async def test_a_server_runs_once(redis_url: str) -> None:
    server = Server(redis_url)
    async with server.running(Handler()):
        pass
    with pytest.raises(ServerStateError, match="this one is closed"):
        await server.run(Handler())


async def test_a_server_that_runs_is_not_started_again(redis_url: str) -> None:
    server = Server(redis_url)
    async with server.running(Handler()):
        with pytest.raises(ServerStateError, match="this one is active"):
            await server.run(Handler())


async def test_something_that_is_no_handler_is_refused(redis_url: str) -> None:
    with pytest.raises(OptionError, match="a Mux or a function"):
        await Server(redis_url).run("handler")  # type: ignore[arg-type]


async def test_a_client_of_the_users_own_is_used_and_left_open(r: Redis, client: Client) -> None:
    await client.enqueue(Task("t"))
    handler = Handler()
    async with Server(r).running(handler):
        await handler.wait_for_tasks()
    assert await r.ping()


async def test_a_lifespan_is_open_while_tasks_run(client: Client, redis_url: str) -> None:
    steps: list[str] = []

    @asynccontextmanager
    async def lifespan() -> AsyncGenerator[None]:
        steps.append("opened")
        yield
        steps.append("closed")

    async def handle(task: ActiveTask) -> None:
        steps.append(task.id)

    await client.enqueue(Task("t"), task_id="ran")
    async with Server(redis_url, lifespan=lifespan).running(handle):
        await wait_until(lambda: "ran" in steps)
    assert steps == ["opened", "ran", "closed"]


async def test_an_error_of_the_lifespan_is_raised(redis_url: str) -> None:
    @asynccontextmanager
    async def lifespan() -> AsyncGenerator[None]:
        msg = "no database"
        raise KeyError(msg)
        yield

    with pytest.raises(KeyError, match="no database"):
        await Server(redis_url, lifespan=lifespan).run(Handler())


async def test_ping_answers_when_redis_does(redis_url: str) -> None:
    async with Server(redis_url).running(Handler()) as server:
        await server.ping()


# -- Redis -----------------------------------------------------------------------------------------


async def test_an_idle_server_takes_a_new_task(client: Client, redis_url: str) -> None:
    handler = Handler()
    async with Server(redis_url).running(handler) as server:
        await wait_until(lambda: not actors_of(server).processor.wakeups.ready())
        await client.enqueue(Task("t"))
        await handler.wait_for_tasks()


async def test_a_redis_that_is_away_at_the_start_is_waited_for(own_redis: RedisServer) -> None:
    own_redis.stop()
    handler = Handler()
    async with Server(own_redis.url).running(handler) as server:
        await actors_of(server).processor.steps.next()
        own_redis.start()
        async with Client(own_redis.url) as client:
            await client.enqueue(Task("t"))
            await handler.wait_for_tasks()


async def test_tasks_run_again_after_redis_was_away(own_redis: RedisServer) -> None:
    handler = Handler()
    async with Client(own_redis.url) as client, Server(own_redis.url).running(handler):
        await client.enqueue(Task("t"))
        await handler.wait_for_tasks(1)
        own_redis.restart()
        async with Client(own_redis.url) as another:
            await another.enqueue(Task("t"))
            await handler.wait_for_tasks(2)


@pytest.mark.usefixtures("short_blocks")
async def test_a_second_outage_of_redis_is_logged_like_the_first(
    own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pyasynq")
    async with Server(own_redis.url).running(Handler()) as server:
        own_redis.stop()
        await first_queue_of(server).maintainer.steps.next()
        own_redis.start()
        await wait_until(lambda: caplog.messages.count("Redis answers again") == 1)
        own_redis.stop()
        await first_queue_of(server).maintainer.steps.next()
        own_redis.start()
        await wait_until(lambda: caplog.messages.count("Redis answers again") == 2)
    assert caplog.text.count("trying again until it works") == 2


async def test_delayed_tasks_run_after_redis_was_away(own_redis: RedisServer) -> None:
    handler = Handler()
    async with Client(own_redis.url) as client, Server(own_redis.url).running(handler):
        await client.enqueue(Task("t"), process_in=timedelta(seconds=1))
        own_redis.restart()
        await handler.wait_for_tasks()


async def test_a_server_whose_redis_is_away_can_be_ended(own_redis: RedisServer) -> None:
    own_redis.stop()
    server = Server(own_redis.url)
    async with run(server, Handler()) as job:
        await first_queue_of(server).maintainer.steps.next()
        send(signal.SIGTERM)
        await asyncio.wait_for(job, 60)


@pytest.mark.usefixtures("short_blocks")
async def test_one_line_says_that_redis_is_away_and_one_that_it_is_back(
    own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pyasynq")
    handler = Handler()
    async with Client(own_redis.url) as client, Server(own_redis.url).running(handler) as server:
        await client.enqueue(Task("t"))
        await handler.wait_for_tasks()
        own_redis.stop()
        await first_queue_of(server).maintainer.steps.next()
        await first_queue_of(server).maintainer.steps.next()
        await first_queue_of(server).maintainer.steps.next()
        own_redis.start()
        await wait_until(lambda: "Redis answers again" in caplog.messages)
    assert caplog.text.count("trying again until it works") == 1
    assert caplog.messages.count("Redis answers again") == 1


async def test_nothing_spins_while_redis_is_away() -> None:
    attempts: list[None] = []

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        attempts.append(None)
        writer.close()

    port = free_port()
    async with await asyncio.start_server(hang_up, "127.0.0.1", port):
        async with Server(f"127.0.0.1:{port}", concurrency=100).running(Handler()) as server:
            await wait_until(lambda: first_queue_of(server).maintainer.steps.count >= 6)
    # Nine actors, each with waits that grow to two seconds, in about three seconds.
    assert len(attempts) < 120


async def test_a_redis_that_hangs_delays_tasks_and_loses_none(own_redis: RedisServer) -> None:
    handler = Handler()
    async with Client(own_redis.url) as client, Server(own_redis.url).running(handler) as server:
        await client.enqueue(Task("t"))
        await handler.wait_for_tasks(1)
        own_redis.pause()
        paused = asyncio.ensure_future(first_queue_of(server).maintainer.steps.next())
        enqueued = asyncio.ensure_future(client.enqueue(Task("t"), task_id="x"))
        await asyncio.wait({paused}, timeout=1)
        own_redis.resume()
        await enqueued
        await handler.wait_for_tasks(2)
    assert len(handler.tasks) == 2


async def test_scripts_that_redis_forgot_are_sent_again(
    client: Client, redis_url: str, r: Redis, queue: QueueView
) -> None:
    handler = Handler(hold=True)
    async with Server(redis_url).running(handler):
        await client.enqueue_many([Task("t"), Task("t", retention=HOUR)])
        await handler.wait_for_tasks()
        await r.script_flush()
        handler.release()
        await client.enqueue(Task("t"))
        await handler.wait_for_tasks(3)
        await wait_until(lambda: queue.ids("completed"))
    assert await queue.ids("active") == []


async def test_a_server_works_on_after_redis_was_emptied(
    client: Client, redis_url: str, r: Redis
) -> None:
    handler = Handler(hold=True)
    async with Server(redis_url).running(handler) as server:
        await client.enqueue(Task("t"))
        await handler.wait_for_tasks()
        await r.flushall()
        handler.release()
        await client.enqueue(Task("t"), task_id="next")
        await wait_until(lambda: "next" in handler.ids)
        await actors_of(server).heartbeater.step()
        assert await r.smembers("asynq:queues") == {b"default"}


async def test_a_full_redis_does_not_keep_outcomes_from_being_written(
    own_redis: RedisServer,
) -> None:
    handler = Handler(hold=True)
    async with Client(own_redis.url) as client, Redis.from_url(own_redis.url) as r:
        info = await client.enqueue(Task("t"))
        async with Server(own_redis.url).running(handler):
            await handler.wait_for_tasks()
            await r.config_set("maxmemory", 1)
            handler.release()
            await wait_until(lambda: _is_gone(RedisQueue(r), info.id))


async def _is_later(queue: QueueView, task_id: str, than: float | None) -> bool:
    return (await queue.lease_end(task_id) or 0) > (than or 0)


async def _is_gone(queue: QueueView, task_id: str) -> bool:
    return not await queue.exists(task_id)


# -- the log ---------------------------------------------------------------------------------------


async def test_start_and_stop_are_logged_without_the_password(
    redis_with_password: PasswordRedis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pyasynq")
    mux = Mux()
    mux.handle("t")(Handler())
    server = Server(
        redis_with_password.url, server_id="me", queues={"high": 6, "low": 1}, concurrency=7
    )
    async with server.running(mux):
        pass
    place = redis_with_password.url.rpartition("@")[2]
    assert caplog.messages == [
        f"server me starts: redis://{place}, queues high=6 low=1, 7 at once, task types: 1",
        "server me has stopped",
    ]


async def test_a_signal_reaches_every_server_of_the_loop(redis_url: str) -> None:
    first, second = Server(redis_url), Server(redis_url)
    async with run(first, Handler()) as one, run(second, Handler()) as other:
        send(signal.SIGTERM)
        await asyncio.wait_for(asyncio.gather(one, other), 20)


async def test_a_server_handles_signals_after_another_has_ended(redis_url: str) -> None:
    first, second = Server(redis_url), Server(redis_url)
    async with run(second, Handler()) as other:
        async with run(first, Handler()):
            pass
        send(signal.SIGTERM)
        await asyncio.wait_for(other, 20)


# -- connections -----------------------------------------------------------------------------------


async def test_a_server_needs_a_connection_for_each_queue_and_a_few_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "pyasynq.runtime.concurrency_limit.LONGEST_S", 60
    )  # on a slow machine all takes long
    queues = {f"q{n}": 1 for n in range(30)}
    with RedisServer() as own_redis, closing(own_redis.client()) as client:
        server = Server(own_redis.url, queues=queues)
        async with server.running(Handler()):
            await wait_until(lambda: client.info("clients")["blocked_clients"] == len(queues))
            maintainers = [one.maintainer for one in actors_of(server).queues.by_queue.values()]
            await asyncio.gather(*(maintainer.steps.next() for maintainer in maintainers))
            assert client.info("clients")["connected_clients"] <= len(queues) + 10


async def test_a_server_at_rest_keeps_three_connections_beside_those_of_its_queues(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pyasynq.runtime.concurrency_limit.LONGEST_S", 60)
    monkeypatch.setattr("pyasynq.broker.redis.pool.IDLE_S", 0.5)
    queues = {f"q{n}": 1 for n in range(30)}
    with RedisServer() as own_redis, closing(own_redis.client()) as client:
        async with Server(own_redis.url, queues=queues).running(Handler()):
            await wait_until(lambda: client.info("clients")["blocked_clients"] == len(queues))
            most = len(queues) + 3 + 1  # the last one is the test's
            await wait_until(lambda: client.info("clients")["connected_clients"] <= most)


def test_a_server_runs_on_uvloop(redis_url: str) -> None:
    handler = Handler()

    async def work() -> None:
        async with Client(redis_url) as client:
            await client.enqueue(Task("t"))
        await Server(redis_url, burst=True).run(handler)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work())
    assert len(handler.tasks) == 1
