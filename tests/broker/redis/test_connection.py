"""Redis is reached over every kind of address, and driver errors become ours."""

import asyncio
import inspect
import ssl
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, asynccontextmanager, closing
from typing import Any, cast
from urllib.parse import quote

import pytest
import redis
import redis.exceptions as driver_errors
from redis.asyncio import Redis
from redis.asyncio import RedisCluster as ClusterClient

from pyasynq.broker.redis import RedisBroker, connect
from pyasynq.broker.redis.address import open_driver
from pyasynq.broker.redis.connection import block_s, execute, map_error
from pyasynq.core.errors import (
    BrokerAuthError,
    BrokerError,
    BrokerFullError,
    BrokerReadOnlyError,
    BrokerUnavailableError,
    OptionError,
)
from pyasynq.core.verdict import DONE
from tests.broker.redis.stored_keys import PENDING, Q, listed, task_key
from tests.support.factories import (
    a_lease,
    a_pending,
    a_scheduled,
    a_server,
    create,
    enqueue,
    ids,
    many_pending,
    settle,
    take,
)
from tests.support.servers import (
    PasswordRedis,
    RedisCluster,
    RedisSentinel,
    RedisServer,
    TlsRedis,
    free_port,
)
from tests.support.waiting import wait_until

NOWHERE = "unix:///nowhere/redis"


@asynccontextmanager
async def connected(broker: str | Redis | ClusterClient) -> AsyncGenerator[RedisBroker]:
    """Yield the broker behind a URL or a client, and close it."""
    connection = connect(broker)
    yield connection
    await connection.aclose()


@asynccontextmanager
async def connected_by_sentinel(url: str) -> AsyncGenerator[tuple[RedisBroker, Any]]:
    """Yield the broker behind the URL of sentinels, and the clients of the sentinels."""
    async with connected(url) as broker:
        sentinels = driver(broker).connection_pool.sentinel_manager.sentinels
        yield broker, sentinels
        _ = [await sentinel.aclose() for sentinel in sentinels]


def driver(broker: RedisBroker) -> Any:  # noqa: ANN401  # the driver's inner parts are not typed
    """Return the driver's client behind *broker*."""
    return cast("Any", broker)._driver


async def is_answered(broker: RedisBroker) -> bool:
    try:
        await broker.ping()
    except BrokerError:
        return False
    return True


@pytest.fixture(scope="module")
def server_with_port() -> Iterator[RedisServer]:
    with RedisServer(port=free_port()) as server:
        yield server


# -- addresses -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        "{host}:{port}",
        "redis://{host}:{port}",
        "redis://{host}:{port}/",
        "redis://{host}:{port}/0",
        "redis://{host}:{port}/3",
        "redis://localhost:{port}?db=3",
        "redis://{host}:{port}?socket_timeout=2",
        "unix://{socket}",
        "unix://{socket}?db=3",
        "redis-socket://{socket}",
    ],
)
async def test_an_address_leads_to_redis(form: str, server_with_port: RedisServer) -> None:
    parts = {"host": "127.0.0.1", "port": server_with_port.port, "socket": server_with_port.socket}
    async with connected(form.format(**parts)) as broker:
        await broker.ping()


async def test_the_number_of_the_database_is_accepted(server_with_port: RedisServer) -> None:
    async with connected(f"{server_with_port.url}/3") as broker:
        await enqueue(broker, a_pending())
    async with Redis(port=server_with_port.port, db=3) as client:
        assert await client.exists(task_key()) == 1
        await client.flushall()


async def test_a_host_alone_means_the_usual_port() -> None:
    async with connected("redis.example.org") as broker:
        settings = driver(broker).connection_pool.connection_kwargs
        assert (settings["host"], settings.get("port", 6379)) == ("redis.example.org", 6379)


