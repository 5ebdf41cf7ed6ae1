"""A name that stays while what is behind it changes: a load balancer, a floating address."""

import asyncio
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, Self

_RESET_AT_CLOSE: Final = struct.pack("ii", 1, 0)
"""SO_LINGER on, with no time: a close is a reset."""


class Proxy:
    """Passes bytes between clients and one of several servers on loopback ports.

    Attributes:
        port: Where clients connect, once it is entered.
        opened: How many connections there have been.
    """

    def __init__(self, to: int | None) -> None:
        """Lead connections to the port *to*; see `lead`."""
        self.port = 0
        self.opened = 0
        self._to = to
        self._links: set[_Link] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.hang_up()
        await asyncio.gather(*(outages.ended() for outages in self._links))

    @property
    def url(self) -> str:
        """The address that clients are given."""
        return f"redis://127.0.0.1:{self.port}"

    def count(self, said: bytes = b"") -> int:
        """Return how many connections are open; see `freeze`."""
        return len(self._which(said))

    def lead(self, to: int | None) -> None:
        """Lead new connections to the port *to*; those that are open stay where they are.

        None stands for nowhere: a new connection is accepted, and nothing ever answers.
        """
        self._to = to

    def freeze(self, said: bytes = b"") -> None:
        """Pass no more bytes on the open connections, in neither direction, and say nothing.

        Args:
            said: Only those whose client has sent these bytes, `b"SUBSCRIBE"` for instance.
        """
        for outages in self._which(said):
            outages.freeze()

    def hang_up(self, said: bytes = b"") -> None:
        """Close the open connections as a server does with idle ones; see `freeze`."""
        for outages in self._which(said):
            outages.close()

    def reset(self, said: bytes = b"") -> None:
        """Reset the open connections as a firewall does that forgot them; see `freeze`."""
        for outages in self._which(said):
            outages.reset()

    def forget(self) -> None:
        """Reset the open connections once their clients send something, which goes nowhere."""
        for outages in self._links:
            outages.forgets = True

    def lose_answers(self) -> None:
        """Pass what clients send on the open connections, and reset these instead of answering."""
        for outages in self._links:
            outages.loses_answers = True

    def _which(self, said: bytes) -> Sequence["_Link"]:
        return [outages for outages in self._links if said in outages.said]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        outages = _Link(reader, writer)
        self._links.add(outages)
        try:
            await outages.run(self._to)
        finally:
            self._links.discard(outages)


class _Link:
    """One client, and the server it was led to."""

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
        if self._frozen:  # who is cut off does not hear that the other is gone
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
