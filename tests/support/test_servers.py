"""The servers that tests start are real, separate, and removed at the end."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from redis.asyncio import Redis
from redis.asyncio import RedisCluster as ClusterClient
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.support.servers import (
    MissingServerError,
    PasswordRedis,
    RedisCluster,
    RedisSentinel,
    RedisServer,
    TlsRedis,
    free_port,
)
from tests.support.waiting import wait_until

NO_RETRY = Retry(NoBackoff(), retries=0)


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer(appendonly="yes", appendfsync="always") as server:
        yield server


async def test_a_test_finds_redis_empty(r: Redis) -> None:
    assert await r.dbsize() == 0


async def test_data_survive_a_kill_with_append_only_on(server: RedisServer) -> None:
    async with Redis.from_url(server.url) as client:
        await client.set("k", "v")
    server.kill()
    server.restart()
    async with Redis.from_url(server.url) as client:
        assert await client.get("k") == b"v"


async def test_a_stopped_server_answers_no_more(server: RedisServer) -> None:
    server.stop()
    with pytest.raises(RedisConnectionError):
        await Redis.from_url(server.url).ping()


async def test_a_paused_server_hangs_until_it_is_resumed(server: RedisServer) -> None:
    async with Redis.from_url(server.url, socket_timeout=0.05) as client:
        server.pause()
        with pytest.raises(RedisError, match="Timeout"):
            await client.ping()
        server.resume()
    async with Redis.from_url(server.url) as client:
        assert await client.ping()


async def test_a_server_listens_on_the_port_it_was_given() -> None:
    with RedisServer(port=free_port()) as server:
        async with Redis(port=server.port) as client:
            assert await client.ping()


def test_nothing_is_left_of_a_closed_server() -> None:
    with RedisServer() as server:
        pass
    assert not server.home.exists()


def test_a_missing_program_says_how_to_install_it() -> None:
    server = RedisServer(binary="no-such-redis")
    with closing(server), pytest.raises(MissingServerError, match="install the package"):
        server.start()


def test_a_server_that_cannot_start_says_why_and_leaves_nothing() -> None:
    server = RedisServer(no_such_option="yes")
    with pytest.raises(RuntimeError, match="no-such-option"), server:
        pass
    assert not server.home.exists()


async def test_a_cluster_serves_every_slot(redis_cluster: RedisCluster) -> None:
    async with ClusterClient(host="127.0.0.1", port=redis_cluster.nodes[0].port) as client:
        assert await client.mset_nonatomic({"a": 1, "b": 2, "c": 3})
        assert await client.mget_nonatomic("a", "b", "c") == [b"1", b"2", b"3"]


async def test_a_replica_takes_over_from_a_killed_master(redis_sentinel: RedisSentinel) -> None:
    redis_sentinel.master.kill()
    await wait_until(lambda: redis_sentinel.master_port == redis_sentinel.replica.port, 20)


async def test_the_user_of_a_redis_with_password_may_touch_only_asynqs_keys(
    redis_with_password: PasswordRedis,
) -> None:
    async with Redis.from_url(redis_with_password.url) as client:
        await client.set("asynq:queues", "x")
        with pytest.raises(NoPermissionError):
            await client.set("other", "x")


async def test_a_redis_with_password_lets_nobody_in_without(
    redis_with_password: PasswordRedis,
) -> None:
    with pytest.raises(AuthenticationError):
        await Redis(port=redis_with_password.port, retry=NO_RETRY).ping()


async def test_a_redis_with_tls_knows_its_clients(redis_with_tls: TlsRedis) -> None:
    async with Redis.from_url(redis_with_tls.url) as client:
        assert await client.ping()


async def test_a_redis_with_tls_turns_strangers_away(redis_with_tls: TlsRedis) -> None:
    authority = str(redis_with_tls.certificates.authority)
    stranger = Redis.from_url(redis_with_tls.url_without_certificate, ssl_ca_certs=authority)
    with pytest.raises(RedisConnectionError):
        await stranger.ping()
