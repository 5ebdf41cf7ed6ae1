"""Serve an ASGI application on a real server, and call it."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from tests.support.waiting import wait_until

PATIENCE_S = 60


def http_client(**settings: Any) -> httpx.AsyncClient:  # noqa: ANN401 - those of httpx
    """Return a client for HTTP without TLS, with *settings* of `httpx.AsyncClient`.

    A client for TLS reads the certificates of all authorities, which takes 30 ms of CPU.
    """
    return httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(verify=False), **settings)


class _Server(uvicorn.Server):
    """A server that leaves the signals of the test's process alone."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@asynccontextmanager
async def serving(web: Any) -> AsyncGenerator[httpx.AsyncClient]:  # noqa: ANN401 - an ASGI application
    """Serve *web* in this event loop while the block runs; yield a client of it."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/http.sock"
        server = _Server(uvicorn.Config(web, uds=path, lifespan="on", log_config=None))
        running = asyncio.create_task(server.serve())
        await wait_until(lambda: server.started)
        try:
            async with calling(Path(path)) as client:
                yield client
        finally:
            server.should_exit = True
            await running


@asynccontextmanager
async def calling(socket: Path) -> AsyncGenerator[httpx.AsyncClient]:
    """Yield a client of the server on *socket*, once it is there."""
    await wait_until(socket.exists)
    transport = httpx.AsyncHTTPTransport(uds=str(socket))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://shop", timeout=PATIENCE_S
    ) as client:
        yield client
