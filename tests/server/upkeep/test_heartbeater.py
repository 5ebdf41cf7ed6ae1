"""Leases are kept, lost ones end their handlers, and the server can be seen."""

import asyncio
import time
from collections.abc import Sequence
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
from tests.server.handlers import Handler, crew_of
from tests.support.clocks import ShiftedClock
from tests.support.looking import QueueView, RedisQueue
from tests.support.waiting import Lapse, wait_until

TEN_SECONDS = timedelta(seconds=10)


class BrokenPath:
    """A process path on which nothing can be written."""

    async def settle(self, settled: Sequence[tuple[Lease, Verdict]]) -> list[bool | BrokerError]:
        return [BrokerUnavailableError("away")] * len(settled)


async def records(r: Redis, form: str) -> list[bytes]:
    """Return the keys that fit *form*."""
    return [key async for key in r.scan_iter(form)]


# -- leases ----------------------------------------------------------------------------------------


async def test_a_lease_is_extended_while_its_task_runs(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))
    handler = Handler(held=True)
    async with Server(redis_url, lease=TEN_SECONDS).running(handler):
        await handler.began()
        first = await queue.lease_end(info.id)
        await wait_until(lambda: _is_later(queue, info.id, first))
        handler.release()


async def test_a_lease_is_extended_though_the_server_cannot_be_shown(
    client: Client, redis_url: str, queue: QueueView, r: Redis
) -> None:
    info = await client.enqueue(Task("t"))
    handler = Handler(held=True)
    async with Server(redis_url, lease=TEN_SECONDS).running(handler):
        await handler.began()
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
            await crew_of(server).heartbeater.step()
        await r.delete("asynq:queues")
        assert await r.zcard("asynq:servers") == 1


class HangingPath:
    """A registry path on a node that does not answer."""

    async def write_server(self, server: Shown, *, ttl_s: int) -> None:
        await asyncio.Future[None]()