async def test_each_call_over_an_address_with_a_port_is_answered(
    server_with_port: RedisServer,
) -> None:
    async with connected(server_with_port.url) as broker:
        await settle(broker, await a_lease(broker), DONE)
    with closing(server_with_port.client()) as client:
        client.flushall()


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1",
        "127.0.0.1:port",
        "redis://127.0.0.1:port",
        "redis://127.0.0.1:70000",
        "redis://127.0.0.1?socket_timeout=soon",
        "redis-sentinel://127.0.0.1:port",
        "redis-sentinel://127.0.0.1/zero",
        "redis-cluster://127.0.0.1:port",
        "redis-cluster://127.0.0.1?nonsense=1",
        "redis://127.0.0.1?retry=1",
        "unix:///run/redis.sock?retry=1",
        "redis-cluster://127.0.0.1?retry=1",
        "redis-sentinel://127.0.0.1?retry=1",
        "redis://127.0.0.1?decode_responses=1",
        "redis://127.0.0.1?credential_provider=me",
        "amqp://guest@localhost//",
    ],
)
def test_a_bad_address_is_refused_with_words_that_say_what_is_right(address: str) -> None:
    with pytest.raises(OptionError, match=r"^broker must be host:port, or a redis://"):
        connect(address)


def test_the_text_of_a_refused_address_keeps_its_password() -> None:
    with pytest.raises(OptionError) as refusal:
        connect("redis://user:secret@127.0.0.1:port")
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("address", ["redis-cluster://", "redis-cluster://127.0.0.1/3"])
def test_a_bad_address_of_a_cluster_is_refused(address: str) -> None:
    with pytest.raises(OptionError, match="redis-cluster://"):
        connect(address)


@pytest.mark.parametrize(
    "address", ["redis://127.0.0.1/zero", "redis://127.0.0.1?nonsense=1", "", "redis-sentinel://"]
)
def test_an_address_that_only_the_driver_accepts_is_refused(address: str) -> None:
    with pytest.raises(OptionError, match="broker must be"):
        connect(address)


@pytest.mark.parametrize("broker", [None, 6379, b"redis://127.0.0.1", ["127.0.0.1"]], ids=repr)
def test_a_value_that_is_neither_address_nor_client_is_refused(broker: object) -> None:
    with pytest.raises(OptionError, match=r"or a redis\.asyncio client"):
        connect(cast("Any", broker))


# -- existing clients ------------------------------------------------------------------------------


async def test_an_existing_client_is_used_and_not_closed(r: Redis) -> None:
    async with connected(r) as broker:
        await enqueue(broker, a_pending())
        connections = r.connection_pool
    assert r.connection_pool is connections
    assert await listed(r, PENDING) == ["1"]
    assert cast("Any", connections)._available_connections[0].is_connected


async def test_an_existing_client_of_a_cluster_is_used_and_not_closed(
    redis_cluster: RedisCluster,
) -> None:
    async with ClusterClient(host="127.0.0.1", port=redis_cluster.nodes[0].port) as client:
        async with connected(client) as broker:
            await settle(broker, await a_lease(broker), DONE)
        assert await client.ping()
        await client.flushall()


async def test_a_client_that_decodes_is_refused(redis_url: str) -> None:
    async with Redis.from_url(redis_url, decode_responses=True) as client:
        with pytest.raises(OptionError, match="decode_responses=False"):
            connect(client)


async def test_a_blocking_client_is_refused(redis_server: RedisServer) -> None:
    with (
        closing(redis_server.client()) as client,
        pytest.raises(OptionError, match=r"redis\.asyncio"),
    ):
        connect(cast("Any", client))


async def test_a_client_that_speaks_resp3_is_answered(redis_url: str, r: Redis) -> None:
    async with Redis.from_url(redis_url, protocol=3) as client, connected(client) as broker:
        await enqueue(broker, a_pending("1"), a_scheduled("2", at_s=1))
        await broker.upkeep.forward("q")
        (one, two) = await take(broker, 2, lease_s=-1)
        assert await broker.work.extend([one], lease_s=30) == [True]
        assert ids((await broker.upkeep.expired("q")).leases) == [two.id]
        assert await settle(broker, one, DONE) is True


# -- TLS, users ------------------------------------------------------------------------------------


