"""Replace a worker process that has run many tasks, or that uses much memory."""

import asyncio
import random
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import click

from pyasynq.cli.output import count
from pyasynq.runtime.loggers import get_logger
from pyasynq.runtime.memory import read_memory

if TYPE_CHECKING:
    from pyasynq.server import Server

log: Final = get_logger("pyasynq.worker")

CHECK_S: Final = 0.5
"""Time between two checks."""

JITTER: Final = 0.1
"""Part of the tasks by which processes differ: those that started together do not end together."""

MIB: Final = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a process must be replaced.

    Attributes:
        tasks: Number of tasks that it has taken; None for no limit.
        memory: Resident memory in bytes; None for no limit.
    """

    tasks: int | None
    memory: int | None

    @classmethod
    def draw(cls, *, max_tasks: int | None, max_memory: int | None) -> Self:
        """Return the limits of this process: 90 to 100 % of *max_tasks*, by chance."""
        share = 1 - JITTER * random.random()
        tasks = None if max_tasks is None else max(1, round(max_tasks * share))
        return cls(tasks=tasks, memory=max_memory)

    def find_excess(self, taken: int) -> str | None:
        """Return which limit is reached; None if none is.

        Memory counts only after the first task: a process that is too large from the start would
        otherwise be replaced without having done anything.

        Args:
            taken: Number of tasks that the process has taken.
        """
        if self.tasks is not None and taken >= self.tasks:
            return f"{count(taken, 'task')} taken (--max-tasks)"
        if self.memory is not None and taken and (used := read_memory()) > self.memory:
            return f"{used / MIB:.0f} MiB of memory in use (--max-memory)"
        return None


def check_memory(max_memory: int) -> None:
    """Return if this process, which has loaded the app, uses less than *max_memory* bytes.

    Raises:
        click.UsageError: If it uses more, or if this system cannot tell.
    """
    if sys.platform == "win32":
        msg = "--max-memory needs Linux or macOS"
        raise click.UsageError(msg)
    if (used := read_memory()) >= max_memory:
        msg = (
            f"--max-memory must be more than the {used / MIB:.0f} MiB that a worker of this app "
            "uses before its first task"
        )
        raise click.UsageError(msg)


class Recycler:
    """Ends a server that has reached its limits, once its running tasks have ended."""

    name = "recycler"

    def __init__(
        self, server: "Server", limits: Limits, make_way: Callable[[], Awaitable[None]]
    ) -> None:
        """Watch *server*.

        Args:
            server: The server.
            limits: Its limits.
            make_way: Returns when the server may stop taking tasks.
        """
        self._server = server
        self._limits = limits
        self._make_way = make_way

    async def run(self) -> None:
        """Wait until a limit is reached; then shut the server down.

        Every running task may end: its own timeout limits how long that takes. With the shutdown
        timeout instead, a task that takes longer would be interrupted again and again, as often as
        processes are replaced. A task that does not stop at its timeout is not waited for.
        """
        log.info("%s: this process is to be replaced", await self._wait_for_excess())
        await self._make_way()
        self._server.stop()
        await self._wait_for_tasks()
        log.info("running tasks have ended: shutting down server %s", self._server.id)
        self._server.shut_down()

    async def _wait_for_excess(self) -> str:
        """Return which limit is reached, once one is."""
        while True:
            if excess := self._limits.find_excess(self._server.load.taken):
                return excess
            await asyncio.sleep(CHECK_S)

    async def _wait_for_tasks(self) -> None:
        """Return when no task runs, other than those that are overdue."""
        while True:
            load = self._server.load
            if load.busy <= load.overdue:
                return
            await asyncio.sleep(CHECK_S)
