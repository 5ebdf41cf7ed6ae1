"""Addresses: what a user gives, to clients of the driver."""

from collections.abc import Mapping
from typing import Any, Final

from redis.asyncio import Redis, RedisCluster, UnixDomainSocketConnection
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff

from pyasynq.broker.redis.connection import Driver
from pyasynq.broker.redis.dialing import (
    PrimaryConnection,
    TcpConnection,
    TlsConnection,
    TlsPrimaryConnection,
)
from pyasynq.broker.redis.discovery import Cluster, Sentinels
from pyasynq.broker.redis.pool import Pool, SentinelPool, watch
from pyasynq.broker.url import URLS, Address, Host, parse
from pyasynq.core.errors import OptionError

ALLOWED: Final = f"{URLS}, or a redis.asyncio client with decode_responses=False"

CONNECT_S: Final = 4
"""Longest wait for a connection: shorter than that for an answer, so the text says which it was."""

SETTINGS: Final[Mapping[str, Any]] = {
    "protocol": 2,
    "max_connections": 2**31,
    "socket_connect_timeout": CONNECT_S,
    "socket_timeout": None,  # see `answered`
    "retry": Retry(NoBackoff(), 0),
}
"""What an address need not say.

Retries are ours: an enqueue that is sent again by the driver would meet itself as a conflict.
"""

OF_REDIS: Final = frozenset({"username", "password", "db"})
"""Settings that are not for the sentinels."""

OF_A_CLUSTER: Final = frozenset(
    {
        "dynamic_startup_nodes",
        "encoding",
        "encoding_errors",
        "legacy_responses",
        "max_connections",
        "protocol",
        "require_full_coverage",
        "retry",
    }
)
"""Settings that the client of a cluster is given, which hands some on to its connections."""


def open_driver(broker: str | Driver) -> Driver:
    """Return the client that *broker* is or names.

    Raises:
        OptionError: If it cannot be used.
    """
    if broker == "":
        raise OptionError("broker", broker, ALLOWED)
    if isinstance(broker, str):
        return _opened(parse(broker))
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
        await pool.sentinel_manager.aclose()


def _opened(address: Address) -> Driver:
    network = TlsConnection if address.tls else TcpConnection
    settings = {**SETTINGS, **address.settings}
    match address.kind:
        case "single":
            (host,) = address.hosts
            return _client(network, settings | _login(address) | _place(host))
        case "socket":
            where = {"path": address.path}
            return _client(UnixDomainSocketConnection, settings | _login(address) | where)
        case "cluster":
            return _cluster(address, settings | _login(address), network)
        case "sentinel":
            return _sentinel(address, settings, network)


def _client(kind: type[AbstractConnection], settings: Mapping[str, Any]) -> Redis:
    return Redis.from_pool(Pool(kind, **settings))


def _login(address: Address) -> dict[str, str]:
    given = {"username": address.username, "password": address.password}
    return {name: text for name, text in given.items() if text}


def _place(host: Host) -> dict[str, Any]:
    return dict(zip(("host", "port"), host, strict=True))


def _cluster(address: Address, settings: Mapping[str, Any], network: type) -> RedisCluster:
    # A slot that moves is followed without these. Sent again by the driver, a dequeue whose answer
    # was lost would take other tasks; and its fifth redirection would close all connections, with
    # the answers under way on them.
    client = {name: value for name, value in settings.items() if name in OF_A_CLUSTER}
    connection = {name: value for name, value in settings.items() if name not in OF_A_CLUSTER}
    connection["connection_class"] = network
    return watch(Cluster(address.hosts, connection=connection, reinitialize_steps=0, **client))


def _sentinel(address: Address, settings: Mapping[str, Any], network: type) -> Redis:
    """Return a client of the primary that the sentinels name.

    As in the reference's URIs, a password before the ``@`` is the sentinels'; the Redis user and
    password are the query's ``username`` and ``password``. All else is for both, but for the
    primary's name, ``master``, and the database.
    """
    ours = dict(settings)
    name = ours.pop("master", None) or "mymaster"
    theirs = {key: value for key, value in ours.items() if key not in OF_REDIS} | _login(address)
    sentinels = Sentinels([_client(network, theirs | _place(host)) for host in address.hosts])
    ours["connection_class"] = TlsPrimaryConnection if address.tls else PrimaryConnection
    return Redis.from_pool(SentinelPool(name, sentinels, **ours))