async def test_a_redis_with_tls_is_reached_with_the_files_that_the_url_names(
    redis_with_tls: TlsRedis,
) -> None:
    async with connected(redis_with_tls.url) as broker:
        await settle(broker, await a_lease(broker), DONE)
    with closing(redis_with_tls.client()) as client:
        client.flushall()


async def test_a_redis_with_tls_whose_certificate_is_strange_is_not_reached(
    redis_with_tls: TlsRedis,
) -> None:
    async with connected(redis_with_tls.url_without_certificate) as broker:
        with pytest.raises(BrokerUnavailableError, match="certificate") as failure:
            await broker.ping()
    assert isinstance(failure.value.__cause__, driver_errors.ConnectionError)


async def test_a_user_with_a_password_is_let_in(redis_with_password: PasswordRedis) -> None:
    async with connected(redis_with_password.url) as broker:
        await settle(broker, await a_lease(broker), DONE)
    with closing(redis_with_password.client()) as client:
        client.flushall()


@pytest.mark.parametrize(
    "credentials",
    ["worker:wrong@", "nobody:x@", ":x@", ""],
    ids=["password", "user", "no user", "nothing"],
)
async def test_a_login_that_redis_refuses_is_an_auth_error(
    credentials: str, redis_with_password: PasswordRedis
) -> None:
    async with connected(f"redis://{credentials}127.0.0.1:{redis_with_password.port}") as broker:
        with pytest.raises(BrokerAuthError, match=r"^Redis: "):
            await broker.ping()


@pytest.fixture
def redis_with_rights() -> Iterator[PasswordRedis]:
    """Yield a Redis whose rights a test may change."""
    with PasswordRedis() as server:
        yield server


def let_user(server: PasswordRedis, *rules: str) -> str:
    """Give a user the rights in *rules*; return the address for that user."""
    with closing(server.client()) as admin:
        admin.execute_command("ACL", "SETUSER", "weak", "on", ">pw", *rules)
    return f"redis://weak:{quote('pw')}@127.0.0.1:{server.port}"


async def test_a_missing_right_is_an_auth_error(redis_with_rights: PasswordRedis) -> None:
    url = let_user(redis_with_rights, "~asynq:*", "+ping")
    async with connected(url) as broker:
        await broker.ping()
        (answer,) = await create(broker, [a_pending()])
    assert isinstance(answer, BrokerAuthError)


async def test_a_missing_right_inside_a_script_is_an_auth_error(
    redis_with_rights: PasswordRedis,
) -> None:
    url = let_user(redis_with_rights, "~asynq:*", "+@all", "-lpush")
    async with connected(url) as broker:
        (answer,) = await create(broker, [a_pending()])
    assert isinstance(answer, BrokerAuthError)


async def test_a_queue_that_a_user_may_not_touch_is_an_auth_error(
    redis_with_rights: PasswordRedis,
) -> None:
    url = let_user(redis_with_rights, "~asynq:queues", "~asynq:{mine}:*", "+@all")
    async with connected(url) as broker:
        mine, other = await create(broker, [a_pending(queue="mine"), a_pending(queue="other")])
    assert mine is None
    assert isinstance(other, BrokerAuthError)


# -- down, hanging, read-only ----------------------------------------------------------------------


async def test_a_redis_that_is_not_there_is_reported() -> None:
    async with connected(NOWHERE) as broker:
        with pytest.raises(BrokerUnavailableError, match=r"^Redis: .*No such file") as failure:
            await broker.ping()
    assert isinstance(failure.value.__cause__, driver_errors.ConnectionError)


async def test_a_port_that_nobody_listens_on_is_reported() -> None:
    address = f"127.0.0.1:{free_port()}"
    async with connected(address) as broker:
        with pytest.raises(BrokerUnavailableError, match=f"^Redis: .* connecting to {address}"):
            await broker.ping()


async def test_every_path_tells_that_redis_is_away() -> None:
    async with connected(NOWHERE) as broker:
        results = await broker.work.dequeue({"q": 1, "r": 1}, owner="me", lease_s=30)
        answers = [answer.error for answer in results]
        answers += await create(broker, [a_pending()])
        for_each = [
            broker.work.wait("q"),
            broker.upkeep.forward("q"),
            broker.upkeep.expired("q"),
            broker.registry.write_server(a_server(), ttl_s=10),
            broker.registry.cancel("1"),
            anext(aiter(broker.registry.notices())),
        ]
        answers += await asyncio.gather(*for_each, return_exceptions=True)
    assert [type(answer) for answer in answers] == [BrokerUnavailableError] * len(answers)


