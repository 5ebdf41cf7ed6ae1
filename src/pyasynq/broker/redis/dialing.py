"""Open connections: names to addresses, addresses to sockets.

Whoever answers is found among several, one of which may be gone without a word, in a fraction of
the time that a call may take.

Differs:
    The driver looks names up in the event loop's default pool, which handlers may fill, and gives
    the first address of a name all the time there is.
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

T = TypeVar("T")
Attempt: TypeAlias = Callable[[], Coroutine[Any, Any, T]]
Place: TypeAlias = tuple[int, Any]
"""A family of addresses, and an address of it."""
Question: TypeAlias = tuple[int, str, int]
"""Process, host and port: a child does not wait for a thread that its parent has."""

HEAD_START_S: Final = 0.25
"""Time for which an address of a name is tried alone (RFC 8305)."""

_asked: Final[dict[Question, Future[list[Place]]]] = {}


# -- the first of several --------------------------------------------------------------------------


async def first_of(
    attempts: Sequence[Attempt[T]],
    *,
    head_start_s: float,
    patience_s: float = math.inf,
    discard: Callable[[T], object] = lambda _: None,
) -> T | list[Exception]:
    """Return the result of the first of *attempts* that succeeds, else why each has failed.

    Each begins when the one before it has failed, or has gone on for a while. Those that are under
    way at the end are cancelled.

    Args:
        attempts: At least one.
        head_start_s: Seconds between two beginnings; less if not all could begin in time.
        patience_s: Longest wait for all of them, seconds.
        discard: Gets the results that are not returned.
    """
    loop = asyncio.get_running_loop()
    over = loop.time() + patience_s
    head_start_s = min(head_start_s, patience_s / (len(attempts) + 1))
    waiting = list(attempts)
    tasks: list[asyncio.Task[T]] = []
    first: asyncio.Task[T] | None = None
    try:
        while loop.time() < over and (waiting or not _all_failed(tasks)):
            if waiting:
                tasks.append(loop.create_task(waiting.pop(0)()))
            limit_s = min(over - loop.time(), head_start_s if waiting else math.inf)
            await _first_ends(tasks, limit_s)
            first = next(filter(_has_succeeded, tasks), None)
            if first is not None:
                return first.result()
    finally:
        await _cancel(tasks)
        for task in filter(_has_succeeded, tasks):
            if task is not first:
                discard(task.result())
    return [*map(_failure, tasks), *(TimeoutError() for _ in waiting)]


async def _first_ends(tasks: Sequence[asyncio.Task[Any]], limit_s: float) -> None:
    """Wait until one of those that are under way ends, or *limit_s* seconds have passed."""
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


async def look_up(host: str, port: int) -> list[Place]:
    """Return the addresses of *host*, in the order in which they should be tried.

    A name is looked up in a thread of its own: the event loop's pool belongs to handlers. Whoever
    asks for the same meanwhile shares the answer, so there is one thread for each name at most.

    Raises:
        OSError: If it has none.
    """
    try:
        return _places(host, port, socket.AI_NUMERICHOST)
    except socket.gaierror:
        return await asyncio.wrap_future(_ask((os.getpid(), host, port)))


def _ask(question: Question) -> Future[list[Place]]:
    mine: Future[list[Place]] = Future()
    mine.set_running_or_notify_cancel()  # whoever gives up does not end it for the others
    shared = _asked.setdefault(question, mine)
    if shared is mine:
        thread = threading.Thread(
            target=_answer, args=(question, mine), name=f"names {question[1]}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:
            del _asked[question]
            mine.set_exception(OSError(str(error)))
    return shared


def _answer(question: Question, asked: Future[list[Place]]) -> None:
    _, host, port = question
    try:
        places = _places(host, port)
    except Exception as error:  # noqa: BLE001 - those who wait must hear of whatever it is
        del _asked[question]
        asked.set_exception(error)
    else:
        del _asked[question]
        asked.set_result(places)


def _places(host: str, port: int, flags: int = 0) -> list[Place]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return [(family, address) for family, _, _, _, address in found]


# -- sockets ---------------------------------------------------------------------------------------


async def dial(host: str, port: int) -> socket.socket:
    """Return a socket that is connected to *host*, whichever of its addresses answers first.

    Raises:
        OSError: If none does.
    """
    attempts = [partial(_connected, place) for place in await look_up(host, port)]
    if len(attempts) == 1:
        return await attempts[0]()
    found = await first_of(attempts, head_start_s=HEAD_START_S, discard=socket.socket.close)
    if isinstance(found, list):
        raise found[-1]
    return found


async def _connected(place: Place) -> socket.socket:
    family, address = place
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setblocking(False)
        await asyncio.get_running_loop().sock_connect(opened, address)
    except BaseException:
        opened.close()
        raise
    return opened


class TcpConnection(Connection):
    """A connection over a network, which `dial` opens."""

    def __init__(self, *, ssl_server_name: str | None = None, **settings: Any) -> None:  # noqa: ANN401 - the driver's own settings
        """Take the driver's settings, and the certificate's name if that is not the host's."""
        super().__init__(**settings)
        self._server_name = ssl_server_name
        self._dialed: socket.socket | None = None

    async def _connect(self) -> None:
        inherited: Any = super()  # redis-py is typed only in part
        async with asyncio.timeout(self.socket_connect_timeout):
            self._connection_arguments()  # reads the files of TLS, which may fail
            self._dialed = await dial(self.host, self.port)
            await inherited._connect()  # noqa: SLF001 - of the same connection

    def _connection_arguments(self) -> Mapping[str, Any]:
        arguments = dict(cast("Mapping[str, Any]", super()._connection_arguments()))
        arguments["sock"] = self._dialed
        host = arguments.pop("host")
        del arguments["port"]
        if "ssl" in arguments:
            arguments["server_hostname"] = self._server_name or host
        return arguments


class TlsConnection(TcpConnection, SSLConnection):
    """One with TLS."""


class PrimaryConnection(TcpConnection, SentinelManagedConnection):
    """One to the primary that sentinels name."""


class TlsPrimaryConnection(TcpConnection, SentinelManagedSSLConnection):
    """One with TLS to the primary that sentinels name."""
