"""Leases are extended, lost ones stop their handlers, and inspectors see the server."""

import asyncio
import re
import time
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import cast

import pytest
from redis.asyncio import Redis

from pyasynq import BrokerError, BrokerUnavailableError, Client, Server, Task
from pyasynq.broker import Lease
from pyasynq.core.info import ServerInfo as Shown
from pyasynq.core.verdict import Verdict
from pyasynq.proto.asynq_pb2 import ServerInfo, WorkerInfo
from pyasynq.server.upkeep import heartbeater
from tests.server.handlers import Handler, actors_of
from tests.support.clocks import ShiftedClock
from tests.support.queue_view import QueueView, RedisQueue
from tests.support.waiting import Lapse, wait_until

TEN_SECONDS = timedelta(seconds=10)


class FailingWorkPort:
    """A work port on which nothing can be written."""

    async def settle(self, settled: Sequence[tuple[Lease, Verdict]]) -> list[bool | BrokerError]:
        return [BrokerUnavailableError("away")] * len(settled)


async def find_keys(r: Redis, form: str) -> list[bytes]:
    """Return the keys that match *form*."""
    return [key async for key in r.scan_iter(form)]


# -- leases ----------------------------------------------------------------------------------------


async def test_a_lease_is_extended_while_its_task_runs(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))
    handler = Handler(hold=True)
    async with Server(redis_url, lease=TEN_SECONDS).running(handler):
        await handler.wait_for_tasks()
        first = await queue.lease_end(info.id)
        await wait_until(lambda: _is_later(queue, info.id, first))
        handler.release()


async def test_a_lease_is_extended_although_the_record_cannot_be_written(
    client: Client, redis_url: str, queue: QueueView, r: Redis
) -> None:
    info = await client.enqueue(Task("t"))
    handler = Handler(hold=True)
    async with Server(redis_url, lease=TEN_SECONDS).running(handler):
        await handler.wait_for_tasks()
        await r.delete("asynq:servers")
        await r.set("asynq:servers", "no sorted set")
        first = await queue.lease_end(info.id)
        await wait_until(lambda: _is_later(queue, info.id, first))
        await r.delete("asynq:servers")
        handler.release()


async def test_a_server_is_shown_though_its_queues_cannot_be_registered(
    redis_url: str, r: Redis
) -> None:
    async with Server(redis_url).running(Handler()) as server:
        await r.delete("asynq:queues", "asynq:servers")
        await r.set("asynq:queues", "no set")
        with pytest.raises(BrokerError):
            await actors_of(server).heartbeater.step()
        await r.delete("asynq:queues")
        assert await r.zcard("asynq:servers") == 1


class HangingRegistryPort:
    """A registry port on a node that does not answer."""

    async def write_server(self, server: Shown, *, ttl_s: int, found: Collection[str] = ()) -> None:
        await asyncio.Future[None]()


async def test_a_server_that_stops_does_not_add_the_queues_of_patterns_again(
    client: Client, redis_url: str, r: Redis
) -> None:
    await client.enqueue(Task("t"), queue="tenant-1")
    async with Server(redis_url, queues={"tenant-*": 1}).running(Handler()) as server:
        heartbeater = actors_of(server).heartbeater
        await wait_until(lambda: "tenant-1" in heartbeater.info.queues)
        await r.srem("asynq:queues", "tenant-1")
        actors_of(server).stop()
        await heartbeater.step()
        assert await r.smembers("asynq:queues") == set()


