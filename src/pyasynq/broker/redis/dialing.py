"""Open connections: resolve names, and connect to the first address that answers.

If some addresses do not answer, this still takes only a fraction of the time limit of a call.

Differs:
    The driver resolves names in the event loop's default thread pool, which handlers may fill, and
    waits for the first address of a name until the time limit ends.
"""

import asyncio
import math
import os
import socket
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar, cast

from redis.asyncio import Connection, SSLConnection
from redis.asyncio.sentinel import SentinelManagedConnection, SentinelManagedSSLConnection

from pyasynq.broker.redis.packing import PackingConnection

T = TypeVar("T")
Attempt: TypeAlias = Callable[[], Coroutine[Any, Any, T]]
SocketAddress: TypeAlias = tuple[int, Any]
"""An address family and an address, as `socket.socket.connect` takes it."""
Lookup: TypeAlias = tuple[int, str, int]
"""Process id, host and port. The id keeps a forked child from waiting for its parent's thread."""

HEAD_START_S: Final = 0.25
"""Time after which the next address of a name is tried too (RFC 8305)."""

_lookups: Final[dict[Lookup, Future[list[SocketAddress]]]] = {}


# -- the first of several --------------------------------------------------------------------------


async def first_of(
    attempts: Sequence[Attempt[T]],
    *,
    head_start_s: float,
    timeout_s: float = math.inf,
    discard: Callable[[T], object] = lambda _: None,
) -> T | list[Exception]:
    """Return the result of the first of *attempts* that succeeds; if all fail, their errors.

    An attempt starts when the one before it has failed, or after *head_start_s*. Attempts that
    still run at the end are cancelled.

    Args:
        attempts: At least one.
        head_start_s: Seconds between two starts; less if *timeout_s* is too short for all.
        timeout_s: Longest wait for all of them together, seconds.
        discard: Called with each result that is not returned.
    """
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + timeout_s
    head_start_s = min(head_start_s, timeout_s / (len(attempts) + 1))
    waiting = list(attempts)
    tasks: list[asyncio.Task[T]] = []
    first: asyncio.Task[T] | None = None
    try:
        while loop.time() < ends_at and (waiting or not _all_failed(tasks)):
            if waiting:
                tasks.append(loop.create_task(waiting.pop(0)()))
            limit_s = min(ends_at - loop.time(), head_start_s if waiting else math.inf)
            await _wait_for_one(tasks, limit_s)
            first = next(filter(_has_succeeded, tasks), None)
            if first is not None:
                return first.result()
    finally:
        await _cancel(tasks)
        for task in filter(_has_succeeded, tasks):
            if task is not first:
                discard(task.result())
    return [*map(_failure, tasks), *(TimeoutError() for _ in waiting)]


async def _wait_for_one(tasks: Sequence[asyncio.Task[Any]], limit_s: float) -> None:
    """Wait until one of the running tasks ends, or *limit_s* seconds have passed."""
    await asyncio.wait(
        [task for task in tasks if not task.done()],
        timeout=None if limit_s == math.inf else limit_s,
        return_when=asyncio.FIRST_COMPLETED,
    )


async def _cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _has_succeeded(task: asyncio.Task[Any]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _all_failed(tasks: Sequence[asyncio.Task[Any]]) -> bool:
    return all(task.done() for task in tasks)


def _failure(task: asyncio.Task[Any]) -> Exception:
    error = None if task.cancelled() else task.exception()
    return error if isinstance(error, Exception) else TimeoutError()


# -- names -----------------------------------------------------------------------------------------


async def look_up(host: str, port: int) -> list[SocketAddress]:
    """Return the addresses of *host*, in the order in which to try them.

    A name is resolved in a thread of its own, because the event loop's pool belongs to handlers.
    Concurrent calls for one name share the answer, so each name has one thread at most.

    Raises:
        OSError: If the host has no address.
    """
    try:
        return _addresses(host, port, socket.AI_NUMERICHOST)
    except socket.gaierror:
        return await asyncio.wrap_future(_start_lookup((os.getpid(), host, port)))


def _start_lookup(lookup: Lookup) -> Future[list[SocketAddress]]:
    new: Future[list[SocketAddress]] = Future()
    new.set_running_or_notify_cancel()  # so a caller that gives up cannot cancel it for others
    shared = _lookups.setdefault(lookup, new)
    if shared is new:
        thread = threading.Thread(
            target=_resolve, args=(lookup, new), name=f"names {lookup[1]}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:
            del _lookups[lookup]
            new.set_exception(OSError(str(error)))
    return shared


def _resolve(lookup: Lookup, answer: Future[list[SocketAddress]]) -> None:
    _, host, port = lookup
    try:
        addresses = _addresses(host, port)
    except Exception as error:  # noqa: BLE001 - the callers that wait must get any error
        del _lookups[lookup]
        answer.set_exception(error)
    else:
        del _lookups[lookup]
        answer.set_result(addresses)


def _addresses(host: str, port: int, flags: int = 0) -> list[SocketAddress]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return [(family, address) for family, _, _, _, address in found]


# -- sockets ---------------------------------------------------------------------------------------


async def dial(host: str, port: int) -> socket.socket:
    """Return a socket that is connected to the first address of *host* that answers.

    Raises:
        OSError: If no address answers.
    """
    attempts = [partial(_connect_to, address) for address in await look_up(host, port)]
    if len(attempts) == 1:
        return await attempts[0]()
    found = await first_of(attempts, head_start_s=HEAD_START_S, discard=socket.socket.close)
    if isinstance(found, list):
        raise found[-1]
    return found


async def _connect_to(address: SocketAddress) -> socket.socket:
    family, sockaddr = address
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, sockaddr)
    except BaseException:
        connection.close()
        raise
    return connection


class TcpConnection(PackingConnection, Connection):
    """A connection over TCP, opened by `dial`."""

    def __init__(self, *, ssl_server_name: str | None = None, **settings: Any) -> None:  # noqa: ANN401 - the driver's own settings
        """Take the driver's settings; *ssl_server_name* is the certificate's name if not *host*."""
        super().__init__(**settings)
        self._server_name = ssl_server_name
        self._dialed: socket.socket | None = None

    async def _connect(self) -> None:
        inherited: Any = super()  # redis-py is typed only in part
        async with asyncio.timeout(self.socket_connect_timeout):
            self._connection_arguments()  # reads the TLS files, so that it fails before dialing
            self._dialed = await dial(self.host, self.port)
            await inherited._connect()  # noqa: SLF001 - a method of the base class

    def _connection_arguments(self) -> Mapping[str, Any]:
        arguments = dict(cast("Mapping[str, Any]", super()._connection_arguments()))
        arguments["sock"] = self._dialed
        host = arguments.pop("host")
        del arguments["port"]
        if "ssl" in arguments:
            arguments["server_hostname"] = self._server_name or host
        return arguments


class TlsConnection(TcpConnection, SSLConnection):
    """A TCP connection with TLS."""


class PrimaryConnection(TcpConnection, SentinelManagedConnection):
    """A TCP connection to the primary that sentinels name."""


class TlsPrimaryConnection(TcpConnection, SentinelManagedSSLConnection):
    """A TCP connection with TLS to the primary that sentinels name."""
