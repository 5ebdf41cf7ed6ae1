"""What probes ask: ``/livez``, ``/readyz`` and ``/healthz``, each 200 or 503 with the reason."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from pyasynq.cli import http
from pyasynq.core.errors import BrokerError

if TYPE_CHECKING:
    from pyasynq.server import Server

PATIENCE_S: Final = 2.0
"""Longest wait for the broker."""

SILENT_S: Final = 10.0
"""A worker process is not alive if its event loop has given no sign of life for this time."""

LIVE: Final = "/livez"
"""The event loop answers."""

READY: Final = "/readyz"
"""The worker takes tasks, and its last writes have succeeded."""

HEALTH: Final = "/healthz"
"""The worker takes tasks, and the broker answers now."""

NOT_STARTED: Final = "a worker has not started yet"


class Health(msgspec.Struct):
    """The answer of one worker; *problem* is None if it is well."""

    server: str | None = None
    state: str | None = None
    problem: str | None = None


class Process(Protocol):
    """A worker process, as its supervisor sees it."""

    server_id: str
    socket: Path

    @property
    def pid(self) -> int:
        """Process id."""
        ...

    @property
    def silent_s(self) -> float:
        """Seconds since the last sign of life of its event loop; 0 before the first."""
        ...


def make_pages(server: "Server") -> dict[str, http.Page]:
    """Return the pages about *server*, by their paths."""

    async def live() -> http.Answer:  # this function runs, so the event loop does
        return _answer(None, {"server": server.id, "state": server.state, "problem": None})

    async def ready() -> http.Answer:
        return _answer_for(server, server.problem)

    async def health() -> http.Answer:
        return _answer_for(server, await _find_problem(server))

    return {LIVE: live, READY: ready, HEALTH: health}


def make_pages_of_all(
    current: Callable[[], Iterable[Process | None]], running: Callable[[], Iterable[Process]]
) -> dict[str, http.Page]:
    """Return the pages about several workers, by their paths.

    Args:
        current: Returns the processes that should take tasks; None for one that has not started.
        running: Returns all processes that run, also those that only finish their last tasks.
    """

    async def live() -> http.Answer:
        workers = [_read_life(process) for process in running()]
        return _answer_for_all(workers)

    def ask_all(path: str) -> http.Page:
        async def page() -> http.Answer:
            answers = (_read_answer(process, path) for process in current())
            return _answer_for_all(await asyncio.gather(*answers))

        return page

    return {LIVE: live, READY: ask_all(READY), HEALTH: ask_all(HEALTH)}


async def read_health(file: Path, path: str = HEALTH) -> Health:
    """Return the answer for *path* of the worker that serves it in the Unix socket *file*."""
    try:
        _, body = await http.ask(file, path)
        return msgspec.json.decode(body, type=Health)
    except (OSError, ValueError):
        return Health(problem="a worker does not answer")


async def _read_answer(process: Process | None, path: str) -> Health:
    if process is None:
        return Health(problem=NOT_STARTED)
    return await read_health(process.socket, path)


def _read_life(process: Process) -> Health:
    silent_s = process.silent_s
    if silent_s < SILENT_S:
        return Health(server=process.server_id)
    problem = f"the event loop of pid {process.pid} has been blocked for {silent_s:.0f} s"
    return Health(server=process.server_id, problem=problem)


def _answer_for(server: "Server", problem: str | None) -> http.Answer:
    return _answer(problem, {"server": server.id, "state": server.state, "problem": problem})


def _answer_for_all(workers: Iterable[Health]) -> http.Answer:
    problem = next((one.problem for one in workers if one.problem), None)
    return _answer(problem, {"problem": problem, "workers": workers})


def _answer(problem: str | None, body: Mapping[str, object]) -> http.Answer:
    return http.make_json("503 Service Unavailable" if problem else "200 OK", body)


async def _find_problem(server: "Server") -> str | None:
    if server.state != "active":
        return f"the server is {server.state}"
    try:
        async with asyncio.timeout(PATIENCE_S):
            await server.ping()
    except (BrokerError, TimeoutError) as error:
        return str(error) or "the broker does not answer"
    return None
