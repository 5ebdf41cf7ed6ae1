"""Addresses: what a user writes, to clients of the driver."""

from collections.abc import Mapping
from typing import Any, Final, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from redis import exceptions as driver_errors
from redis.asyncio import Redis, RedisCluster, SSLConnection
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff

from pyasynq.broker.redis.connection import Driver
from pyasynq.errors import OptionError

URLS: Final = (
    "host:port, or a redis://, rediss://, unix://, redis-sentinel:// or redis-cluster:// URL"
)
ALLOWED: Final = f"{URLS}, or a redis.asyncio client with decode_responses=False"
OBJECTS: Final = frozenset(
    {
        "command_packer",
        "connection_class",
        "connection_pool",
        "credential_provider",
        "decode_responses",
        "encoder_class",
        "event_dispatcher",
        "parser_class",
        "redis_connect_func",
        "retry",
        "retry_on_error",
    }
)
"""Settings of the driver that a program can give and a text cannot; the driver takes it unseen."""

CONNECT_S: Final = 5


def open_driver(broker: str | Driver) -> Driver:
    """Return the client that *broker* is or names.

    Raises:
        OptionError: If it cannot be used.
    """
    if broker == "":
        raise OptionError("broker", broker, ALLOWED)
    if isinstance(broker, str):
        return _from_url(broker if "://" in broker else f"redis://{broker}")
    if not isinstance(broker, Redis | RedisCluster):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OptionError("broker", broker, ALLOWED)
    if broker.get_encoder().decode_responses:
        raise OptionError("broker", broker, ALLOWED)
    return broker


async def close_driver(driver: Driver) -> None:
    """Close *driver*, and the connections to sentinels that it leaves open."""
    await driver.aclose()
    pool = driver.connection_pool if isinstance(driver, Redis) else None
    if isinstance(pool, SentinelConnectionPool):
        for sentinel in cast("list[Redis]", pool.sentinel_manager.sentinels):
            await sentinel.aclose()


def _from_url(url: str) -> Driver:
    scheme = url.partition("://")[0]
    try:
        _check_query(url)
        match scheme:
            case "redis" | "rediss":
                return _single(url)
            case "unix" | "redis-socket":
                return Redis.from_url(f"unix{url.removeprefix(scheme)}", **_settings())
            case "redis-cluster" | "rediss-cluster":
                return _cluster(url)
            case "redis-sentinel" | "rediss-sentinel":
                return _sentinel(url)
            case _:
                raise OptionError("broker", scheme + "://…", URLS)
    except (ValueError, TypeError, driver_errors.RedisClusterException) as error:
        if isinstance(error, OptionError):
            raise
        raise OptionError("broker", scheme + "://…", f"{URLS} ({error})") from error


def _check_query(url: str) -> None:
    for name, _ in parse_qsl(urlsplit(url).query):
        if name in OBJECTS:
            msg = f"{name} cannot be given in a URL: make the client yourself"
            raise ValueError(msg)


def _single(url: str) -> Redis:
    database = urlsplit(url).path.strip("/")
    if database and not database.isdigit():
        msg = f"{database!r} is no database number"
        raise ValueError(msg)
    driver = Redis.from_url(url.rstrip("/"), **_settings(), socket_keepalive=True)
    pool = driver.connection_pool
    if "ssl_server_name" in pool.connection_kwargs:
        pool.connection_class = _NamedConnection
    pool.connection_class(**pool.connection_kwargs)  # refuses what no connection knows
    return driver


class _NamedConnection(SSLConnection):
    """A connection to a server whose certificate has another name than its address."""

    def __init__(self, *, ssl_server_name: str, **settings: Any) -> None:  # noqa: ANN401 - the driver's own settings
        super().__init__(**settings)
        self._server_name = ssl_server_name

    def _connection_arguments(self) -> Mapping[str, Any]:
        arguments = cast("Mapping[str, Any]", super()._connection_arguments())
        return {**arguments, "server_hostname": self._server_name}


def _settings() -> dict[str, Any]:
    # Retries are ours: an enqueue that is sent again by the driver would meet itself as a conflict.
    return {
        "protocol": 2,
        "max_connections": 2**31,
        "socket_connect_timeout": CONNECT_S,
        "socket_timeout": None,  # see `answered`
        "retry": Retry(NoBackoff(), 0),
    }


def _cluster(url: str) -> RedisCluster:
    # A slot that moves is followed without these. Sent again by the driver, a dequeue whose answer
    # was lost would take other tasks; and its fifth redirection would close all connections, with
    # the answers under way on them.
    settings = _settings() | {"socket_keepalive": True, "reinitialize_steps": 0}
    parts = urlsplit(url.replace("-cluster", "", 1).rstrip("/"))
    login, at, hosts = parts.netloc.rpartition("@")
    first, *others = hosts.split(",")
    settings["startup_nodes"] = [_node(host) for host in others]
    return RedisCluster.from_url(parts._replace(netloc=login + at + first).geturl(), **settings)


def _node(address: str) -> ClusterNode:
    host, _, port = address.rpartition(":")
    return ClusterNode(host, int(port))


def _sentinel(url: str) -> Redis:
    """Return a client of the primary that the sentinels name.

    As in the reference's URIs, a password before the ``@`` is the sentinels'; the Redis user and
    password are the query's ``username`` and ``password``. The primary's name is ``master``.
    """
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    credentials, _, hosts = parts.netloc.rpartition("@")
    tls = {"ssl": True} if parts.scheme.startswith("rediss") else {}
    login = _settings() | tls | _sentinel_login(credentials)
    addresses = [_address(host) for host in hosts.split(",")]
    settings = _settings() | tls | {"db": int(parts.path.strip("/") or 0)}
    settings |= {name: query[name] for name in ("username", "password") if name in query}
    make_sentinels: Any = Sentinel  # redis-py is typed only in part
    sentinels = make_sentinels(addresses, sentinel_kwargs=login)
    return cast("Redis", sentinels.master_for(query.get("master", "mymaster"), **settings))


def _sentinel_login(credentials: str) -> dict[str, Any]:
    if not credentials:
        return {}
    user, _, password = credentials.partition(":")
    return {"password": unquote(password)} | ({"username": unquote(user)} if user else {})


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":") if ":" in text else (text, "", "26379")
    if not host:
        msg = "no sentinel is named"
        raise ValueError(msg)
    return host, int(port)
