"""``/healthz`` of a worker: 200 while it works and Redis answers, else 503."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from pyasynq.errors import BrokerError
from pyasynq.server import Server

PATIENCE_S: Final = 2.0
"""Longest wait for the request, and for Redis."""


@asynccontextmanager
async def serving(server: Server, host: str, port: int) -> AsyncGenerator[None]:
    """Serve the health of *server* at *host*:*port* while the block runs."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                request = await reader.readline()
            writer.write(await _response(server, request))
            await writer.drain()
        except (TimeoutError, ConnectionError, ValueError):
            return  # whoever asked is gone, or does not speak HTTP
        finally:
            writer.close()

    async with await asyncio.start_server(answer, host, port):
        yield


async def _response(server: Server, request: bytes) -> bytes:
    if not request.startswith((b"GET /healthz ", b"HEAD /healthz ")):
        return _http("404 Not Found", {"error": "ask for /healthz"})
    problem = await _problem(server)
    status = "503 Service Unavailable" if problem else "200 OK"
    return _http(status, {"server": server.id, "state": server.state, "problem": problem})


async def _problem(server: Server) -> str | None:
    if server.state != "active":
        return f"the server is {server.state}"
    try:
        async with asyncio.timeout(PATIENCE_S):
            await server.ping()
    except (BrokerError, TimeoutError) as error:
        return str(error) or "Redis does not answer"
    return None


def _http(status: str, body: dict[str, str | None]) -> bytes:
    data = msgspec.json.encode(body)
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + data
