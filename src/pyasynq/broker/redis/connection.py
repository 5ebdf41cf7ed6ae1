"""Reach Redis: one time limit for every answer, driver errors to ours."""

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
Word: TypeAlias = str | bytes | int | float

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
    ("UNBLOCKED ", BrokerUnavailableError),
)
"""Errors raised inside a script reach the driver as text only, those of a login as others."""

CLOSED_AT_ONCE: Final = "the connection was closed as soon as it was opened"
"""What a Redis that is full leaves of its answer when it is quick."""

_MAXCLIENTS: Final = (
    "the limit is its own, maxclients: raise it, or start fewer processes or queues; a server "
    "needs a connection for each queue, and four to eight more"
)

_REMEDIES: Final[tuple[tuple[str, str], ...]] = (
    ("Protocol error, got", "is this Redis? What answers there speaks something else"),
    ("'SENTINEL'", "this Redis is no sentinel: use a redis:// URL"),
    ("Cluster mode is not enabled", "this Redis is no cluster: use a redis:// URL"),
    ("No master found", "check the sentinels' addresses and the name in ?master="),
    ("max number of clients reached", _MAXCLIENTS),
    (CLOSED_AT_ONCE, f"if Redis is full, {_MAXCLIENTS}"),
    (
        "Too many connections",
        "the limit is max_connections of the client's pool: raise it, or leave it out; a server "
        "needs a connection for each queue, and four to eight more",
    ),
    ("Authentication required", "put user and password into the URL, redis://user:password@host"),
)
"""Mistakes that waiting does not mend, and what to do about them."""

_NO_WORDS: Final[dict[type[Exception], str]] = {
    TimeoutError: "no answer in time",
    driver_errors.TimeoutError: "no answer in time",
    driver_errors.MaxConnectionsError: "Too many connections",
}
"""What errors mean that come without words."""

_MOVED: Final = "the key is on another node: for a cluster use a redis-cluster:// URL"

FAILURES: Final = (driver_errors.RedisError, driver_errors.RedisClusterException, OSError)
"""What the driver raises; the second is no `RedisError`."""


_ELSEWHERE: Final = ("READONLY ", "MASTERDOWN ", "LOADING ", "UNBLOCKED ")
"""What Redis says to those who are at the wrong server, with or without the driver's help."""

_WRONG_SERVER: Final = (
    driver_errors.ReadOnlyError,
    driver_errors.MasterDownError,
    driver_errors.BusyLoadingError,
)


_BROKE: Final = (
    "Connection closed by server",
    "Error while reading from",
    "while writing to socket",
    "The previous master is now a slave",
)
"""How the driver says that a connection broke, and not that there was none."""


async def failed(driver: Driver, error: Exception) -> BrokerError:
    """Return our error for what *driver* raised or was answered.

    A connection to a primary that was demoted stays open and never becomes right again, while the
    name by which it was found may lead to the new primary. So all connections are given up. Where
    one broke that had been idle, others may have, too.
    """
    if isinstance(error, _WRONG_SERVER) or any(words in str(error) for words in _ELSEWHERE):
        await _leave(driver, those_in_use=True)
    elif broke(error):
        await _leave(driver)
    elif isinstance(error, TimeoutError) and _is_exhausted(driver):
        return map_error(driver_errors.MaxConnectionsError())
    elif isinstance(error, TimeoutError) and isinstance(driver, RedisCluster):
        # The node may be gone without a word, and a replica in its place. The driver asks anew who
        # has which slots only for errors that it sees, and it saw no more than a call given up.
        client: Any = driver
        client._initialize = True  # noqa: SLF001 - there is no other way to say so
    return map_error(error)


def _is_exhausted(driver: Driver) -> bool:
    """Tell whether a call waits for a connection of the user's own pool, and not for Redis."""
    pool: Any = driver.connection_pool if isinstance(driver, Redis) else None
    return isinstance(pool, BlockingConnectionPool) and not pool.can_get_connection()


def is_broken(error: object) -> bool:
    """Tell whether *error* is that of a connection that broke while a call was under way.

    Nobody knows then whether Redis has run the call.
    """
    return isinstance(error, BrokerUnavailableError) and broke(error.__cause__)


def broke(error: BaseException | None) -> bool:
    """Tell whether the driver's *error* is that of a connection that broke."""
    return type(error) is driver_errors.ConnectionError and any(
        words in str(error) for words in _BROKE
    )