@pytest.fixture
def breakable() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


async def test_a_redis_that_hangs_is_reported_in_time(
    breakable: RedisServer,
) -> None:
    async with connected(f"{breakable.url}?socket_timeout=0.1") as broker:
        await broker.ping()
        breakable.pause()
        with pytest.raises(BrokerUnavailableError):
            await broker.ping()
        breakable.resume()
        await broker.ping()


async def test_a_short_limit_for_answers_breaks_no_call_that_waits_for_a_task(
    redis_url: str,
) -> None:
    async with connected(f"{redis_url}?socket_timeout=0.4") as broker:
        assert await broker.work.wait("q") is False


def test_a_call_blocks_less_than_its_driver_waits() -> None:
    assert block_s(Redis(socket_timeout=1), 2) == 0.5
    assert block_s(Redis(socket_timeout=None), 2) == 2
    assert block_s(open_driver("redis-sentinel://h?socket_timeout=5"), 2) == 2
    assert block_s(open_driver("redis-cluster://h?socket_timeout=1"), 2) == 0.5


async def test_an_answer_that_comes_too_late_is_given_to_no_other_call(
    breakable: RedisServer,
) -> None:
    async with connected(f"{breakable.url}?socket_timeout=0.1") as broker:
        await enqueue(broker, *many_pending(2))
        breakable.pause()
        (late,) = await broker.work.dequeue({"q": 1}, owner="me", lease_s=30)
        breakable.resume()
        assert isinstance(late.error, BrokerUnavailableError)
        assert await broker.work.wait("q")
        await broker.ping()


async def test_a_call_that_was_given_up_leaves_its_answer_to_no_other(
    breakable: RedisServer,
) -> None:
    client = open_driver(breakable.url)
    await execute(client, "MSET", "late", 1, "next", 2)
    breakable.pause()
    with pytest.raises(BrokerUnavailableError):
        await execute(client, "GET", "late", timeout_s=0.1)
    breakable.resume()
    assert await execute(client, "GET", "next") == b"2"
    await client.aclose()


async def test_a_call_to_a_cluster_that_was_given_up_leaves_its_answer_to_no_other(
    cluster_url: str, redis_cluster: RedisCluster
) -> None:
    client = open_driver(cluster_url)
    await execute(client, "HSET", task_key("late"), "msg", "late")
    await execute(client, "HSET", task_key("next"), "msg", "next")
    _ = [node.pause() for node in redis_cluster.nodes]
    with pytest.raises(BrokerUnavailableError):
        await execute(client, "HGET", task_key("late"), "msg", timeout_s=0.1)
    _ = [node.resume() for node in redis_cluster.nodes]
    assert await execute(client, "HGET", task_key("next"), "msg") == b"next"
    await client.aclose()


async def test_a_redis_that_comes_back_is_reached_again(breakable: RedisServer) -> None:
    async with connected(breakable.url) as broker:
        await broker.ping()
        breakable.kill()
        assert not await is_answered(broker)
        breakable.restart()
        await broker.ping()


async def test_a_replica_refuses_every_write_and_says_so(breakable: RedisServer) -> None:
    async with connected(breakable.url) as broker:
        await enqueue(broker, *many_pending(2))
        (lease,) = await take(broker)
        with closing(breakable.client()) as admin:
            admin.execute_command("REPLICAOF", "127.0.0.1", free_port())
        enqueued = await create(broker, [a_pending("3")])
        dequeued = await broker.work.dequeue({"q": 1}, owner="me", lease_s=30)
        settled = await broker.work.settle([(lease, DONE)])
        with pytest.raises(BrokerReadOnlyError):
            await broker.registry.write_server(a_server(), ttl_s=10)
    answers = [*enqueued, *(result.error for result in dequeued), *settled]
    assert [type(answer) for answer in answers] == [BrokerReadOnlyError] * 3


