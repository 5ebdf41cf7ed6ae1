"""HTTP/2 frames for a hostile client."""

import asyncio
import struct
from collections.abc import AsyncIterator

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, RESET, SETTINGS, WINDOW_UPDATE = 0, 1, 3, 4, 8
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_WINDOW = 65_535
_LARGEST_FRAME = 16_384


class Http2Client:
    """One connection with calls that begin but do not end.

    Attributes:
        ended: Streams that the server ended.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._window = _WINDOW
        self._more = asyncio.Event()
        self.ended: set[int] = set()

    async def listen(self) -> None:
        """Handle the server's frames until it ends the connection."""
        self._writer.write(PREFACE + frame(SETTINGS))
        async for kind, flags, stream, payload in self._frames():
            if kind == SETTINGS and not flags & _ACK:
                self._writer.write(frame(SETTINGS, flags=_ACK))
            if kind == WINDOW_UPDATE and stream == 0:
                self._window += int.from_bytes(payload)
                self._more.set()
            if kind == RESET or (kind in {HEADERS, DATA} and flags & _END_STREAM):
                self.ended.add(stream)

    async def begin(self, stream: int, path: str, message: bytes) -> None:
        """Begin a call, and send all of *message* but its last byte."""
        self._writer.write(frame(HEADERS, headers(path), flags=_END_HEADERS, stream=stream))
        sent = (b"\0" + struct.pack(">I", len(message)) + message)[:-1]
        for start in range(0, len(sent), _LARGEST_FRAME):
            part = sent[start : start + _LARGEST_FRAME]
            await self._room_for(len(part))
            self._writer.write(frame(DATA, part, stream=stream))
        await self._writer.drain()

    async def _room_for(self, size: int) -> None:
        while self._window < size:
            self._more.clear()
            await self._more.wait()
        self._window -= size

    async def _frames(self) -> AsyncIterator[tuple[int, int, int, bytes]]:
        try:
            while True:
                head = await self._reader.readexactly(9)
                payload = await self._reader.readexactly(int.from_bytes(head[:3]))
                yield head[3], head[4], int.from_bytes(head[5:]), payload
        except (asyncio.IncompleteReadError, ConnectionError):
            return


def frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = 0) -> bytes:
    """Return the bytes of a frame."""
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


def headers(path: str) -> bytes:
    """Return the headers of a gRPC call, in HPACK without Huffman coding."""
    post, http = b"\x83", b"\x86"
    names = (b"\x04", path), (b"\x01", "x"), (b"\x0f\x10", "application/grpc")
    te = b"\x00" + _text("te") + _text("trailers")
    return post + http + b"".join(name + _text(value) for name, value in names) + te


def _text(value: str) -> bytes:
    return bytes((len(value),)) + value.encode()