async def _leave(driver: Driver, *, those_in_use: bool = False) -> None:
    """Close the idle connections of *driver*, and *those_in_use* once they are given back.

    The nodes of a cluster say where a key is, and their driver drops what breaks.
    """
    if isinstance(driver, Redis):
        pool: Any = driver.connection_pool  # typed only in part
        if those_in_use:
            await pool.update_active_connections_for_reconnect()
        await pool.disconnect(inuse_connections=False)


def map_error(error: Exception) -> BrokerError:
    """Return our error for the driver's *error*, which becomes its cause."""
    text = str(error)
    said = (ours for words, ours in _WORDS if words in text)
    meant = (ours for theirs, ours in _ERRORS if isinstance(error, theirs))
    kind = next(chain(said, meant), BrokerError)
    why = reason(error)
    remedy = next((f" ({remedy})" for words, remedy in _REMEDIES if words in why), "")
    ours = kind(f"Redis: {why}{remedy}")
    ours.__cause__ = error
    return ours


def reason(error: Exception) -> str:
    """Return what the driver's *error* says."""
    if isinstance(error, driver_errors.MovedError):
        return _MOVED  # the driver's text is the bare number of the slot
    return str(error) or _NO_WORDS.get(type(error), type(error).__name__)


@asynccontextmanager
async def broker_errors(driver: Driver, patience_s: float = ANSWER_S) -> AsyncGenerator[None]:
    """Raise the errors of *driver* as ours, and `BrokerUnavailableError` when it takes too long.

    The driver has time limits of its own, but on Python 3.11 they double the cost of a call.
    """
    try:
        async with asyncio.timeout(patience_s):
            yield
    except FAILURES as error:
        raise await failed(driver, error) from error


def blocked_s(driver: Driver, longest_s: float) -> float:
    """Return how long Redis may hold a call back: *longest_s*, or less for a hasty *driver*.

    Its ``socket_timeout`` counts for calls that block, too, and would break each of them.
    """
    settings = driver.connection_pool if isinstance(driver, Redis) else driver
    limit_s: float | None = settings.connection_kwargs.get("socket_timeout")
    return longest_s if limit_s is None else min(longest_s, limit_s / 2)


async def execute(
    driver: Driver, *words: Word, patience_s: float = ANSWER_S, once: bool = False
) -> object:
    """Send one command and return its answer.

    If the connection breaks meanwhile, as those do that were idle for too long, it is sent again.

    Args:
        driver: The client.
        *words: The command.
        patience_s: Longest wait for the answer, seconds.
        once: It is not to be sent again: it would do or answer something else.

    Raises:
        BrokerError: If there is no answer, or it is an error.
    """
    try:
        async with asyncio.timeout(patience_s):
            try:
                return await _send(driver, words)
            except driver_errors.ConnectionError as error:
                if once or not broke(error):
                    raise
                await _leave(driver)
                return await _send(driver, words)
    except FAILURES as error:
        raise await failed(driver, error) from error
    except UnicodeEncodeError:  # not sent yet
        escaped = map(_escaped, words)
        return await execute(driver, *escaped, patience_s=patience_s, once=once)


async def _send(driver: Driver, words: Sequence[Word]) -> object:
    if isinstance(driver, RedisCluster):
        # A client that does not know the slots yet sends to any node; told that the key is
        # elsewhere, it closes every connection, with what is under way on them.
        await driver.initialize()
    return cast("object", await driver.execute_command(*words))


async def execute_all(driver: Driver, commands: Sequence[Sequence[Word]]) -> list[object]:
    """Send *commands* in one round trip, on a cluster in one to each node; return their answers.

    They are to change nothing: if the connection breaks meanwhile, they are sent again.

    Raises:
        BrokerError: If there is no answer, or one of them is an error.
    """
    try:
        return await _send_all(driver, commands)
    except BrokerError as error:
        if not is_broken(error):
            raise
        return await _send_all(driver, commands)


async def _send_all(driver: Driver, commands: Sequence[Sequence[Word]]) -> list[object]:
    pipeline = driver.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*map(_escaped, command))
    async with broker_errors(driver):
        return cast("list[object]", await pipeline.execute())


def _escaped(word: Word) -> Word:
    """Return the bytes of a name that Go wrote and that is no UTF-8, from what was read of it.

    Such names are rare: they are looked for only when the driver cannot encode a command.
    """
    if isinstance(word, str) and not word.isascii():  # the driver looks at a command's name
        return word.encode(errors="surrogateescape")
    return word