# -- the table of errors ---------------------------------------------------------------------------

OURS: dict[type[Exception], type[BrokerError]] = {
    driver_errors.AuthenticationError: BrokerAuthError,
    driver_errors.AuthenticationWrongNumberOfArgsError: BrokerError,
    driver_errors.AuthorizationError: BrokerAuthError,
    driver_errors.BusyLoadingError: BrokerUnavailableError,
    driver_errors.ClusterCrossSlotError: BrokerError,
    driver_errors.ClusterDownError: BrokerUnavailableError,
    driver_errors.ConnectionError: BrokerUnavailableError,
    driver_errors.CrossSlotTransactionError: BrokerUnavailableError,
    driver_errors.DataError: BrokerError,
    driver_errors.ExecAbortError: BrokerError,
    driver_errors.ExternalAuthProviderError: BrokerUnavailableError,
    driver_errors.InvalidPipelineStack: BrokerUnavailableError,
    driver_errors.InvalidResponse: BrokerError,
    driver_errors.MasterDownError: BrokerUnavailableError,
    driver_errors.MaxConnectionsError: BrokerUnavailableError,
    driver_errors.NoPermissionError: BrokerAuthError,
    driver_errors.NoScriptError: BrokerError,
    driver_errors.OutOfMemoryError: BrokerFullError,
    driver_errors.PubSubError: BrokerError,
    driver_errors.ReadOnlyError: BrokerReadOnlyError,
    driver_errors.RedisClusterException: BrokerUnavailableError,
    driver_errors.RedisError: BrokerError,
    driver_errors.ResponseError: BrokerError,
    driver_errors.SlotNotCoveredError: BrokerUnavailableError,
    driver_errors.TimeoutError: BrokerUnavailableError,
    driver_errors.TryAgainError: BrokerUnavailableError,
    ConnectionResetError: BrokerUnavailableError,
    TimeoutError: BrokerUnavailableError,
    FileNotFoundError: BrokerUnavailableError,
    ssl.SSLError: BrokerUnavailableError,
}


@pytest.mark.parametrize(("theirs", "ours"), OURS.items(), ids=str)
def test_an_error_of_the_driver_becomes_ours(
    theirs: type[Exception], ours: type[BrokerError]
) -> None:
    assert type(map_error(theirs("no"))) is ours


def test_an_error_of_ours_says_where_it_comes_from_and_keeps_its_cause() -> None:
    cause = driver_errors.ResponseError("WRONGTYPE no")
    error = map_error(cause)
    assert (str(error), error.__cause__) == ("Redis: WRONGTYPE no", cause)


def test_an_error_without_words_is_named_by_its_type() -> None:
    assert str(map_error(driver_errors.DataError())) == "Redis: DataError"


@pytest.mark.parametrize("kind", [TimeoutError, driver_errors.TimeoutError], ids=["ours", "theirs"])
def test_an_answer_that_comes_too_late_is_named_in_the_error(kind: type[Exception]) -> None:
    assert str(map_error(kind())) == "Redis: no answer in time"


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("DB index is out of range", "DB index is out of range"),
        (
            'Protocol error, got "H" as reply type byte',
            'Protocol error, got "H" as reply type byte '
            "(is this Redis? The server there speaks another protocol)",
        ),
        (
            "No master found for 'mymaster' : <redis.asyncio.client.Redis()> - no",
            "No master found for 'mymaster' : <redis.asyncio.client.Redis()> - no "
            "(check the sentinels' addresses and the name in ?master=)",
        ),
    ],
    ids=["database", "protocol", "sentinel"],
)
def test_an_error_says_what_is_wrong_and_what_to_do(theirs: str, ours: str) -> None:
    assert str(map_error(driver_errors.ConnectionError(theirs))) == f"Redis: {ours}"


def test_a_cluster_taken_for_a_plain_redis_is_reported() -> None:
    error = driver_errors.MovedError("15495 127.0.0.1:20354")
    assert "for a cluster use a redis-cluster:// URL" in str(map_error(error))


