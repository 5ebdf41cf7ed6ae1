"""Connections that are kept: looked at before they are used, and let go when nobody needs them."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

from redis import exceptions as driver_errors
from redis.asyncio import ConnectionPool, RedisCluster
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.sentinel import SentinelConnectionPool

from pyasynq.broker.redis.connection import CLOSED_AT_ONCE, broke
from pyasynq.broker.redis.dialing import TcpConnection, TlsConnection

IDLE_S: Final = 30.0
"""A connection that was not needed for so long is closed, after twice that at the latest.

Firewalls and load balancers forget idle connections after minutes, some without a word.
"""


class Sweeping:
    """Calls a function every `IDLE_S` seconds, as long as there is something to sweep."""

    def __init__(self, sweep: Callable[[], bool]) -> None:
        """Call *sweep*, which tells whether something is left."""
        self._sweep = sweep
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Begin, unless it has begun."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(IDLE_S, self._call)

    def end(self) -> None:
        """Call it no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _call(self) -> None:
        self._timer = None
        if self._sweep():
            self.begin()


class _Thrifty(ConnectionPool):
    """A pool that closes what was not needed for a while.

    The connection that came back last is used next, so those that are too many stay at the left.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:  # noqa: ANN401 - the driver's own settings
        super().__init__(*args, **settings)
        self._spare = 0
        self._sweeping = Sweeping(self.sweep)

    def get_available_connection(self) -> AbstractConnection:
        pool: Any = super()  # typed only in part
        connection: AbstractConnection = pool.get_available_connection()
        self._spare = min(self._spare, len(self._available_connections))
        return connection

    async def ensure_connection(self, connection: AbstractConnection) -> None:
        if is_gone(connection):
            await connection.disconnect(nowait=True)
        try:
            await super().ensure_connection(connection)
        except driver_errors.ConnectionError as error:
            if broke(error):
                raise driver_errors.ConnectionError(CLOSED_AT_ONCE) from error
            raise

    async def release(self, connection: AbstractConnection) -> None:
        await super().release(connection)
        self._sweeping.begin()

    async def disconnect(self, inuse_connections: bool = True) -> None:  # noqa: FBT001 - as the driver has it
        """Close connections; see the driver's pool.

        Differs:
            Idle ones are closed without a pause, in which another call could take one.
        """
        if inuse_connections:
            await super().disconnect()
        for connection in self._available_connections:
            await connection.disconnect(nowait=True)

    async def aclose(self) -> None:
        self._sweeping.end()
        await super().aclose()

    def sweep(self) -> bool:
        """Close the connections that nobody needed since the last time; tell if some are left."""
        unused, self._available_connections = (
            self._available_connections[: self._spare],
            self._available_connections[self._spare :],
        )
        self._spare = len(self._available_connections)
        _close(unused)
        return bool(self._available_connections or self._in_use_connections)


class Pool(_Thrifty):
    """The pool of one server."""


class SentinelPool(_Thrifty, SentinelConnectionPool):
    """The pool of the primary that sentinels name."""


class _Watched(AbstractConnection):
    """A connection of a cluster's node, which asks it before and after each call."""

    def __init__(self, *, sweeping: Sweeping, **settings: Any) -> None:  # noqa: ANN401 - the driver's own settings
        super().__init__(**settings)
        self._sweeping = sweeping
        self._looked_at = 0.0

    def should_reconnect(self) -> bool:
        """Tell whether it is to be closed and opened anew."""
        now = asyncio.get_running_loop().time()
        was_idle = now - self._looked_at > 2 * IDLE_S
        self._looked_at = now
        self._sweeping.begin()
        marked: Any = super()  # typed only in part
        return was_idle or is_gone(self) or bool(marked.should_reconnect())


class _NodeConnection(_Watched, TcpConnection):
    """Without TLS."""


class _NodeTlsConnection(_Watched, TlsConnection):
    """With TLS."""


def watch(cluster: RedisCluster) -> RedisCluster:
    """Have the connections of *cluster* looked at, and those closed that are too many."""
    settings = cluster.connection_kwargs
    with_tls = issubclass(settings["connection_class"], TlsConnection)
    kind: Any = _NodeTlsConnection if with_tls else _NodeConnection
    sweeping = Sweeping(lambda: _halve(cluster))
    settings |= {"connection_class": kind, "sweeping": sweeping}
    for node in cluster.nodes_manager.startup_nodes.values():
        node.connection_class = kind
        node.connection_kwargs["sweeping"] = sweeping
    return cluster


def _halve(cluster: RedisCluster) -> bool:
    """Close half of each node's free connections, but not the last; tell if several are left.

    A node uses them in turn, so all of them look needed; those that are will be opened again.
    """
    left = False
    for node in cast("list[Any]", cluster.get_nodes()):  # the driver has no way to close some
        free = node._free  # noqa: SLF001
        unused = [free.popleft() for _ in range(len(free) // 2)]
        for connection in unused:
            node._connections.remove(connection)  # noqa: SLF001
        _close(unused)
        left = left or len(node._connections) > 1  # noqa: SLF001
    return left


def is_gone(connection: Any) -> bool:  # noqa: ANN401 - looked at where the driver does not
    """Tell whether the other side has closed or reset *connection*, as far as is known here."""
    reader: asyncio.StreamReader | None = connection._reader  # noqa: SLF001
    return reader is not None and (reader.at_eof() or reader.exception() is not None)


def _close(connections: list[Any]) -> None:
    for connection in connections:
        connection._close()  # noqa: SLF001 - without waiting, which a timer cannot
