"""A small HTTP server for probes and scrapers: GET and HEAD on a few paths."""

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import click
import msgspec

from pyasynq.core.errors import BrokerError
from pyasynq.runtime.forks import notify_on_fork

PATIENCE_S: Final = 2.0
"""Longest wait for a request."""

ANSWER_S: Final = 30.0
"""Longest wait for a page."""

READING_S: Final = 30.0
"""Longest wait for the client to read the page."""


class Answer(NamedTuple):
    """A response."""

    status: str
    type: str
    body: bytes


Page: TypeAlias = Callable[[], Awaitable[Answer]]
_Handler: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def make_json(status: str, body: Mapping[str, object]) -> Answer:
    """Return *body* as JSON."""
    return Answer(status, "application/json", msgspec.json.encode(body))


@asynccontextmanager
async def serve(host: str, port: int, pages: Mapping[str, Page]) -> AsyncGenerator[None]:
    """Serve *pages*, by their paths, at *host*:*port* while the block runs.

    Raises:
        click.UsageError: If the address cannot be used.
    """
    with _address_errors(host, port):
        server = await asyncio.start_server(_make_handler(pages), host, port)
    async with _open(server):
        yield


@contextmanager
def _address_errors(host: str, port: int) -> Generator[None]:
    try:
        yield
    except UnicodeError as error:
        msg = f"cannot listen at {host}:{port}: {host!r} cannot be the name of a host"
        raise click.UsageError(msg) from error
    except OSError as error:
        # The text of asyncio repeats the address. An unknown host has a negative number.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        msg = f"cannot listen at {host}:{port}: {reason}"
        raise click.UsageError(msg) from error


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at *host*:*port*.

    Raises:
        click.UsageError: If the address cannot be used.
    """
    with _address_errors(host, port):
        family, *_, found = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(found[:2], family=family)


@asynccontextmanager
async def serve_in_socket(file: Path, pages: Mapping[str, Page]) -> AsyncGenerator[None]:
    """Serve *pages*, by their paths, in the Unix socket *file* while the block runs."""
    async with _open(await asyncio.start_unix_server(_make_handler(pages), file)):
        yield


async def ask(file: Path, path: str) -> tuple[int, bytes]:
    """Return status and body of the page *path*, served in the Unix socket *file*.

    Raises:
        OSError: If there is no answer; also TimeoutError.
        ValueError: If the answer is not HTTP.
    """
    async with asyncio.timeout(2 * PATIENCE_S):
        reader, writer = await asyncio.open_unix_connection(file)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\n\r\n".encode())
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        finally:
            writer.close()
    return int(head.split(b" ", 2)[1] if b" " in head else b""), body


@asynccontextmanager
async def _open(server: asyncio.Server) -> AsyncGenerator[None]:
    sockets = _ListeningSockets(server)
    notify_on_fork(sockets)
    async with server:
        yield


def _make_handler(pages: Mapping[str, Page]) -> _Handler:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if request := await _read_request(reader):
                page = await _answer(request, pages)
                await _send(writer, _encode(page, head=request.startswith(b"HEAD")))
        finally:
            writer.close()

    return answer


async def _read_request(reader: asyncio.StreamReader) -> bytes:
    """Return the first line; empty if the client is gone, too slow, or does not speak HTTP."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await reader.readline()
    except (TimeoutError, ConnectionError, ValueError):
        return b""


class _ListeningSockets:
    """Closes the sockets of *server* in a forked child, which would keep the address in use."""

    def __init__(self, server: asyncio.Server) -> None:
        self._server = server

    def after_fork(self) -> None:
        nothing = os.open(os.devnull, os.O_RDWR)
        for listener in self._server.sockets:  # objects own the numbers, so replace, do not close
            os.dup2(nothing, listener.fileno(), inheritable=False)
        os.close(nothing)


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Send all of *data*; close the connection if the client does not read it in time."""
    writer.transport.set_write_buffer_limits(0)  # drain() then waits for all, and close() does not
    writer.write(data)
    try:
        async with asyncio.timeout(READING_S):
            await writer.drain()
    except (TimeoutError, ConnectionError):
        writer.transport.abort()


async def _answer(request: bytes, pages: Mapping[str, Page]) -> Answer:
    method, _, rest = request.partition(b" ")
    path = rest.split(b" ")[0].partition(b"?")[0].decode("latin-1")
    if method not in {b"GET", b"HEAD"} or path not in pages:
        return make_json("404 Not Found", {"error": f"ask for {' or '.join(pages)}"})
    try:
        async with asyncio.timeout(ANSWER_S):
            return await pages[path]()
    except (BrokerError, TimeoutError) as error:
        problem = str(error) or "the broker does not answer"
        return make_json("503 Service Unavailable", {"error": problem})


def _encode(answer: Answer, *, head: bool) -> bytes:
    lines = (
        f"HTTP/1.1 {answer.status}",
        f"Content-Type: {answer.type}",
        f"Content-Length: {len(answer.body)}",
        "Connection: close",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if head else answer.body)