async def test_a_plain_redis_taken_for_a_cluster_is_reported() -> None:
    with RedisServer(port=free_port()) as server:
        async with connected(f"redis-cluster://127.0.0.1:{server.port}") as broker:
            with pytest.raises(BrokerUnavailableError, match="this Redis is no cluster: use"):
                await broker.ping()


KINDS = [
    kind
    for _, kind in inspect.getmembers(driver_errors, inspect.isclass)
    if kind.__module__ == driver_errors.__name__ and issubclass(kind, Exception)
]
ROUTES = {driver_errors.AskError, driver_errors.MovedError}  # the driver follows them by itself


@pytest.mark.parametrize("theirs", [kind for kind in KINDS if kind not in ROUTES])
def test_every_error_of_the_driver_becomes_one_of_ours(theirs: type[Exception]) -> None:
    assert isinstance(map_error(theirs("no")), BrokerError)


@pytest.mark.parametrize(
    ("words", "ours"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", BrokerFullError),
        ("READONLY You can't write against a read only replica.", BrokerReadOnlyError),
        ("NOPERM this user has no permissions to run the 'lpush' command", BrokerAuthError),
        ("NOAUTH Authentication required.", BrokerAuthError),
        ("WRONGPASS invalid username-password pair", BrokerAuthError),
        ("MASTERDOWN Link with MASTER is down", BrokerUnavailableError),
        ("LOADING Redis is loading the dataset in memory", BrokerUnavailableError),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", BrokerError),
    ],
    ids=lambda value: value.split()[0] if isinstance(value, str) else "",
)
@pytest.mark.parametrize("form", ["{}", "Error running script (call to f_1): @user_script:8: -{}"])
def test_words_of_redis_are_known_also_from_inside_a_script(
    words: str, ours: type[BrokerError], form: str
) -> None:
    assert type(map_error(driver_errors.ResponseError(form.format(words)))) is ours


# -- Sentinel --------------------------------------------------------------------------------------


async def test_a_sentinel_leads_to_the_primary_and_to_the_next_one(
    redis_sentinel: RedisSentinel,
) -> None:
    async with connected_by_sentinel(redis_sentinel.url) as (broker, _):
        await enqueue(broker, a_pending("1"))
        redis_sentinel.master.kill()
        assert not await is_answered(broker)
        await wait_until(lambda: is_answered(broker), 20)
        await enqueue(broker, a_pending("2"))
        await settle(broker, (await take(broker, 2))[-1], DONE)


async def test_a_primary_that_no_sentinel_knows_is_reported(redis_sentinel: RedisSentinel) -> None:
    address = f"redis-sentinel://127.0.0.1:{redis_sentinel.sentinel.port}?master=other"
    async with connected_by_sentinel(address) as (broker, _):
        with pytest.raises(BrokerUnavailableError, match="other"):
            await broker.ping()


async def test_sentinels_that_are_away_are_reported() -> None:
    address = f"redis-sentinel://127.0.0.1:{free_port()}?master=m"
    async with connected_by_sentinel(address) as (broker, _):
        with pytest.raises(BrokerUnavailableError):
            await broker.ping()


async def test_closing_closes_the_connections_to_the_sentinels(
    redis_sentinel: RedisSentinel,
) -> None:
    async with connected_by_sentinel(redis_sentinel.url) as (broker, (sentinel,)):
        await broker.ping()
        await broker.aclose()
        open_ones = [
            connection
            for connection in sentinel.connection_pool._available_connections
            if connection.is_connected
        ]
        await sentinel.aclose()
    assert open_ones == []


@pytest.mark.parametrize(
    ("url", "addresses", "login"),
    [
        ("redis-sentinel://a,b:1", [("a", 26379), ("b", 1)], {}),
        ("redis-sentinel://:p%40@a", [("a", 26379)], {"password": "p@"}),
        ("redis-sentinel://u:p@a", [("a", 26379)], {"username": "u", "password": "p"}),
    ],
)
async def test_the_url_of_sentinels_names_them_and_their_password(
    url: str, addresses: list[tuple[str, int]], login: dict[str, str]
) -> None:
    async with connected_by_sentinel(url) as (_, sentinels):
        found = [sentinel.connection_pool.connection_kwargs for sentinel in sentinels]
    assert [(each["host"], each["port"]) for each in found] == addresses
    assert {name: found[0].get(name) for name in login} == login


