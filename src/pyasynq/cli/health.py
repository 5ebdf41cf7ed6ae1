"""``/healthz``: 200 while a worker works and Redis answers, or all workers do; else 503."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from pyasynq.cli import http
from pyasynq.core.errors import BrokerError

if TYPE_CHECKING:
    from pyasynq.server import Server

PATIENCE_S: Final = 2.0
"""Longest wait for Redis."""

NO_PAGES: Final[Mapping[str, http.Page]] = {}
PATH: Final = "/healthz"


class Health(msgspec.Struct):
    """What a worker says of itself."""

    server: str | None = None
    state: str | None = None
    problem: str | None = None


def pages(server: "Server", more: Mapping[str, http.Page] = NO_PAGES) -> Mapping[str, http.Page]:
    """Return the page that shows the health of *server*, by its path, and *more*."""

    async def health() -> http.Answer:
        problem = await _problem(server)
        return _answer(problem, {"server": server.id, "state": server.state, "problem": problem})

    return {PATH: health, **more}


def page_of_all(files: Callable[[], Iterable[Path]]) -> http.Page:
    """Return the page that shows the health of the workers who serve theirs in *files*."""

    async def health() -> http.Answer:
        workers = await asyncio.gather(*(of_worker(file) for file in files()))
        problem = next((one.problem for one in workers if one.problem), None)
        return _answer(problem, {"problem": problem, "workers": workers})

    return health


async def of_worker(file: Path) -> Health:
    """Return what the worker says of itself who serves its health in *file*."""
    try:
        _, body = await http.ask(file, PATH)
        return msgspec.json.decode(body, type=Health)
    except (OSError, ValueError):
        return Health(problem="a worker does not answer")


def _answer(problem: str | None, body: Mapping[str, object]) -> http.Answer:
    return http.json("503 Service Unavailable" if problem else "200 OK", body)


async def _problem(server: "Server") -> str | None:
    if server.state != "active":
        return f"the server is {server.state}"
    try:
        async with asyncio.timeout(PATIENCE_S):
            await server.ping()
    except (BrokerError, TimeoutError) as error:
        return str(error) or "Redis does not answer"
    return None
