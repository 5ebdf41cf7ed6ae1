"""``/healthz``: 200 if each worker takes tasks and reaches Redis, otherwise 503."""

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

PATH: Final = "/healthz"


class Health(msgspec.Struct):
    """The health of one worker; *problem* is None if it is well."""

    server: str | None = None
    state: str | None = None
    problem: str | None = None


def make_page(server: "Server") -> http.Page:
    """Return the page with the health of *server*."""

    async def health() -> http.Answer:
        problem = await _find_problem(server)
        return _answer(problem, {"server": server.id, "state": server.state, "problem": problem})

    return health


def make_page_of_all(files: Callable[[], Iterable[Path]]) -> http.Page:
    """Return the page with the health of several workers, each served in one of *files*."""

    async def health() -> http.Answer:
        workers = await asyncio.gather(*(read_health(file) for file in files()))
        problem = next((one.problem for one in workers if one.problem), None)
        return _answer(problem, {"problem": problem, "workers": workers})

    return health


async def read_health(file: Path) -> Health:
    """Return the health of the worker that serves it in the Unix socket *file*."""
    try:
        _, body = await http.ask(file, PATH)
        return msgspec.json.decode(body, type=Health)
    except (OSError, ValueError):
        return Health(problem="a worker does not answer")


def _answer(problem: str | None, body: Mapping[str, object]) -> http.Answer:
    return http.make_json("503 Service Unavailable" if problem else "200 OK", body)


async def _find_problem(server: "Server") -> str | None:
    if server.state != "active":
        return f"the server is {server.state}"
    try:
        async with asyncio.timeout(PATIENCE_S):
            await server.ping()
    except (BrokerError, TimeoutError) as error:
        return str(error) or "Redis does not answer"
    return None