async def test_the_url_of_sentinels_names_the_user_of_redis_and_the_database() -> None:
    url = "redis-sentinel://a/3?master=m&username=u&password=p"
    async with connected_by_sentinel(url) as (broker, _):
        pool = driver(broker).connection_pool
    settings = pool.connection_kwargs
    assert pool.service_name == "m"
    assert (settings["username"], settings["password"], settings["db"]) == ("u", "p", 3)


# -- Cluster ---------------------------------------------------------------------------------------


async def test_a_cluster_keeps_a_queue_in_one_slot(
    cluster_url: str, redis_cluster: RedisCluster
) -> None:
    async with connected(cluster_url) as broker:
        await enqueue(broker, a_pending(), a_scheduled("2"))
    async with ClusterClient.from_url(cluster_url.replace("-cluster", "")) as client:
        homes = {client.get_node_from_key(f"{Q}{end}") for end in ("pending", "t:1", "t:2")}
        assert len(homes) == 1


async def test_a_node_of_a_cluster_is_enough_to_find_the_others(cluster_url: str) -> None:
    async with connected(cluster_url) as broker:
        queues = [f"queue{n}" for n in range(12)]
        await enqueue(broker, *(a_pending(queue=queue) for queue in queues))
        counts = dict.fromkeys(queues, 1)
        results = await broker.work.dequeue(counts, owner="me", lease_s=30)
    assert [len(answer.leases) for answer in results] == [1] * 12


async def test_a_slot_that_moves_in_a_cluster_is_followed(
    cluster_url: str, redis_cluster: RedisCluster
) -> None:
    async with connected(cluster_url) as broker:
        await enqueue(broker, a_pending(queue="stays"))
        redis_cluster.move_slot(
            "asynq:{moves}:pending"
        )  # no other test uses a queue with this name
        await enqueue(broker, a_pending("1", queue="moves"))
        assert ids(await take(broker, queue="moves")) == ["1"]


async def test_scripts_that_a_cluster_has_forgotten_are_sent_again(
    cluster_url: str, redis_cluster: RedisCluster
) -> None:
    async with connected(cluster_url) as broker:
        await enqueue(broker, a_pending())
        nodes = [node.client() for node in redis_cluster.nodes]
        _ = [node.script_flush() for node in nodes]
        _ = [node.close() for node in nodes]
        assert ids(await take(broker)) == ["1"]


async def test_a_batch_of_many_keeps_its_order_in_a_cluster(cluster_url: str) -> None:
    async with connected(cluster_url) as broker:
        await enqueue(broker, *many_pending(1000))
        leases = [lease for _ in range(10) for lease in await take(broker, 100)]
    assert ids(leases) == [str(n) for n in range(1000)]


async def test_listening_may_be_the_first_thing_asked_of_a_cluster(cluster_url: str) -> None:
    async with (
        connected(cluster_url) as broker,
        aclosing(cast("Any", broker.registry.notices())) as cancelations,
    ):
        assert await anext(cancelations) is None


async def test_a_cluster_that_is_away_is_reported() -> None:
    async with connected(f"redis-cluster://127.0.0.1:{free_port()}") as broker:
        with pytest.raises(BrokerUnavailableError):
            await broker.ping()


@pytest.mark.parametrize(
    ("settings", "name", "version"),
    [("", "redis-py", redis.__version__), ("?lib_name=shop&lib_version=1", "shop", "1")],
)
def test_connections_share_what_they_call_their_driver(
    settings: str, name: str, version: str
) -> None:
    client: Any = open_driver(f"redis://h{settings}")
    pool = client.connection_pool
    one, other = pool.make_connection(), pool.make_connection()
    assert one.driver_info is other.driver_info
    assert (one.driver_info.formatted_name, one.driver_info.lib_version) == (name, version)
