"""Servers and queues are in Redis as Go's tools read them."""

import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import cast

import pytest
from redis.asyncio import Redis

from pyasynq.broker import News
from pyasynq.broker.protobuf_records import server_record, worker_record
from pyasynq.broker.redis import RedisBroker, connect
from pyasynq.broker.redis.registry import RedisRegistry
from pyasynq.core.errors import BrokerError, BrokerUnavailableError
from pyasynq.core.policy import MAX_BYTES
from pyasynq.proto.asynq_pb2 import ServerInfo, WorkerInfo
from tests.broker.redis.stored_keys import record_calls, scored
from tests.support.clocks import ShiftedClock
from tests.support.factories import a_server, a_worker
from tests.support.notices import listening, next_notice
from tests.support.proxy import Proxy
from tests.support.servers import RedisServer, free_port
from tests.support.waiting import Lapse, wait_until

SERVER = a_server()
SERVER_KEY = "asynq:servers:{h:1:s}"
WORKERS_KEY = "asynq:workers:{h:1:s}"


async def test_queues_are_registered_once(r: Redis) -> None:
    registry = RedisRegistry(r)
    await registry.register(["q", "r"])
    await registry.register(["r"])
    assert await r.smembers("asynq:queues") == {b"q", b"r"}


async def test_a_server_registers_its_queues(broker: RedisBroker, r: Redis) -> None:
    await broker.registry.write_server(a_server(queues={"q": 1, "r": 2}), ttl_s=10)
    assert await r.smembers("asynq:queues") == {b"q", b"r"}


async def test_the_queues_of_a_server_that_cannot_be_listed_are_registered(
    broker: RedisBroker, r: Redis
) -> None:
    await r.set("asynq:servers", "no sorted set")
    with pytest.raises(BrokerError):
        await broker.registry.write_server(a_server(queues={"low": 1}), ttl_s=10)
    assert await r.smembers("asynq:queues") == {b"low"}
    await r.delete("asynq:servers")


async def test_a_server_is_shown_for_its_time(broker: RedisBroker, r: Redis) -> None:
    server = a_server("s", a_worker("1"))
    await broker.registry.write_server(server, ttl_s=10)
    assert ServerInfo.FromString(cast("bytes", await r.get(SERVER_KEY))) == server_record(server)
    assert 0 < await r.ttl(SERVER_KEY) <= 10
    assert 0 < await r.ttl(WORKERS_KEY) <= 10


async def test_a_server_is_listed_by_the_second_it_ends(
    broker: RedisBroker, r: Redis, lapse: Lapse
) -> None:
    await broker.registry.write_server(SERVER, ttl_s=10)
    servers, workers = await scored(r, "asynq:servers"), await scored(r, "asynq:workers")
    assert (servers.keys(), workers.keys()) == ({SERVER_KEY}, {WORKERS_KEY})
    assert servers[SERVER_KEY] == int(servers[SERVER_KEY])
    assert servers[SERVER_KEY] - 10 in lapse


async def test_workers_stand_under_the_ids_of_their_tasks(broker: RedisBroker, r: Redis) -> None:
    server = a_server("s", a_worker("1"), a_worker("2"))
    await broker.registry.write_server(server, ttl_s=10)
    found = cast("dict[bytes, bytes]", await r.hgetall(WORKERS_KEY))
    assert found.keys() == {b"1", b"2"}
    assert WorkerInfo.FromString(found[b"1"]) == worker_record(server, a_worker("1"))


async def test_a_worker_that_is_over_is_shown_no_more(broker: RedisBroker, r: Redis) -> None:
    await broker.registry.write_server(a_server("s", a_worker("1")), ttl_s=10)
    await broker.registry.write_server(a_server("s", a_worker("2")), ttl_s=10)
    assert await r.hkeys(WORKERS_KEY) == [b"2"]


async def test_hundreds_of_workers_are_shown(broker: RedisBroker, r: Redis) -> None:
    workers = [a_worker(str(n)) for n in range(1000)]
    await broker.registry.write_server(a_server("s", *workers), ttl_s=10)
    assert await r.hlen(WORKERS_KEY) == 1000


async def test_a_server_without_work_has_no_workers(broker: RedisBroker, r: Redis) -> None:
    await broker.registry.write_server(a_server("s", a_worker("1")), ttl_s=10)
    await broker.registry.write_server(SERVER, ttl_s=10)
    assert await r.exists(WORKERS_KEY) == 0


async def test_names_of_dead_servers_are_dropped(broker: RedisBroker, r: Redis) -> None:
    await r.zadd("asynq:servers", {"asynq:servers:{dead:1:s}": 1})
    await r.zadd("asynq:workers", {"asynq:workers:{dead:1:s}": 1})
    await broker.registry.write_server(SERVER, ttl_s=10)
    assert (await scored(r, "asynq:servers")).keys() == {SERVER_KEY}
    assert (await scored(r, "asynq:workers")).keys() == {WORKERS_KEY}


