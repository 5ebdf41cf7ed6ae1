"""Redis is found while some sentinels or cluster nodes hang or are down."""

import ssl
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, cast
from urllib.parse import urlencode

import pytest
from redis.crc import key_slot

from pyasynq.broker.redis.address import close_driver, open_driver
from pyasynq.broker.redis.connection import Driver, execute
from pyasynq.core.errors import BrokerAuthError, BrokerUnavailableError
from tests.support.servers import (
    Certificates,
    RedisCluster,
    RedisSentinel,
    RedisServer,
    free_port,
)

pytestmark = pytest.mark.usefixtures("short_head_start")


@pytest.fixture
def short_head_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask the next server sooner than in production."""
    monkeypatch.setattr("pyasynq.broker.redis.discovery.HEAD_START_S", 0.05)


@pytest.fixture
def short_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up sooner than in production."""
    monkeypatch.setattr("pyasynq.broker.redis.discovery.TIMEOUT_S", 0.3)


@asynccontextmanager
async def opened(url: str) -> AsyncGenerator[Driver]:
    driver = open_driver(url)
    yield driver
    await close_driver(driver)


@contextmanager
def hanging(server: RedisServer) -> Generator[None]:
    server.pause()
    yield
    server.resume()


# -- sentinels -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def primary() -> Iterator[RedisServer]:
    with RedisServer(port=free_port()) as server:
        yield server


@pytest.fixture
def sentinels(primary: RedisServer) -> Iterator[tuple[RedisServer, RedisServer]]:
    """Yield two sentinels of one primary that do not know each other."""
    watched = f"monitor {RedisSentinel.NAME} 127.0.0.1 {primary.port} 9"
    with (
        RedisServer(port=free_port(), sentinel=[watched, "deny-scripts-reconfig yes"]) as first,
        RedisServer(port=free_port(), sentinel=[watched, "deny-scripts-reconfig yes"]) as second,
    ):
        yield first, second


def address(*sentinels: RedisServer, query: str = "") -> str:
    places = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in sentinels)
    return f"redis-sentinel://{places}?master={RedisSentinel.NAME}{query}"


async def test_a_sentinel_that_hangs_is_passed_over(
    sentinels: tuple[RedisServer, RedisServer],
) -> None:
    first, second = sentinels
    async with opened(address(first, second)) as driver:
        with hanging(first):
            assert await execute(driver, "PING")


async def test_the_sentinel_that_answered_is_asked_first(
    sentinels: tuple[RedisServer, RedisServer],
) -> None:
    first, second = sentinels
    async with opened(address(first, second)) as driver:
        with hanging(first):
            await execute(driver, "PING")
        clients = cast("Any", driver).connection_pool.sentinel_manager.sentinels
    ports = [client.connection_pool.connection_kwargs["port"] for client in clients]
    assert ports == [second.port, first.port]


@pytest.mark.usefixtures("short_timeout")
async def test_when_no_sentinel_answers_the_error_has_the_reason_of_each(
    sentinels: tuple[RedisServer, RedisServer],
) -> None:
    first, second = sentinels
    second.kill()
    async with opened(address(first, second)) as driver:
        with hanging(first), pytest.raises(BrokerUnavailableError) as failure:
            await execute(driver, "PING")
    text = str(failure.value)
    assert text.startswith(
        f"Redis: No master found for 'mymaster': 127.0.0.1:{first.port}: no answer in time; "
        f"127.0.0.1:{second.port}: Error 111 connecting to"
    )
    assert text.endswith("(check the sentinels' addresses and the name in ?master=)")


async def test_a_primary_that_no_sentinel_knows_is_reported(
    sentinels: tuple[RedisServer, RedisServer],
) -> None:
    async with opened(address(*sentinels).replace("mymaster", "other")) as driver:
        with pytest.raises(BrokerUnavailableError, match=r"'other': .* knows no primary of this"):
            await execute(driver, "PING")


async def test_a_plain_redis_taken_for_a_sentinel_is_reported(primary: RedisServer) -> None:
    async with opened(address(primary)) as driver:
        with pytest.raises(BrokerUnavailableError, match="this Redis is no sentinel: use"):
            await execute(driver, "PING")


async def test_a_password_that_sentinels_do_not_know_is_reported(
    sentinels: tuple[RedisServer, RedisServer],
) -> None:
    url = address(*sentinels).replace("//", "//nobody:secret@", 1)
    async with opened(url) as driver:
        with pytest.raises(BrokerAuthError, match=r"127\.0\.0\.1:\d+: invalid username-password"):
            await execute(driver, "PING")


async def test_the_database_counts_behind_sentinels(
    sentinels: tuple[RedisServer, RedisServer], primary: RedisServer
) -> None:
    async with opened(address(*sentinels, query="&db=3")) as driver:
        await execute(driver, "SET", "key", "three")
    async with opened(f"{primary.url}/3") as driver:
        assert await execute(driver, "GETDEL", "key") == b"three"


