"""Make a client of the driver from the address that a user gives."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.driver_info import DriverInfo

from pyasynq.broker.redis.connection import Driver
from pyasynq.broker.redis.dialing import (
    PrimaryConnection,
    TcpConnection,
    TlsConnection,
    TlsPrimaryConnection,
)
from pyasynq.broker.redis.discovery import Cluster, Sentinels
from pyasynq.broker.redis.packing import SocketConnection
from pyasynq.broker.redis.pool import Pool, SentinelPool, check_connections
from pyasynq.broker.url import URLS, Address, Host, parse
from pyasynq.core.errors import OptionError

ALLOWED: Final = f"{URLS}, or a redis.asyncio client with decode_responses=False"

CONNECT_S: Final = 4
"""Time limit for connecting. It is shorter than the one for an answer, so errors differ."""

SETTINGS: Final[Mapping[str, Any]] = {
    "protocol": 2,
    "max_connections": 2**31,
    "socket_connect_timeout": CONNECT_S,
    "socket_timeout": None,  # see `broker_errors`
    "retry": Retry(NoBackoff(), 0),
}
"""Default settings of the driver.

The driver must not retry: an enqueue that it sent twice would conflict with itself.
"""

DRIVER_NAMES: Final = {"lib_name": "name", "lib_version": "lib_version"}
"""Settings of what a connection calls its driver, and their names in `DriverInfo`."""

OF_REDIS: Final = frozenset({"username", "password", "db"})
"""Settings for the Redis server only, not for the sentinels."""

OF_A_CLUSTER: Final = frozenset(
    {
        "driver_info",
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
"""Settings for the client of a cluster, not for its connections."""


def open_driver(broker: str | Driver) -> Driver:
    """Return *broker* if it is a client, else a new client for that address.

    Raises:
        OptionError: If it cannot be used.
    """
    if broker == "":
        raise OptionError("broker", broker, ALLOWED)
    if isinstance(broker, str):
        return _open_address(parse(broker))
    if not isinstance(broker, Redis | RedisCluster):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OptionError("broker", broker, ALLOWED)
    if broker.get_encoder().decode_responses:
        raise OptionError("broker", broker, ALLOWED)
    return broker


async def close_driver(driver: Driver) -> None:
    """Close *driver*, and its connections to sentinels, which it does not close itself."""
    await driver.aclose()
    pool = driver.connection_pool if isinstance(driver, Redis) else None
    if isinstance(pool, SentinelConnectionPool):
        await pool.sentinel_manager.aclose()


def _open_address(address: Address) -> Driver:
    network = TlsConnection if address.tls else TcpConnection
    settings = {**SETTINGS, **_name_driver(address.settings)}
    match address.kind:
        case "single":
            (host,) = address.hosts
            return _client(network, settings | _login(address) | _host_settings(host))
        case "socket":
            path = {"path": address.path}
            return _client(SocketConnection, settings | _login(address) | path)
        case "cluster":
            return _cluster_client(address, settings | _login(address), network)
        case "sentinel":
            return _sentinel_client(address, settings, network)


def _name_driver(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return *settings* with what all connections of a client call their driver.

    Without it each new connection reads the version of the driver from the driver's files, which
    takes a millisecond of CPU; so does each `DriverInfo` without a version.
    """
    given = {ours: settings[name] for name, ours in DRIVER_NAMES.items() if name in settings}
    others = {name: value for name, value in settings.items() if name not in DRIVER_NAMES}
    return {"driver_info": DriverInfo(**{"lib_version": _driver_version(), **given}), **others}


@cache
def _driver_version() -> Any:  # noqa: ANN401 - the driver does not say
    return DriverInfo().lib_version


def _client(kind: type[AbstractConnection], settings: Mapping[str, Any]) -> Redis:
    return Redis.from_pool(Pool(kind, **settings))


def _login(address: Address) -> dict[str, str]:
    given = {"username": address.username, "password": address.password}
    return {name: text for name, text in given.items() if text}


def _host_settings(host: Host) -> dict[str, Any]:
    return dict(zip(("host", "port"), host, strict=True))


def _cluster_client(address: Address, settings: Mapping[str, Any], network: type) -> RedisCluster:
    # The driver follows a moved slot without retries (see SETTINGS) and reinitializations. If it
    # retried a dequeue whose answer was lost, that would take other tasks. If it reinitialized at
    # the fifth redirection, that would close all connections while answers are on their way.
    client = {name: value for name, value in settings.items() if name in OF_A_CLUSTER}
    connection = {name: value for name, value in settings.items() if name not in OF_A_CLUSTER}
    connection["connection_class"] = network
    return check_connections(
        Cluster(address.hosts, connection=connection, reinitialize_steps=0, **client)
    )


def _sentinel_client(address: Address, settings: Mapping[str, Any], network: type) -> Redis:
    """Return a client of the primary that the sentinels name.

    As in asynq's URIs, a password before the ``@`` is for the sentinels; the settings ``username``
    and ``password`` are for Redis. So are the database and ``master``, the primary's name. All
    other settings are for both.
    """
    of_redis = dict(settings)
    name = of_redis.pop("master", None) or "mymaster"
    both = {key: value for key, value in of_redis.items() if key not in OF_REDIS}
    of_sentinels = both | _login(address)
    clients = [_client(network, of_sentinels | _host_settings(host)) for host in address.hosts]
    of_redis["connection_class"] = TlsPrimaryConnection if address.tls else PrimaryConnection
    return Redis.from_pool(SentinelPool(name, Sentinels(clients), **of_redis))
