"""``/healthz`` of a worker: 200 while it works and Redis answers, else 503."""

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final

from pyasynq.cli import http
from pyasynq.errors import BrokerError
from pyasynq.server import Server

PATIENCE_S: Final = 2.0
"""Longest wait for Redis."""

NO_PAGES: Final[Mapping[str, http.Page]] = {}


def serving(
    server: Server, host: str, port: int, pages: Mapping[str, http.Page] = NO_PAGES
) -> AbstractAsyncContextManager[None]:
    """Serve the health of *server*, and other *pages*, at *host*:*port* while the block runs."""

    async def health() -> http.Answer:
        problem = await _problem(server)
        status = "503 Service Unavailable" if problem else "200 OK"
        return http.json(status, {"server": server.id, "state": server.state, "problem": problem})

    return http.serving(host, port, {"/healthz": health, **pages})


async def _problem(server: Server) -> str | None:
    if server.state != "active":
        return f"the server is {server.state}"
    try:
        async with asyncio.timeout(PATIENCE_S):
            await server.ping()
    except (BrokerError, TimeoutError) as error:
        return str(error) or "Redis does not answer"
    return None