async def test_the_next_extension_does_not_wait_for_the_record(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Server(redis_url).running(Handler()) as server:
        heartbeater = actors_of(server).heartbeater
        await heartbeater.steps.next()
        monkeypatch.setattr("pyasynq.server.upkeep.heartbeater.BEAT_S", 0.01)
        with monkeypatch.context() as patched:
            patched.setattr(heartbeater, "_registry", HangingRegistryPort())
            with pytest.raises(BrokerUnavailableError):
                await heartbeater.step()


async def test_a_server_with_a_wrong_clock_holds_leases_by_the_clock_of_redis(
    client: Client, redis_url: str, queue: QueueView, lapse: Lapse
) -> None:
    info = await client.enqueue(Task("t"))
    handler = Handler(hold=True)
    server = Server(redis_url, lease=TEN_SECONDS, clock=ShiftedClock(wall=timedelta(hours=-1)))
    async with server.running(handler):
        await handler.wait_for_tasks()
        first = await queue.lease_end(info.id)
        await wait_until(lambda: _is_later(queue, info.id, first))
        handler.release()
    assert first is not None
    assert first - 10 in lapse


async def test_the_same_id_in_two_queues_is_extended_in_both(
    client: Client, redis_url: str, r: Redis
) -> None:
    one, two = RedisQueue(r, "one"), RedisQueue(r, "two")
    await client.enqueue(Task("t"), task_id="x", queue="one")
    await client.enqueue(Task("t"), task_id="x", queue="two")
    handler = Handler(hold=True)
    server = Server(redis_url, concurrency=2, queues={"one": 1, "two": 1}, lease=TEN_SECONDS)
    async with server.running(handler):
        await handler.wait_for_tasks(2)
        first = await one.lease_end("x")
        await wait_until(lambda: _is_later(one, "x", first))
        await wait_until(lambda: _is_later(two, "x", first))
        handler.release()
    assert await one.ids("active") == await two.ids("active") == []


async def test_the_lease_of_an_outcome_that_cannot_be_written_is_extended(
    client: Client, redis_url: str, queue: QueueView, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = await client.enqueue(Task("t"))
    handler = Handler(hold=True)
    async with Server(redis_url, lease=TEN_SECONDS).running(handler) as server:
        await handler.wait_for_tasks()
        first = await queue.lease_end(info.id)
        with monkeypatch.context() as broken:
            broken.setattr(actors_of(server).completer, "_port", FailingWorkPort())
            handler.release()
            await wait_until(lambda: _is_later(queue, info.id, first))
    assert not await queue.exists(info.id)


async def test_a_handler_whose_task_a_go_worker_has_taken_over_is_stopped_at_the_next_beat(
    client: Client, redis_url: str, queue: RedisQueue, r: Redis
) -> None:
    info = await client.enqueue(Task("t"))
    handler = Handler(hold=True)
    async with Server(redis_url).running(handler) as server:
        await handler.wait_for_tasks()
        await r.zadd(
            queue.key("lease"), {info.id: int(time.time() + 60)}
        )  # Go writes no more than this
        await actors_of(server).heartbeater.step()
        assert await handler.wait_for_cancelled() == [info.id]


async def test_a_handler_whose_task_was_taken_over_is_stopped_at_the_next_beat(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))
    handler = Handler(hold=True)
    async with Server(redis_url).running(handler) as server:
        await handler.wait_for_tasks()
        await queue.take_over(info.id)
        await actors_of(server).heartbeater.step()
        assert await handler.wait_for_cancelled() == [info.id]


async def test_a_task_that_was_taken_over_is_not_changed(
    client: Client, redis_url: str, queue: RedisQueue
) -> None:
    info = await client.enqueue(Task("t"))
    handler = Handler(hold=True)
    async with Server(redis_url).running(handler) as server:
        await handler.wait_for_tasks()
        await queue.take_over(info.id)
        await actors_of(server).heartbeater.step()
        await handler.wait_for_cancelled()
    assert await queue.ids("active") == [info.id]
    assert await queue.fields(info.id) == {"state": "active", "owner": "somebody else"}


async def test_only_the_handler_whose_lease_is_lost_is_stopped(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    await client.enqueue(Task("t"), task_id="kept")
    await client.enqueue(Task("t"), task_id="lost")
    handler = Handler(hold=True)
    async with Server(redis_url, concurrency=2).running(handler) as server:
        await handler.wait_for_tasks(2)
        await queue.lose_lease("lost")
        await actors_of(server).heartbeater.step()
        await handler.wait_for_cancelled()
        handler.release()
    assert handler.cancelled == ["lost"]
    assert not await queue.exists("kept")


async def test_a_lost_lease_is_logged_once(
    client: Client,
    redis_url: str,
    queue: QueueView,
    caplog: pytest.LogCaptureFixture,
) -> None:
    info = await client.enqueue(Task("t"))
    handler = Handler(hold=True)
    async with Server(redis_url).running(handler) as server:
        await handler.wait_for_tasks()
        await queue.lose_lease(info.id)
        await actors_of(server).heartbeater.step()
        await actors_of(server).heartbeater.step()
        await handler.wait_for_cancelled()
    assert caplog.text.count("lease was lost") == 1


# -- records ---------------------------------------------------------------------------------------


async def test_the_record_of_a_running_server_has_its_settings(
    redis_url: str, r: Redis, lapse: Lapse
) -> None:
    server = Server(
        redis_url, concurrency=7, queues={"high": 6, "low": 1}, strict_priority=True, server_id="me"
    )
    async with server.running(Handler()):
        await wait_until(lambda: find_keys(r, "asynq:servers:*"))
        [key] = await find_keys(r, "asynq:servers:*")
        info = ServerInfo.FromString(cast("bytes", await r.get(key)))
    assert (info.server_id, info.concurrency, dict(info.queues)) == ("me", 7, {"high": 6, "low": 1})
    assert (info.strict_priority, info.status) == (True, "active")
    assert info.start_time.seconds in lapse
    assert key.decode() == f"asynq:servers:{{{info.host}:{info.pid}:me}}"


async def test_the_queues_of_a_running_server_are_known(redis_url: str, r: Redis) -> None:
    async with Server(redis_url, queues={"high": 6, "low": 1}).running(Handler()):
        await wait_until(lambda: r.exists("asynq:queues"))
        assert await r.smembers("asynq:queues") == {b"high", b"low"}


async def test_the_record_of_a_dead_server_expires_after_ten_seconds(
    redis_url: str, r: Redis, lapse: Lapse
) -> None:
    async with Server(redis_url).running(Handler()):
        await wait_until(lambda: find_keys(r, "asynq:servers:*"))
        [key] = await find_keys(r, "asynq:servers:*")
        assert 0 < await r.ttl(key) <= 10
        assert (await r.zscore("asynq:servers", key) or 0) - 10 in lapse


async def test_a_running_task_is_shown_with_its_worker(
    client: Client, redis_url: str, r: Redis
) -> None:
    info = await client.enqueue(Task("t", b"p" * 5000))
    handler = Handler(hold=True)
    async with Server(redis_url, server_id="me").running(handler) as server:
        [task] = await handler.wait_for_tasks()
        await actors_of(server).heartbeater.step()
        [key] = await find_keys(r, "asynq:workers:*")
        worker = WorkerInfo.FromString(cast("bytes", await r.hget(key, info.id)))
        handler.release()
    assert (worker.task_id, worker.task_type, worker.queue) == (info.id, "t", "default")
    assert (worker.server_id, worker.task_payload) == ("me", b"p" * 4096)
    assert worker.deadline.ToDatetime(task.deadline.tzinfo) == task.deadline


async def test_of_many_running_tasks_the_oldest_are_shown_and_all_are_counted(
    client: Client, redis_url: str, r: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeater, "MAX_WORKERS", 2)
    handler = Handler(hold=True)
    async with Server(redis_url).running(handler) as server:
        for number in (1, 2, 3):
            await client.enqueue(Task("t", task_id=str(number)))
            await handler.wait_for_tasks(number)
        await actors_of(server).heartbeater.step()
        [workers] = await find_keys(r, "asynq:workers:*")
        [shown] = await find_keys(r, "asynq:servers:*")
        assert sorted(await r.hkeys(workers)) == [b"1", b"2"]
        info = ServerInfo.FromString(cast("bytes", await r.get(shown)))
        handler.release()
    assert info.active_worker_count == 3


async def test_the_payloads_of_many_running_tasks_are_cut_shorter(
    client: Client, redis_url: str, r: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeater, "MAX_PAYLOADS", 100)
    await client.enqueue_many([Task("t", b"p" * 5000, task_id="1"), Task("t", task_id="2")])
    handler = Handler(hold=True)
    async with Server(redis_url).running(handler) as server:
        await handler.wait_for_tasks(2)
        await actors_of(server).heartbeater.step()
        [key] = await find_keys(r, "asynq:workers:*")
        worker = WorkerInfo.FromString(cast("bytes", await r.hget(key, "1")))
        handler.release()
    assert worker.task_payload == b"p" * 50


async def test_a_finished_task_is_shown_no_more(client: Client, redis_url: str, r: Redis) -> None:
    await client.enqueue(Task("t"))
    handler = Handler(hold=True)
    async with Server(redis_url).running(handler) as server:
        await handler.wait_for_tasks()
        await actors_of(server).heartbeater.step()
        handler.release()
        await wait_until(lambda: not actors_of(server).runner.runs)
        await actors_of(server).heartbeater.step()
        assert await find_keys(r, "asynq:workers:*") == []


async def test_a_server_that_takes_no_more_tasks_is_shown_as_stopped(
    redis_url: str, r: Redis
) -> None:
    async with Server(redis_url).running(Handler()) as server:
        server.stop()
        await actors_of(server).heartbeater.step()
        [key] = await find_keys(r, "asynq:servers:*")
        assert ServerInfo.FromString(cast("bytes", await r.get(key))).status == "stopped"


async def test_a_server_that_has_ended_is_shown_no_more(redis_url: str, r: Redis) -> None:
    async with Server(redis_url).running(Handler()):
        await wait_until(lambda: find_keys(r, "asynq:servers:*"))
    assert await find_keys(r, "asynq:servers:*") == await find_keys(r, "asynq:workers:*") == []
    assert await r.zcard("asynq:servers") == await r.zcard("asynq:workers") == 0


async def test_a_beat_drops_the_names_of_servers_that_died(redis_url: str, r: Redis) -> None:
    await r.zadd("asynq:servers", {"asynq:servers:{h:1:dead}": time.time() - 60})
    async with Server(redis_url).running(Handler()) as server:
        await actors_of(server).heartbeater.step()
        names = await r.zrange("asynq:servers", 0, -1)
    assert b"asynq:servers:{h:1:dead}" not in names


async def test_a_queue_that_others_removed_is_known_again_after_a_beat(
    redis_url: str, r: Redis
) -> None:
    async with Server(redis_url).running(Handler()) as server:
        await wait_until(lambda: r.exists("asynq:queues"))
        await r.delete("asynq:queues")
        await actors_of(server).heartbeater.step()
        assert await r.smembers("asynq:queues") == {b"default"}


# -- problems --------------------------------------------------------------------------------------


async def test_a_server_whose_record_was_not_written_for_long_is_not_ready(redis_url: str) -> None:
    clock = ShiftedClock()
    async with Server(redis_url, clock=clock).running(Handler()) as server:
        assert server.problem == "the server's record has not been written yet"
        await wait_until(lambda: server.problem is None)
        clock.passed = timedelta(minutes=1)
        assert re.fullmatch("the server's record was last written 6[01] s ago", server.problem)
        await actors_of(server).heartbeater.step()
        assert server.problem is None


async def test_a_server_that_cannot_extend_a_lease_is_not_ready(
    client: Client, redis_url: str, r: Redis, queue: RedisQueue
) -> None:
    await client.enqueue(Task("t"))
    handler = Handler(hold=True)
    async with Server(redis_url).running(handler) as server:
        await handler.wait_for_tasks()
        await wait_until(lambda: server.problem is None)
        lease = queue.key("lease")
        await r.rename(lease, "kept")
        await r.set(lease, "no sorted set")
        with pytest.raises(BrokerError):
            await actors_of(server).heartbeater.step()
        assert "WRONGTYPE" in str(server.problem)
        await r.rename("kept", lease)
        await actors_of(server).heartbeater.step()
        assert server.problem is None
        handler.release()


async def test_a_server_is_ready_while_one_of_its_queues_answers(redis_url: str, r: Redis) -> None:
    await r.set("asynq:{broken}:pending", "no list")
    async with Server(redis_url, queues={"broken": 1, "default": 1}).running(Handler()) as server:
        await wait_until(lambda: actors_of(server).processor.wakeups["broken"].error)
        await wait_until(lambda: server.problem is None)
    await r.delete("asynq:{broken}:pending")


async def _is_later(queue: QueueView, task_id: str, than: float | None) -> bool:
    return (await queue.lease_end(task_id) or 0) > (than or 0)
