"""Reach Redis: URLs to clients, driver errors to ours."""

import asyncio
import os
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import chain
from typing import Any, Final, TypeAlias, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from redis import exceptions as driver_errors
from redis.asyncio import Redis, RedisCluster, SSLConnection
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff

from pyasynq.errors import (
    BrokerAuthError,
    BrokerError,
    BrokerFullError,
    BrokerReadOnlyError,
    BrokerUnavailableError,
    OptionError,
)

Driver: TypeAlias = Redis | RedisCluster
Word: TypeAlias = str | bytes | int | float

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
ANSWER_S: Final = 5
"""Longest wait for an answer, as in the reference's client (3 s), with room for slow disks."""

_ERRORS: Final[tuple[tuple[type[Exception], type[BrokerError]], ...]] = (
    (driver_errors.AuthenticationError, BrokerAuthError),
    (driver_errors.AuthorizationError, BrokerAuthError),
    (driver_errors.NoPermissionError, BrokerAuthError),
    (driver_errors.ReadOnlyError, BrokerReadOnlyError),
    (driver_errors.OutOfMemoryError, BrokerFullError),
    (driver_errors.ConnectionError, BrokerUnavailableError),
    (driver_errors.TimeoutError, BrokerUnavailableError),
    (driver_errors.ClusterDownError, BrokerUnavailableError),
    (driver_errors.MasterDownError, BrokerUnavailableError),
    (driver_errors.TryAgainError, BrokerUnavailableError),
    (driver_errors.RedisClusterException, BrokerUnavailableError),
    (driver_errors.RedisError, BrokerError),
    (OSError, BrokerUnavailableError),
)
_WORDS: Final[tuple[tuple[str, type[BrokerError]], ...]] = (
    ("OOM command not allowed", BrokerFullError),
    ("READONLY ", BrokerReadOnlyError),
    ("NOPERM ", BrokerAuthError),
    ("The user executing the script can't", BrokerAuthError),
    ("NOAUTH ", BrokerAuthError),
    ("invalid username-password pair", BrokerAuthError),
    ("called without any password configured", BrokerAuthError),
    ("WRONGPASS ", BrokerAuthError),
    ("MASTERDOWN ", BrokerUnavailableError),
    ("LOADING ", BrokerUnavailableError),
    ("NOREPLICAS ", BrokerUnavailableError),
    ("MISCONF ", BrokerUnavailableError),
    ("BUSY ", BrokerUnavailableError),
)
"""Errors raised inside a script reach the driver as text only, those of a login as others."""

_REMEDIES: Final[tuple[tuple[str, str], ...]] = (
    ("Protocol error, got", "is this Redis? What answers there speaks something else"),
    ("'SENTINEL'", "this Redis is no sentinel: use a redis:// URL"),
    ("Cluster mode is not enabled", "this Redis is no cluster: use a redis:// URL"),
    ("No master found", "check the sentinels' addresses and the name in ?master="),
    ("Authentication required", "put user and password into the URL, redis://user:password@host"),
)
"""Mistakes that waiting does not mend, and what to do about them."""

_NO_WORDS: Final[dict[type[Exception], str]] = {
    TimeoutError: "no answer in time",
    driver_errors.TimeoutError: "no answer in time",
}
"""What errors mean that come without words."""

_MOVED: Final = "the key is on another node: for a cluster use a redis-cluster:// URL"

_CONNECTING: Final = re.compile(r"Error (-?\d+) connecting to (\S+)\. (.*)")

FAILURES: Final = (driver_errors.RedisError, driver_errors.RedisClusterException, OSError)
"""What the driver raises; the second is no `RedisError`."""


def translated(error: Exception) -> BrokerError:
    """Return our error for the driver's *error*, which becomes its cause."""
    text = str(error) or _NO_WORDS.get(type(error), type(error).__name__)
    if isinstance(error, driver_errors.MovedError):
        text = _MOVED  # the driver's text is the bare number of the slot
    said = (ours for words, ours in _WORDS if words in text)
    meant = (ours for theirs, ours in _ERRORS if isinstance(error, theirs))
    kind = next(chain(said, meant), BrokerError)
    ours = kind(f"Redis: {_plain(text)}")
    ours.__cause__ = error
    return ours


def _plain(text: str) -> str:
    """Return the driver's *text* without its repetitions, and with what to do about it."""
    plain = _CONNECTING.sub(_not_connected, text).partition(" : <")[0].rstrip(". ")
    remedy = next((remedy for words, remedy in _REMEDIES if words in text), "")
    return f"{plain} ({remedy})" if remedy else plain


def _not_connected(found: re.Match[str]) -> str:
    number, place, reason = int(found[1]), found[2], found[3].rstrip(".")
    if reason.isdigit() or reason.startswith(("Connect call failed", "Multiple exceptions")):
        reason = os.strerror(number)  # theirs repeats the address
    return f"{reason} at {place}"


@asynccontextmanager
async def answered(patience_s: float = ANSWER_S) -> AsyncGenerator[None]:
    """Raise the driver's errors as ours, and `BrokerUnavailableError` when it takes too long.

    The driver has time limits of its own, but on Python 3.11 they double the cost of a call.
    """
    try:
        async with asyncio.timeout(patience_s):
            yield
    except FAILURES as error:
        raise translated(error) from error


async def execute(driver: Driver, *words: Word, patience_s: float = ANSWER_S) -> object:
    """Send one command and return its answer.

    Args:
        driver: The client.
        *words: The command.
        patience_s: Longest wait for the answer, seconds.

    Raises:
        BrokerError: If there is no answer, or it is an error.
    """
    try:
        async with asyncio.timeout(patience_s):
            if isinstance(driver, RedisCluster):
                # A client that does not know the slots yet sends to any node; told that the key is
                # elsewhere, it closes every connection, with what is under way on them.
                await driver.initialize()
            return cast("object", await driver.execute_command(*words))
    except FAILURES as error:
        raise translated(error) from error
    except UnicodeEncodeError:  # not sent yet
        return await execute(driver, *map(_escaped, words), patience_s=patience_s)


async def execute_all(driver: Driver, commands: Sequence[Sequence[Word]]) -> list[object]:
    """Send *commands* in one round trip, on a cluster in one to each node; return their answers.

    Raises:
        BrokerError: If there is no answer, or one of them is an error.
    """
    pipeline = driver.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*map(_escaped, command))
    async with answered():
        return cast("list[object]", await pipeline.execute())


def _escaped(word: Word) -> Word:
    """Return the bytes of a name that Go wrote and that is no UTF-8, from what was read of it.

    Such names are rare: they are looked for only when the driver cannot encode a command.
    """
    if isinstance(word, str) and not word.isascii():  # the driver looks at a command's name
        return word.encode(errors="surrogateescape")
    return word


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
