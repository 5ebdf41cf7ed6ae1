"""Pools replace connections that broke while idle or during a call, and close unneeded ones."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from typing import Any, cast

import pytest
from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis

from pyasynq import Inspector
from pyasynq.broker.ports.semaphores import Token
from pyasynq.broker.redis import RedisBroker, connect
from pyasynq.broker.redis.connection import execute
from pyasynq.broker.redis.pool import Pool, is_gone
from pyasynq.core.compose import Plan
from pyasynq.core.errors import BrokerUnavailableError, TaskIDConflictError
from tests.broker.redis.stored_keys import SCRIPTS
from tests.support.factories import (
    a_grouped,
    a_pending,
    a_scheduled,
    create,
    dequeue,
    enqueue,
    retried,
    settle,
    take,
)
from tests.support.proxy import Proxy
from tests.support.servers import RedisCluster, RedisServer, free_port
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    """Yield a Redis on a port, behind which a proxy can stand; the scripts are loaded.

    So a lost answer is that of a script, not the error that it is not loaded.
    """
    with RedisServer(port=free_port()) as server:
        with closing(server.client()) as client:
            for script in SCRIPTS:
                client.script_load(script.lua)
        yield server


@pytest.fixture
async def proxy(redis_server: RedisServer) -> AsyncIterator[Proxy]:
    async with Proxy(redis_server.port) as proxy:
        yield proxy


@pytest.fixture
async def broker(proxy: Proxy) -> AsyncIterator[RedisBroker]:
    """Yield a broker with idle connections that has registered its queue."""
    broker = connect(proxy.url)
    await enqueue(broker, a_pending("before"))
    await asyncio.gather(*(broker.ping() for _ in range(3)))
    yield broker
    await broker.aclose()


@pytest.fixture
async def r(redis_server: RedisServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_server.url) as client:
        yield client


EVERY_END: list[Callable[[Proxy], None]] = [
    Proxy.hang_up,
    Proxy.reset,
    Proxy.forget,
    Proxy.lose_answers,
]
every_end = pytest.mark.parametrize("end", EVERY_END, ids=lambda end: end.__name__)


# -- a connection that died ------------------------------------------------------------------------


@every_end
@pytest.mark.parametrize("plan", [a_pending(), a_scheduled(), a_grouped()])
async def test_a_task_is_enqueued_once_though_connections_died(
    plan: Plan, end: Callable[[Proxy], None], proxy: Proxy, broker: RedisBroker
) -> None:
    end(proxy)
    await enqueue(broker, plan)
    (again,) = await create(broker, [plan])
    assert isinstance(again, TaskIDConflictError)


@every_end
async def test_many_tasks_are_enqueued_once_though_connections_died(
    end: Callable[[Proxy], None], proxy: Proxy, broker: RedisBroker, r: Redis
) -> None:
    end(proxy)
    await enqueue(broker, a_pending("1"), a_scheduled("2"), a_pending("3"))
    assert await r.lrange("asynq:{q}:pending", 0, -1) == [b"3", b"1", b"before"]
    assert await r.zrange("asynq:{q}:scheduled", 0, -1) == [b"2"]


@every_end
async def test_an_id_that_another_task_has_is_a_conflict_though_connections_died(
    end: Callable[[Proxy], None], proxy: Proxy, broker: RedisBroker
) -> None:
    await enqueue(broker, a_pending(payload=b"another"))
    end(proxy)
    (refused,) = await create(broker, [a_pending()])
    assert isinstance(refused, TaskIDConflictError)


@every_end
async def test_a_call_that_changes_nothing_is_sent_again(
    end: Callable[[Proxy], None], proxy: Proxy, broker: RedisBroker
) -> None:
    async with Inspector(proxy.url) as inspector:
        await asyncio.gather(*(inspector.queues() for _ in range(3)))
        end(proxy)
        await broker.ping()
        assert await inspector.queues() == ["q"]
        end(proxy)
        assert (await inspector.task_info("q", "before")).id == "before"
        end(proxy)
        assert (await inspector.queue_info("q")).pending == 1


@every_end
async def test_a_lease_is_extended_though_connections_died(
    end: Callable[[Proxy], None], proxy: Proxy, broker: RedisBroker
) -> None:
    leases = await take(broker)
    end(proxy)
    assert await broker.work.extend(leases, lease_s=30) == [True]


@every_end
async def test_a_token_is_taken_and_renewed_though_connections_died(
    end: Callable[[Proxy], None], proxy: Proxy, broker: RedisBroker
) -> None:
    token = Token(scope="s", holder="1")
    end(proxy)
    assert await broker.semaphores.acquire(token, limit=1, lease_s=30)
    end(proxy)
    assert await broker.semaphores.renew([token], lease_s=30) == []


async def test_tasks_are_not_asked_for_twice(proxy: Proxy, broker: RedisBroker) -> None:
    proxy.lose_answers()
    (result,) = await broker.work.dequeue({"q": 1}, owner="server/1", lease_s=30)
    assert isinstance(result.error, BrokerUnavailableError)
    assert await broker.work.undo_dequeue("q", result.owner) == 1


async def test_an_outcome_is_not_written_twice_without_its_owner_knowing(
    proxy: Proxy, broker: RedisBroker
) -> None:
    (lease,) = await take(broker)
    proxy.lose_answers()
    assert isinstance(await settle(broker, lease, retried(lease)), BrokerUnavailableError)


async def test_after_one_dead_connection_no_other_is_met(proxy: Proxy, broker: RedisBroker) -> None:
    proxy.forget()
    await broker.work.dequeue({"q": 1}, owner="server/1", lease_s=30)
    assert len(await dequeue(broker, {"q": 1}, owner="server/2")) == 1


@pytest.fixture
async def of_cluster(redis_cluster: RedisCluster) -> AsyncIterator[RedisBroker]:
    """Yield a broker that has idle connections to every node of a cluster."""
    broker = connect(redis_cluster.url)
    await enqueue(broker, *(a_pending(queue=f"q{n}") for n in range(20)))
    yield broker
    await broker.aclose()
    for node in redis_cluster.nodes:
        with closing(node.client()) as client:
            client.flushall()


def node_connections(broker: RedisBroker) -> list[Any]:
    nodes = cast("Any", broker._driver).get_nodes()
    return [connection for node in nodes for connection in node._connections]


async def test_a_node_that_closed_its_idle_connections_is_asked_on_a_new_one(
    of_cluster: RedisBroker, redis_cluster: RedisCluster
) -> None:
    for node in redis_cluster.nodes:
        with closing(node.client()) as client:
            client.client_kill_filter(_type="normal", skipme=True)
    await wait_until(lambda: all(map(is_gone, node_connections(of_cluster))))
    answers = await dequeue(of_cluster, {f"q{n}": 1 for n in range(5)})
    assert [len(result.leases) for result in answers] == [1] * 5


# -- unneeded connections --------------------------------------------------------------------------


@pytest.fixture
def pool(broker: RedisBroker) -> Pool:
    """Return the pool of the broker, with a new count of spare connections."""
    pool = cast("Pool", cast("Any", broker._driver).connection_pool)
    pool.sweep()
    return pool


async def test_connections_that_nobody_needed_are_closed(
    pool: Pool, proxy: Proxy, broker: RedisBroker
) -> None:
    before = proxy.count()
    await broker.ping()
    assert pool.sweep()
    await wait_until(lambda: proxy.count() == 1 < before)
    await broker.ping()
    assert proxy.count() == 1


async def test_the_last_connection_is_closed_when_nobody_needs_it(
    pool: Pool, proxy: Proxy, broker: RedisBroker
) -> None:
    assert not pool.sweep()
    await wait_until(lambda: proxy.count() == 0)
    await broker.ping()


async def test_connections_that_were_needed_at_once_stay(
    pool: Pool, proxy: Proxy, broker: RedisBroker
) -> None:
    await asyncio.gather(broker.ping(), broker.ping())
    assert pool.sweep()
    await wait_until(lambda: proxy.count() == 2)


async def test_sweeping_begins_and_ends_by_itself(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyasynq.broker.redis.pool.IDLE_S", 0.01)
    broker = connect(proxy.url)
    await broker.ping()
    await wait_until(lambda: proxy.count() == 0)
    await broker.ping()
    await wait_until(lambda: proxy.count() == 0)
    await broker.aclose()


async def test_of_a_nodes_connections_half_are_closed_each_time(
    monkeypatch: pytest.MonkeyPatch, of_cluster: RedisBroker
) -> None:
    cast("Any", of_cluster._driver).connection_kwargs["sweep_timer"].stop()
    monkeypatch.setattr("pyasynq.broker.redis.pool.IDLE_S", 0.01)
    await asyncio.gather(*(of_cluster.work.undo_dequeue(f"q{n}", "1") for n in range(20)))
    await wait_until(lambda: len(node_connections(of_cluster)) == 3)
    await dequeue(of_cluster, {f"q{n}": 1 for n in range(5)})


# -- limits ----------------------------------------------------------------------------------------


async def test_the_limit_of_redis_is_named_in_the_error() -> None:
    with RedisServer(maxclients="1") as server, closing(server.client()) as client:
        client.ping()
        broker = connect(server.url)
        with pytest.raises(BrokerUnavailableError, match="the limit is its own, maxclients"):
            await broker.ping()
        await broker.aclose()


@pytest.mark.parametrize("kind", [ConnectionPool, BlockingConnectionPool])
async def test_the_limit_of_the_users_pool_is_named_in_the_error(
    kind: type[ConnectionPool], redis_server: RedisServer
) -> None:
    pool = kind.from_url(redis_server.url, max_connections=1)
    async with Redis.from_pool(pool) as redis:
        await redis.ping()
        held = await pool.get_connection()
        with pytest.raises(BrokerUnavailableError, match="max_connections of the client's pool"):
            await execute(redis, "PING", timeout_s=0.05)
        await pool.release(held)


async def test_the_limit_of_a_nodes_pool_is_named_in_the_error(redis_cluster: RedisCluster) -> None:
    broker = connect(f"{redis_cluster.url}?max_connections=1")
    await broker.ping()
    answers = await asyncio.gather(
        *(broker.work.undo_dequeue("q", "1") for _ in range(2)), return_exceptions=True
    )
    await broker.aclose()
    assert "max_connections of the client's pool" in str(answers)
