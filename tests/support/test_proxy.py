"""The proxy, which other tests connect to one server or another."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as LostError

from tests.support.proxy import Proxy
from tests.support.servers import RedisServer, free_port
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def a() -> Iterator[RedisServer]:
    with RedisServer(port=free_port()) as server:
        yield server


@pytest.fixture(scope="module")
def b() -> Iterator[RedisServer]:
    with RedisServer(port=free_port()) as server:
        yield server


@pytest.fixture
async def proxy(a: RedisServer) -> AsyncIterator[Proxy]:
    async with Proxy(a.port) as proxy:
        yield proxy


@pytest.fixture
async def client(proxy: Proxy) -> AsyncIterator[Redis]:
    async with Redis.from_url(proxy.url, retry=Retry(NoBackoff(), 0)) as client:
        yield client


async def port(client: Redis) -> int:
    return (await client.info("server"))["tcp_port"]


async def test_bytes_are_passed(client: Redis, a: RedisServer) -> None:
    assert await port(client) == a.port


async def test_an_open_connection_stays_where_it_is(
    proxy: Proxy, client: Redis, a: RedisServer, b: RedisServer
) -> None:
    await client.ping()
    proxy.lead(b.port)
    assert await port(client) == a.port


async def test_a_new_connection_is_led_elsewhere(
    proxy: Proxy, client: Redis, b: RedisServer
) -> None:
    await client.ping()
    proxy.lead(b.port)
    await client.connection_pool.disconnect()
    assert await port(client) == b.port
    assert proxy.opened == 2


async def test_a_connection_that_is_led_nowhere_is_never_answered(
    proxy: Proxy, client: Redis
) -> None:
    proxy.lead(None)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.ping(), 0.1)


async def test_a_frozen_connection_says_nothing(proxy: Proxy, client: Redis) -> None:
    await client.ping()
    proxy.freeze()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.ping(), 0.1)


async def test_only_connections_that_said_something_are_frozen(proxy: Proxy, client: Redis) -> None:
    await client.ping()
    proxy.freeze(b"SUBSCRIBE")
    assert await client.ping()


async def test_a_reset_shows_at_the_call_under_way(proxy: Proxy, client: Redis) -> None:
    waiting = asyncio.ensure_future(client.blpop(["nothing"], timeout=0))
    await wait_until(lambda: proxy.count(b"BLPOP") == 1)
    proxy.reset()
    with pytest.raises(LostError):
        await waiting


async def test_connections_that_are_hung_up_are_gone(proxy: Proxy, client: Redis) -> None:
    await client.ping()
    proxy.hang_up()
    await wait_until(lambda: proxy.count() == 0)