async def test_the_next_extension_does_not_wait_for_a_server_to_be_shown(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Server(redis_url).running(Handler()) as server:
        heartbeater = crew_of(server).heartbeater
        await heartbeater.steps.next()
        monkeypatch.setattr("pyasynq.server.upkeep.heartbeater.BEAT_S", 0.01)
        with monkeypatch.context() as patched:
            patched.setattr(heartbeater, "_registry", HangingPath())
            with pytest.raises(BrokerUnavailableError):
                await heartbeater.step()


async def test_a_server_with_a_wrong_clock_holds_leases_by_the_clock_of_redis(
    client: Client, redis_url: str, queue: QueueView, lapse: Lapse
) -> None:
    info = await client.enqueue(Task("t"))
    handler = Handler(held=True)
    server = Server(redis_url, lease=TEN_SECONDS, clock=ShiftedClock(wall=timedelta(hours=-1)))
    async with server.running(handler):
        await handler.began()
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
    handler = Handler(held=True)
    server = Server(redis_url, concurrency=2, queues={"one": 1, "two": 1}, lease=TEN_SECONDS)
    async with server.running(handler):
        await handler.began(2)
        first = await one.lease_end("x")
        await wait_until(lambda: _is_later(one, "x", first))
        await wait_until(lambda: _is_later(two, "x", first))
        handler.release()
    assert await one.ids("active") == await two.ids("active") == []


async def test_the_lease_of_an_outcome_that_cannot_be_written_is_extended(
    client: Client, redis_url: str, queue: QueueView, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = await client.enqueue(Task("t"))
    handler = Handler(held=True)
    async with Server(redis_url, lease=TEN_SECONDS).running(handler) as server:
        await handler.began()
        first = await queue.lease_end(info.id)
        with monkeypatch.context() as broken:
            broken.setattr(crew_of(server).completer, "_port", BrokenPath())
            handler.release()
            await wait_until(lambda: _is_later(queue, info.id, first))
    assert not await queue.exists(info.id)


async def test_a_handler_whose_task_a_go_worker_has_taken_over_is_stopped_at_the_next_beat(
    client: Client, redis_url: str, queue: RedisQueue, r: Redis
) -> None:
    info = await client.enqueue(Task("t"))
    handler = Handler(held=True)
    async with Server(redis_url).running(handler) as server:
        await handler.began()
        await r.zadd(queue.key("lease"), {info.id: int(time.time() + 60)})  # which is all Go writes
        await crew_of(server).heartbeater.step()
        assert await handler.was_cancelled() == [info.id]


async def test_a_handler_whose_task_was_taken_over_is_stopped_at_the_next_beat(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))
    handler = Handler(held=True)
    async with Server(redis_url).running(handler) as server:
        await handler.began()
        await queue.give_away(info.id)
        await crew_of(server).heartbeater.step()
        assert await handler.was_cancelled() == [info.id]


async def test_what_was_taken_over_is_left_as_it_is(
    client: Client, redis_url: str, queue: RedisQueue
) -> None:
    info = await client.enqueue(Task("t"))
    handler = Handler(held=True)
    async with Server(redis_url).running(handler) as server:
        await handler.began()
        await queue.give_away(info.id)
        await crew_of(server).heartbeater.step()
        await handler.was_cancelled()
    assert await queue.ids("active") == [info.id]
    assert await queue.fields(info.id) == {"state": "active", "owner": "somebody else"}


async def test_only_the_handler_whose_lease_is_lost_is_stopped(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    await client.enqueue(Task("t"), task_id="kept")
    await client.enqueue(Task("t"), task_id="lost")
    handler = Handler(held=True)
    async with Server(redis_url, concurrency=2).running(handler) as server:
        await handler.began(2)
        await queue.lose_lease("lost")
        await crew_of(server).heartbeater.step()
        await handler.was_cancelled()
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
    handler = Handler(held=True)
    async with Server(redis_url).running(handler) as server:
        await handler.began()
        await queue.lose_lease(info.id)
        await crew_of(server).heartbeater.step()
        await crew_of(server).heartbeater.step()
        await handler.was_cancelled()
    assert caplog.text.count("lease was lost") == 1


# -- records ---------------------------------------------------------------------------------------


async def test_a_running_server_shows_what_it_is(redis_url: str, r: Redis, lapse: Lapse) -> None:
    server = Server(
        redis_url, concurrency=7, queues={"high": 6, "low": 1}, strict_priority=True, server_id="me"
    )
    async with server.running(Handler()):
        await wait_until(lambda: records(r, "asynq:servers:*"))
        [key] = await records(r, "asynq:servers:*")
        info = ServerInfo.FromString(cast("bytes", await r.get(key)))
    assert (info.server_id, info.concurrency, dict(info.queues)) == ("me", 7, {"high": 6, "low": 1})
    assert (info.strict_priority, info.status) == (True, "active")
    assert info.start_time.seconds in lapse
    assert key.decode() == f"asynq:servers:{{{info.host}:{info.pid}:me}}"


async def test_the_queues_of_a_running_server_are_known(redis_url: str, r: Redis) -> None:
    async with Server(redis_url, queues={"high": 6, "low": 1}).running(Handler()):
        await wait_until(lambda: r.exists("asynq:queues"))
        assert await r.smembers("asynq:queues") == {b"high", b"low"}


async def test_the_records_outlive_a_dead_server_by_ten_seconds(
    redis_url: str, r: Redis, lapse: Lapse
) -> None:
    async with Server(redis_url).running(Handler()):
        await wait_until(lambda: records(r, "asynq:servers:*"))
        [key] = await records(r, "asynq:servers:*")
        assert 0 < await r.ttl(key) <= 10
        assert (await r.zscore("asynq:servers", key) or 0) - 10 in lapse


async def test_a_running_task_is_shown_with_its_worker(
    client: Client, redis_url: str, r: Redis
) -> None:
    info = await client.enqueue(Task("t", b"p" * 5000))
    handler = Handler(held=True)
    async with Server(redis_url, server_id="me").running(handler) as server:
        [task] = await handler.began()
        await crew_of(server).heartbeater.step()
        [key] = await records(r, "asynq:workers:*")
        worker = WorkerInfo.FromString(cast("bytes", await r.hget(key, info.id)))
        handler.release()
    assert (worker.task_id, worker.task_type, worker.queue) == (info.id, "t", "default")
    assert (worker.server_id, worker.task_payload) == ("me", b"p" * 4096)
    assert worker.deadline.ToDatetime(task.deadline.tzinfo) == task.deadline


async def test_of_many_running_tasks_the_oldest_are_shown_and_all_are_counted(
    client: Client, redis_url: str, r: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeater, "MOST_SHOWN", 2)
    handler = Handler(held=True)
    async with Server(redis_url).running(handler) as server:
        for number in (1, 2, 3):
            await client.enqueue(Task("t", task_id=str(number)))
            await handler.began(number)
        await crew_of(server).heartbeater.step()
        [workers] = await records(r, "asynq:workers:*")
        [shown] = await records(r, "asynq:servers:*")
        assert sorted(await r.hkeys(workers)) == [b"1", b"2"]
        info = ServerInfo.FromString(cast("bytes", await r.get(shown)))
        handler.release()
    assert info.active_worker_count == 3


async def test_of_the_payloads_of_many_running_tasks_less_is_shown(
    client: Client, redis_url: str, r: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeater, "SHOWN_PAYLOADS", 100)
    await client.enqueue_many([Task("t", b"p" * 5000, task_id="1"), Task("t", task_id="2")])
    handler = Handler(held=True)
    async with Server(redis_url).running(handler) as server:
        await handler.began(2)
        await crew_of(server).heartbeater.step()
        [key] = await records(r, "asynq:workers:*")
        worker = WorkerInfo.FromString(cast("bytes", await r.hget(key, "1")))
        handler.release()
    assert worker.task_payload == b"p" * 50


async def test_a_finished_task_is_shown_no_more(client: Client, redis_url: str, r: Redis) -> None:
    await client.enqueue(Task("t"))
    handler = Handler(held=True)
    async with Server(redis_url).running(handler) as server:
        await handler.began()
        await crew_of(server).heartbeater.step()
        handler.release()
        await wait_until(lambda: not crew_of(server).processor.runs)
        await crew_of(server).heartbeater.step()
        assert await records(r, "asynq:workers:*") == []


async def test_a_server_that_takes_no_more_is_shown_as_stopped(redis_url: str, r: Redis) -> None:
    async with Server(redis_url).running(Handler()) as server:
        server.stop()
        await crew_of(server).heartbeater.step()
        [key] = await records(r, "asynq:servers:*")
        assert ServerInfo.FromString(cast("bytes", await r.get(key))).status == "stopped"


async def test_a_server_that_has_ended_is_shown_no_more(redis_url: str, r: Redis) -> None:
    async with Server(redis_url).running(Handler()):
        await wait_until(lambda: records(r, "asynq:servers:*"))
    assert await records(r, "asynq:servers:*") == await records(r, "asynq:workers:*") == []
    assert await r.zcard("asynq:servers") == await r.zcard("asynq:workers") == 0


async def test_a_beat_drops_the_names_of_servers_that_died(redis_url: str, r: Redis) -> None:
    await r.zadd("asynq:servers", {"asynq:servers:{h:1:dead}": time.time() - 60})
    async with Server(redis_url).running(Handler()) as server:
        await crew_of(server).heartbeater.step()
        names = await r.zrange("asynq:servers", 0, -1)
    assert b"asynq:servers:{h:1:dead}" not in names


async def test_a_queue_that_others_removed_is_known_again_after_a_beat(
    redis_url: str, r: Redis
) -> None:
    async with Server(redis_url).running(Handler()) as server:
        await wait_until(lambda: r.exists("asynq:queues"))
        await r.delete("asynq:queues")
        await crew_of(server).heartbeater.step()
        assert await r.smembers("asynq:queues") == {b"default"}


async def _is_later(queue: QueueView, task_id: str, than: float | None) -> bool:
    return (await queue.lease_end(task_id) or 0) > (than or 0)