async def test_a_machine_whose_clock_is_fast_shows_no_other_as_dead(
    redis_url: str, r: Redis, lapse: Lapse
) -> None:
    soon_s = int(time.time()) + 10
    await r.zadd("asynq:servers", {"asynq:servers:{other:1:s}": soon_s})
    fast = connect(redis_url, ShiftedClock(wall=timedelta(days=1)))
    await fast.registry.write_server(SERVER, ttl_s=10)
    await fast.aclose()
    servers = await scored(r, "asynq:servers")
    assert servers["asynq:servers:{other:1:s}"] == soon_s
    assert servers[SERVER_KEY] - 10 in lapse


async def test_a_cleared_server_leaves_nothing_but_the_names_of_its_queues(
    broker: RedisBroker, r: Redis
) -> None:
    await broker.registry.write_server(a_server("s", a_worker("1")), ttl_s=10)
    await broker.registry.write_server(SERVER, ttl_s=0)
    assert await r.keys() == [b"asynq:queues"]


async def test_clearing_a_server_leaves_the_others(broker: RedisBroker, r: Redis) -> None:
    other = a_server("o", pid=2)
    await broker.registry.write_server(SERVER, ttl_s=10)
    await broker.registry.write_server(other, ttl_s=10)
    await broker.registry.write_server(SERVER, ttl_s=0)
    assert (await scored(r, "asynq:servers")).keys() == {"asynq:servers:{h:2:o}"}


async def test_running_tasks_of_a_server_are_read_a_megabyte_at_a_time(
    broker: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = [a_worker(str(n), payload=bytes(MAX_BYTES // 2)) for n in range(5)]
    await broker.registry.write_server(a_server("s", *workers), ttl_s=10)
    calls = record_calls(monkeypatch, "registry/read_workers")
    (info,) = await broker.registry.servers()
    assert sorted(worker.task_id for worker in info.active_workers) == ["0", "1", "2", "3", "4"]
    assert len(calls) == 3


async def test_workers_of_which_one_cannot_be_read_are_shown_anyway(
    broker: RedisBroker, r: Redis
) -> None:
    await broker.registry.write_server(a_server("s", a_worker("1")), ttl_s=10)
    await r.hset(WORKERS_KEY, "bad", b"\xff")
    (info,) = await broker.registry.servers()
    assert [worker.task_id for worker in info.active_workers] == ["1"]


# -- cancelations ----------------------------------------------------------------------------------


async def listeners(r: Redis) -> int:
    """Return the number of subscribers for cancelations."""
    ((_, count),) = await r.pubsub_numsub("asynq:cancel")
    return count


@pytest.mark.parametrize(
    ("published", "heard"), [("1", "1"), (b"a b", "a b"), (b"\xff", "\N{REPLACEMENT CHARACTER}")]
)
async def test_a_cancelation_of_a_peer_is_heard(
    published: str | bytes, heard: str, broker: RedisBroker, r: Redis
) -> None:
    async with listening(broker) as cancelations:
        await r.publish("asynq:cancel", published)
        assert await next_notice(cancelations) == heard


async def test_a_cancelation_is_published_as_the_bare_id(broker: RedisBroker, r: Redis) -> None:
    async with r.pubsub() as pubsub:
        await pubsub.subscribe("asynq:cancel")
        await pubsub.get_message(timeout=60)
        await broker.registry.cancel("1")
        notice = cast("dict[str, object]", await pubsub.get_message(timeout=60))
    assert notice["data"] == b"1"


async def test_a_listener_that_stops_is_unsubscribed(broker: RedisBroker, r: Redis) -> None:
    async with listening(broker):
        assert await listeners(r) == 1
    await wait_until(lambda: _nobody_listens(r))


async def _nobody_listens(r: Redis) -> bool:
    return await listeners(r) == 0


@pytest.mark.parametrize("protocol", [2, 3])
async def test_silence_is_no_cancelation(protocol: int, redis_url: str) -> None:
    broker = connect(f"{redis_url}?protocol={protocol}")
    async with listening(broker) as cancelations:
        assert [await anext(cancelations) for _ in range(5)] == [None] * 5
        await broker.registry.cancel("1")
        heard = [notice async for notice in _until(cancelations, "1")]
        assert {*heard} <= {None, "1"}
    await broker.aclose()


async def _until(notices: AsyncIterator[News | None], last: str) -> AsyncIterator[News | None]:
    async for notice in notices:
        yield notice
        if notice == last:
            return


async def test_listening_ends_with_an_error_when_nothing_comes_through_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with RedisServer(port=free_port()) as server:
        async with Proxy(server.port) as proxy:
            broker = connect(proxy.url)
            async with listening(broker) as cancelations:
                monkeypatch.setattr("pyasynq.broker.redis.registry.ANSWER_S", 0.1)
                proxy.freeze(b"SUBSCRIBE")
                with pytest.raises(BrokerUnavailableError, match="no sign of life"):
                    _ = [notice async for notice in cancelations]
            await broker.aclose()


async def test_listening_ends_with_an_error_when_redis_goes_away() -> None:
    with RedisServer() as server:
        broker = connect(server.url)
        async with listening(broker) as cancelations:
            server.kill()
            with pytest.raises(BrokerUnavailableError):
                await next_notice(cancelations)
        await broker.aclose()