async def test_the_limit_for_answers_counts_behind_sentinels(
    sentinels: tuple[RedisServer, RedisServer], primary: RedisServer
) -> None:
    async with opened(address(*sentinels, query="&socket_timeout=0.3")) as driver:
        await execute(driver, "PING")
        with hanging(primary), pytest.raises(BrokerUnavailableError, match="Timeout reading"):
            await execute(driver, "PING")


@pytest.fixture(scope="module")
def tls_sentinel() -> Iterator[tuple[RedisServer, Certificates]]:
    """Yield a sentinel and a primary with TLS, both certified by one private authority."""
    certificates = Certificates.make()
    tls: dict[str, Any] = {
        "binary": "redis-server",
        "tls_ca_cert_file": str(certificates.authority),
        "tls_cert_file": str(certificates.server),
        "tls_key_file": str(certificates.server),
        "tls_replication": "yes",
        "tls_auth_clients": "no",
    }
    port = free_port()
    with RedisServer(tls_port=str(port), **tls):
        watched = [f"monitor {RedisSentinel.NAME} 127.0.0.1 {port} 1"]
        sentinel = RedisServer(tls_port=str(free := free_port()), sentinel=watched, **tls)
        sentinel.port = free
        with sentinel:
            yield sentinel, certificates


async def test_an_authority_of_ones_own_is_enough_for_sentinels_and_primary(
    tls_sentinel: tuple[RedisServer, Certificates],
) -> None:
    sentinel, certificates = tls_sentinel
    query = "&" + urlencode({"ssl_ca_certs": certificates.authority})
    async with opened(address(sentinel, query=query).replace("redis-", "rediss-", 1)) as driver:
        assert await execute(driver, "PING")


async def test_a_strange_certificate_of_a_sentinel_is_reported(
    tls_sentinel: tuple[RedisServer, Certificates],
) -> None:
    sentinel, _ = tls_sentinel
    async with opened(address(sentinel).replace("redis-", "rediss-", 1)) as driver:
        with pytest.raises(BrokerUnavailableError, match="certificate verify failed"):
            await execute(driver, "PING")


# -- clusters --------------------------------------------------------------------------------------


def nodes_of(cluster: RedisCluster) -> str:
    return "redis-cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in cluster.nodes)


def key_on(cluster: RedisCluster, number: int) -> str:
    """Return a key in a slot of the node *number*."""
    keys = (f"key{n}" for n in range(1000))
    share = cluster.SLOTS / cluster.NODES
    return next(key for key in keys if key_slot(key.encode()) // share == number)


@pytest.mark.parametrize("number", range(RedisCluster.NODES))
@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
async def test_a_node_that_hangs_keeps_nobody_from_the_others(
    number: int, name: str, redis_cluster: RedisCluster
) -> None:
    key = key_on(redis_cluster, (number + 1) % redis_cluster.NODES)
    async with opened(nodes_of(redis_cluster).replace("127.0.0.1", name)) as driver:
        with hanging(redis_cluster.nodes[number]):
            assert await execute(driver, "GET", key) is None


async def test_after_a_node_that_hangs_the_cluster_is_asked_for_its_slots(
    redis_cluster: RedisCluster,
) -> None:
    async with opened(redis_cluster.url) as driver:
        key, other = (key_on(redis_cluster, number) for number in (1, 0))
        await execute(driver, "GET", key)
        nodes = cast("Any", driver).nodes_manager
        with hanging(redis_cluster.nodes[1]):
            with pytest.raises(BrokerUnavailableError, match="no answer in time"):
                await execute(driver, "GET", key, timeout_s=0.1)
            known = nodes.slots_cache
            await execute(driver, "GET", other)
            assert nodes.slots_cache is not known


@pytest.mark.usefixtures("short_timeout")
async def test_when_no_node_answers_the_error_has_the_reason_of_each(
    redis_cluster: RedisCluster,
) -> None:
    hangs, gone = redis_cluster.nodes[0], free_port()
    async with opened(f"redis-cluster://127.0.0.1:{hangs.port},[::1]:{gone}") as driver:
        with hanging(hangs), pytest.raises(BrokerUnavailableError) as failure:
            await execute(driver, "GET", "key")
    text = str(failure.value)
    assert text.startswith("Redis: No node of the cluster answers: ")
    assert f"127.0.0.1:{hangs.port}: no answer in time" in text
    assert f"::1:{gone}: Error 111 connecting to" in text


def test_settings_of_tls_reach_each_node_of_a_cluster() -> None:
    cluster: Any = open_driver("rediss-cluster://a,b?ssl_cert_reqs=none&ssl_server_name=s")
    nodes = cluster.nodes_manager.startup_nodes.values()
    connections = [node.connection_class(**node.connection_kwargs) for node in nodes]
    assert [each.cert_reqs for each in connections] == [ssl.CERT_NONE] * 2


def test_defaults_of_an_address_are_those_of_the_guide() -> None:
    alone: Any = open_driver("redis://h")
    behind: Any = open_driver("redis-sentinel://h")
    assert alone.connection_pool.connection_kwargs["socket_connect_timeout"] == 4
    assert behind.connection_pool.service_name == "mymaster"
