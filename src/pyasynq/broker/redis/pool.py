"""Connection pools: check a connection before it is used, close those that nobody needs."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

from redis import exceptions as driver_errors
from redis.asyncio import ConnectionPool, RedisCluster
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.sentinel import SentinelConnectionPool

from pyasynq.broker.redis.connection import CLOSED_AT_ONCE, is_broken
from pyasynq.broker.redis.dialing import TcpConnection, TlsConnection

IDLE_S: Final = 30.0
"""A connection that was not needed for this time is closed, after twice the time at the latest.

Firewalls and load balancers drop idle connections after minutes, some without closing them.
"""


class SweepTimer:
    """Calls a function every `IDLE_S` seconds until there are no connections to close."""

    def __init__(self, sweep: Callable[[], bool]) -> None:
        """Call *sweep*, which returns whether connections are left."""
        self._sweep = sweep
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start the timer if it does not run."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(IDLE_S, self._call)

    def stop(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _call(self) -> None:
        self._timer = None
        if self._sweep():
            self.start()


class _SweptPool(ConnectionPool):
    """A pool that closes connections that were not needed for a while.

    The connection released last is used next, so the unneeded ones stay at the list's start.

    Differs:
        The driver's pool also counts its connections for OpenTelemetry, and tells listeners that
        renew credentials, which addresses cannot have. That takes a third of the time of a call.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:  # noqa: ANN401 - the driver's own settings
        super().__init__(*args, **settings)
        self._spare = 0
        self._sweep_timer = SweepTimer(self.sweep)

    def get_available_connection(self) -> AbstractConnection:
        pool: Any = super()  # typed only in part
        connection: AbstractConnection = pool.get_available_connection()
        self._spare = min(self._spare, len(self._available_connections))
        return connection

    async def get_connection(self, *_: object, **__: object) -> AbstractConnection:
        connection = self.get_available_connection()
        try:
            await self.ensure_connection(connection)
        except BaseException:
            await self.release(connection)
            raise
        return connection

    async def ensure_connection(self, connection: AbstractConnection) -> None:
        if is_gone(connection):
            await connection.disconnect(nowait=True)
        elif connection.is_connected and not await connection.can_read():
            return
        try:
            await super().ensure_connection(connection)
        except driver_errors.ConnectionError as error:
            if is_broken(error):
                raise driver_errors.ConnectionError(CLOSED_AT_ONCE) from error
            raise

    async def release(self, connection: AbstractConnection) -> None:
        self._in_use_connections.remove(connection)
        released: Any = connection  # typed only in part
        if released.should_reconnect():
            await connection.disconnect()
        self._available_connections.append(connection)
        self._sweep_timer.start()

    async def disconnect(self, inuse_connections: bool = True) -> None:  # noqa: FBT001 - as the driver has it
        """Close connections; see the driver's pool.

        Differs:
            Idle connections are closed without awaiting, so that no other call takes one meanwhile.
        """
        if inuse_connections:
            await super().disconnect()
        for connection in self._available_connections:
            await connection.disconnect(nowait=True)

    async def aclose(self) -> None:
        self._sweep_timer.stop()
        await super().aclose()

    def sweep(self) -> bool:
        """Close connections that nobody needed since the last sweep; return whether any is left."""
        unused, self._available_connections = (
            self._available_connections[: self._spare],
            self._available_connections[self._spare :],
        )
        self._spare = len(self._available_connections)
        _close(unused)
        return bool(self._available_connections or self._in_use_connections)


class Pool(_SweptPool):
    """The pool of one server."""


class SentinelPool(_SweptPool, SentinelConnectionPool):
    """The pool of the primary that sentinels name."""


class _CheckedConnection(AbstractConnection):
    """A connection to a cluster's node; the driver calls `should_reconnect` around each call."""

    def __init__(self, *, sweep_timer: SweepTimer, **settings: Any) -> None:  # noqa: ANN401 - the driver's own settings
        super().__init__(**settings)
        self._sweep_timer = sweep_timer
        self._checked_at = 0.0

    def should_reconnect(self) -> bool:
        """Return whether the driver must close it and open it again."""
        now = asyncio.get_running_loop().time()
        was_idle = now - self._checked_at > 2 * IDLE_S
        self._checked_at = now
        self._sweep_timer.start()
        inherited: Any = super()  # typed only in part
        return was_idle or is_gone(self) or bool(inherited.should_reconnect())


class _NodeConnection(_CheckedConnection, TcpConnection):
    """A connection without TLS."""


class _NodeTlsConnection(_CheckedConnection, TlsConnection):
    """A connection with TLS."""


def check_connections(cluster: RedisCluster) -> RedisCluster:
    """Make *cluster* check its connections before use, and close those that nobody needs."""
    settings = cluster.connection_kwargs
    with_tls = issubclass(settings["connection_class"], TlsConnection)
    kind: Any = _NodeTlsConnection if with_tls else _NodeConnection
    sweep_timer = SweepTimer(lambda: _close_half(cluster))
    settings |= {"connection_class": kind, "sweep_timer": sweep_timer}
    for node in cluster.nodes_manager.startup_nodes.values():
        node.connection_class = kind
        node.connection_kwargs["sweep_timer"] = sweep_timer
    return cluster


def _close_half(cluster: RedisCluster) -> bool:
    """Close half of each node's free connections; return whether a node has several left.

    A node uses its connections in turn, so nothing shows which are needed. A needed one is opened
    again. The last one stays open.
    """
    left = False
    for node in cast("list[Any]", cluster.get_nodes()):  # the driver can close only all of them
        free = node._free  # noqa: SLF001
        unused = [free.popleft() for _ in range(len(free) // 2)]
        for connection in unused:
            node._connections.remove(connection)  # noqa: SLF001
        _close(unused)
        left = left or len(node._connections) > 1  # noqa: SLF001
    return left


def is_gone(connection: Any) -> bool:  # noqa: ANN401 - reads private attributes of the driver
    """Return whether the other side is known to have closed or reset *connection*."""
    reader: asyncio.StreamReader | None = connection._reader  # noqa: SLF001
    return reader is not None and (reader.at_eof() or reader.exception() is not None)


def _close(connections: list[Any]) -> None:
    for connection in connections:
        connection._close()  # noqa: SLF001 - the public method awaits, and a timer cannot
