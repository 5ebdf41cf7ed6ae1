"""An address that stays while the server behind it changes, as with a load balancer."""

import asyncio
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, Self

_RESET_AT_CLOSE: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with zero seconds: closing the socket resets the connection."""


class Proxy:
    """Passes bytes between clients and one of several servers on loopback ports.

    Attributes:
        port: Port for clients, set when the proxy starts.
        opened: Number of connections so far.
    """

    def __init__(self, to: int | None) -> None:
        """Connect clients to the port *to*; see `lead`."""
        self.port = 0
        self.opened = 0
        self._to = to
        self._connections: set[_Connection] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.hang_up()
        await asyncio.gather(*(connection.ended() for connection in self._connections))

    @property
    def url(self) -> str:
        """The address that clients are given."""
        return f"redis://127.0.0.1:{self.port}"

    def count(self, said: bytes = b"") -> int:
        """Return the number of open connections; see `freeze` for *said*."""
        return len(self._select(said))

    def lead(self, to: int | None) -> None:
        """Connect new clients to the port *to*; open connections stay unchanged.

        None accepts connections and never answers.
        """
        self._to = to

    def freeze(self, said: bytes = b"") -> None:
        """Stop passing bytes on the open connections, in both directions, without closing them.

        Args:
            said: Select connections whose client has sent these bytes, such as `b"SUBSCRIBE"`.
        """
        for connection in self._select(said):
            connection.freeze()

    def hang_up(self, said: bytes = b"") -> None:
        """Close the open connections, as a server closes idle ones; see `freeze` for *said*."""
        for connection in self._select(said):
            connection.close()

    def reset(self, said: bytes = b"") -> None:
        """Reset the open connections, as a firewall does after a restart; see `freeze`."""
        for connection in self._select(said):
            connection.reset()

    def forget(self) -> None:
        """Reset each open connection when its client sends something; the bytes are lost."""
        for connection in self._connections:
            connection.forgets = True

    def lose_answers(self) -> None:
        """Pass what clients send on the open connections, but reset them instead of the answer."""
        for connection in self._connections:
            connection.loses_answers = True

    def _select(self, said: bytes) -> Sequence["_Connection"]:
        return [connection for connection in self._connections if said in connection.said]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        connection = _Connection(reader, writer)
        self._connections.add(connection)
        try:
            await connection.run(self._to)
        finally:
            self._connections.discard(connection)


class _Connection:
    """One client and its server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.said = bytearray()
        self._reader = reader
        self._writers = [writer]
        self._frozen = False
        self.forgets = False
        self.loses_answers = False
        self._end = asyncio.Event()
        self._ended = asyncio.Event()

    async def run(self, to: int | None) -> None:
        """Pass bytes until one side hangs up, or `close`."""
        pumps: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._end.wait())]
        try:
            if to is not None:
                with suppress(ConnectionError):
                    pumps += await self._pumps(to)
            else:
                pumps.append(asyncio.ensure_future(self._pump(self._reader, None)))
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            for writer in self._writers:
                writer.close()
            self._ended.set()

    async def _pumps(self, to: int) -> Sequence[asyncio.Future[None]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", to)
        self._writers.append(writer)
        there = self._pump(self._reader, writer)
        back = self._pump(reader, self._writers[0])
        return [asyncio.ensure_future(there), asyncio.ensure_future(back)]

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None
    ) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                if reader is self._reader:
                    self.said += data
                if self.forgets if reader is self._reader else self.loses_answers:
                    self.reset()
                    return
                if writer is not None and not self._frozen:
                    writer.write(data)
                    await writer.drain()
        if self._frozen:  # a side that is cut off does not notice that the other has closed
            await self._end.wait()

    def freeze(self) -> None:
        self._frozen = True

    def close(self) -> None:
        self._end.set()

    def reset(self) -> None:
        for writer in self._writers:
            end: socket.socket = writer.get_extra_info("socket")
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
        self.close()

    async def ended(self) -> None:
        await self._ended.wait()
