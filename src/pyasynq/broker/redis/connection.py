"""Send commands to Redis with one time limit for every answer; turn driver errors into ours."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from itertools import chain
from typing import Any, Final, TypeAlias, cast

from redis import exceptions as driver_errors
from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster

from pyasynq.core.errors import (
    BrokerAuthError,
    BrokerError,
    BrokerFullError,
    BrokerReadOnlyError,
    BrokerUnavailableError,
)

Driver: TypeAlias = Redis | RedisCluster
CommandArg: TypeAlias = str | bytes | int | float
"""The name of a command, or one of its arguments."""

ANSWER_S: Final = 5
"""Time limit for an answer: the 3 s of asynq's client, and more for slow disks."""

_BY_TYPE: Final[tuple[tuple[type[Exception], type[BrokerError]], ...]] = (
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
_BY_TEXT: Final[tuple[tuple[str, type[BrokerError]], ...]] = (
    ("OOM command not allowed", BrokerFullError),
    ("READONLY ", BrokerReadOnlyError),
    ("NOPERM ", BrokerAuthError),
    ("The user executing the script can't", BrokerAuthError),  # until Redis 7.0
    ("ACL failure in script: ", BrokerAuthError),
    ("NOAUTH ", BrokerAuthError),
    ("invalid username-password pair", BrokerAuthError),
    ("called without any password configured", BrokerAuthError),
    ("WRONGPASS ", BrokerAuthError),
    ("MASTERDOWN ", BrokerUnavailableError),
    ("LOADING ", BrokerUnavailableError),
    ("NOREPLICAS ", BrokerUnavailableError),
    ("MISCONF ", BrokerUnavailableError),
    ("BUSY ", BrokerUnavailableError),
    ("UNBLOCKED ", BrokerUnavailableError),
)
"""Our errors by their texts: the driver has no type for an error inside a script, and a wrong one
for some errors of a login.
"""

CLOSED_AT_ONCE: Final = "the connection was closed as soon as it was opened"
"""Text for a connection that Redis closed before its answer was read, as when it has no room."""

_MAXCLIENTS: Final = (
    "the limit is its own, maxclients: raise it, or start fewer processes or queues; a server "
    "needs a connection for each queue, and three more or, while it works, up to eight"
)

_NO_SENTINEL: Final = "this Redis is no sentinel: use a redis:// URL"

_REMEDIES: Final[tuple[tuple[str, str], ...]] = (
    ("Protocol error, got", "is this Redis? The server there speaks another protocol"),
    ("'SENTINEL'", _NO_SENTINEL),
    ("`SENTINEL`", _NO_SENTINEL),  # Redis 6.2
    ("Cluster mode is not enabled", "this Redis is no cluster: use a redis:// URL"),
    ("No master found", "check the sentinels' addresses and the name in ?master="),
    ("max number of clients reached", _MAXCLIENTS),
    (CLOSED_AT_ONCE, f"if Redis is full, {_MAXCLIENTS}"),
    (
        "Too many connections",
        "the limit is max_connections of the client's pool: raise it, or leave it out; a server "
        "needs a connection for each queue, and three more or, while it works, up to eight",
    ),
    ("Authentication required", "put user and password into the URL, redis://user:password@host"),
)
"""Errors that waiting does not solve, by their texts, and what the user can do."""

_DEFAULT_TEXTS: Final[dict[type[Exception], str]] = {
    TimeoutError: "no answer in time",
    driver_errors.TimeoutError: "no answer in time",
    driver_errors.MaxConnectionsError: "Too many connections",
}
"""Texts for errors that have none."""

_MOVED: Final = "the key is on another node: for a cluster use a redis-cluster:// URL"

FAILURES: Final = (driver_errors.RedisError, driver_errors.RedisClusterException, OSError)
"""What the driver raises; the second is not a `RedisError`."""


_WRONG_SERVER_TEXTS: Final = ("READONLY ", "MASTERDOWN ", "LOADING ", "UNBLOCKED ")
"""Redis answers with these texts when the server is not, or no longer, the right one."""

_WRONG_SERVER_ERRORS: Final = (
    driver_errors.ReadOnlyError,
    driver_errors.MasterDownError,
    driver_errors.BusyLoadingError,
)


_BROKEN_TEXTS: Final = (
    "Connection closed by server",
    "Error while reading from",
    "while writing to socket",
    "The previous master is now a slave",
)
"""The driver's texts for a connection that broke; others say that it could not be opened."""


async def handle_error(driver: Driver, error: Exception) -> BrokerError:
    """Return our error for *error* of *driver*; close connections that it makes useless.

    A connection to a demoted primary stays open and never leads to the new primary, but a new
    connection may, so all are closed. If one idle connection broke, the other idle ones may be
    broken too, so those are closed.
    """
    if isinstance(error, _WRONG_SERVER_ERRORS) or any(
        text in str(error) for text in _WRONG_SERVER_TEXTS
    ):
        await _close_connections(driver, in_use=True)
    elif is_broken(error):
        await _close_connections(driver)
    elif isinstance(error, TimeoutError) and _is_exhausted(driver):
        return map_error(driver_errors.MaxConnectionsError())
    elif isinstance(error, TimeoutError) and isinstance(driver, RedisCluster):
        # The node may hang while a replica has taken its slots. The driver asks for the slots again
        # only after errors that it sees, and it sees no error, only a cancelled call.
        client: Any = driver
        client._initialize = True  # noqa: SLF001 - the driver has no public way
    return map_error(error)


def _is_exhausted(driver: Driver) -> bool:
    """Return whether calls wait for a connection of the user's own pool, and not for Redis."""
    pool: Any = driver.connection_pool if isinstance(driver, Redis) else None
    return isinstance(pool, BlockingConnectionPool) and not pool.can_get_connection()


def lost_connection(error: object) -> bool:
    """Return whether *error* means that the connection broke during a call.

    Then Redis may have run the call or not.
    """
    return isinstance(error, BrokerUnavailableError) and is_broken(error.__cause__)


def is_broken(error: BaseException | None) -> bool:
    """Return whether the driver's *error* means that a connection broke."""
    return type(error) is driver_errors.ConnectionError and any(
        text in str(error) for text in _BROKEN_TEXTS
    )


async def _close_connections(driver: Driver, *, in_use: bool = False) -> None:
    """Close the idle connections of *driver*; with *in_use* the others once they are released.

    Not for a cluster: its nodes redirect to the right node, and its driver drops broken
    connections.
    """
    if isinstance(driver, Redis):
        pool: Any = driver.connection_pool  # typed only in part
        if in_use:
            await pool.update_active_connections_for_reconnect()
        await pool.disconnect(inuse_connections=False)


def map_error(error: Exception) -> BrokerError:
    """Return our error for the driver's *error*, which becomes its cause."""
    message = str(error)
    by_text = (ours for text, ours in _BY_TEXT if text in message)
    by_type = (ours for theirs, ours in _BY_TYPE if isinstance(error, theirs))
    kind = next(chain(by_text, by_type), BrokerError)
    why = reason(error)
    remedy = next((f" ({remedy})" for text, remedy in _REMEDIES if text in why), "")
    ours = kind(f"Redis: {why}{remedy}")
    ours.__cause__ = error
    return ours


def reason(error: Exception) -> str:
    """Return the text of the driver's *error*, or a default if it has none."""
    if isinstance(error, driver_errors.MovedError):
        return _MOVED  # the driver's text is the bare number of the slot
    return str(error) or _DEFAULT_TEXTS.get(type(error), type(error).__name__)


@asynccontextmanager
async def broker_errors(driver: Driver, timeout_s: float = ANSWER_S) -> AsyncGenerator[None]:
    """Raise the errors of *driver* as ours, and `BrokerUnavailableError` after *timeout_s*.

    The driver has its own time limits, but on Python 3.11 they double the cost of a call.
    """
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except FAILURES as error:
        raise await handle_error(driver, error) from error


def block_s(driver: Driver, longest_s: float) -> float:
    """Return how long a command may block in Redis: *longest_s*, or less for *driver*.

    The driver's ``socket_timeout`` also applies to blocking commands, and would end each of them
    with an error. So a command blocks for half of it at most.
    """
    settings = driver.connection_pool if isinstance(driver, Redis) else driver
    limit_s: float | None = settings.connection_kwargs.get("socket_timeout")
    return longest_s if limit_s is None else min(longest_s, limit_s / 2)


async def execute(
    driver: Driver, *command: CommandArg, timeout_s: float = ANSWER_S, once: bool = False
) -> object:
    """Send one command and return its answer.

    If the connection breaks, which happens after it was idle for long, send the command again.

    Args:
        driver: The client.
        *command: Name and arguments of the command.
        timeout_s: Longest wait for the answer, seconds.
        once: Never send it again, because a second run would have another effect or answer.

    Raises:
        BrokerError: If there is no answer, or the answer is an error.
    """
    try:
        async with asyncio.timeout(timeout_s):
            try:
                return await _send(driver, command)
            except driver_errors.ConnectionError as error:
                if once or not is_broken(error):
                    raise
                await _close_connections(driver)
                return await _send(driver, command)
    except FAILURES as error:
        raise await handle_error(driver, error) from error
    except UnicodeEncodeError:  # the driver has sent nothing yet
        escaped = map(_encode_surrogates, command)
        return await execute(driver, *escaped, timeout_s=timeout_s, once=once)


async def _send(driver: Driver, command: Sequence[CommandArg]) -> object:
    if isinstance(driver, RedisCluster):
        # A client that has not learned the slots sends the command to any node. When that node
        # redirects it, the client closes all connections, and with them the calls in progress.
        await driver.initialize()
    return cast("object", await driver.execute_command(*command))


async def execute_all(driver: Driver, commands: Sequence[Sequence[CommandArg]]) -> list[object]:
    """Send *commands* in one round trip, on a cluster one to each node; return their answers.

    If the connection breaks, all are sent again, so a second run must have the same effect.

    Raises:
        BrokerError: If there is no answer, or one of the answers is an error.
    """
    try:
        return await _send_all(driver, commands)
    except BrokerError as error:
        if not lost_connection(error):
            raise
        return await _send_all(driver, commands)


async def _send_all(driver: Driver, commands: Sequence[Sequence[CommandArg]]) -> list[object]:
    pipeline = driver.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*map(_encode_surrogates, command))
    async with broker_errors(driver):
        return cast("list[object]", await pipeline.execute())


def _encode_surrogates(arg: CommandArg) -> CommandArg:
    """Return *arg*; if it is a text with surrogates, the bytes that they stand for.

    Names that Go wrote may be bytes that are not UTF-8, which we read as surrogates. They are rare,
    so `execute` encodes them only after the driver has failed to.
    """
    if isinstance(arg, str) and not arg.isascii():  # the driver needs a command's name as a text
        return arg.encode(errors="surrogateescape")
    return arg
