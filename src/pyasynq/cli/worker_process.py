"""The supervisor's side of its worker processes."""

import asyncio
import itertools
import os
import signal
import socket
import sys
import time
import uuid
from asyncio.subprocess import Process
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from pyasynq.cli import metrics_pages
from pyasynq.cli.supervised import ASK, CHILD, DEAD_SERVER, LINKED, RETIRE, SERVER_ID, SOCKET
from pyasynq.runtime.loggers import get_logger
from pyasynq.runtime.os_signals import send

log: Final = get_logger("pyasynq.supervisor")

METRICS: Final = "PROMETHEUS_MULTIPROC_DIR"

KILL_AFTER_S: Final = 5.0
"""Time after the longest stop until a process is killed."""

START_S: Final = 60.0
"""Time for which a process may import its app before it counts as silent."""

CHUNK: Final = 1024
"""Bytes of a process's messages that are read at once."""


class WorkerProcess:
    """A worker process and its server.

    Attributes:
        server_id: Id of its server.
        socket: The Unix socket in which it serves its health.
        started_at: When it was started, seconds on the monotonic clock.
        is_stopping: `stop` was called.
        asked: Set when it asks to be replaced.
    """

    def __init__(
        self, process: Process, link: socket.socket, *, server_id: str, socket: Path, stop_s: float
    ) -> None:
        """Control *process*.

        Args:
            process: The process, which has just been started.
            link: Leads to its stdin.
            server_id: Id of its server.
            socket: The Unix socket in which it serves its health.
            stop_s: Time after which it is killed if it has been told to end, seconds.
        """
        self.server_id = server_id
        self.socket = socket
        self.started_at: float = time.monotonic()
        self.is_stopping: bool = False
        self.asked: asyncio.Event = asyncio.Event()
        self._process = process
        self._link = link
        self._stop_s = stop_s
        self._alive_at: float | None = None
        self._ended = asyncio.create_task(self._wait())

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it has ended."""
        return self._ended.done()

    @property
    def silent_s(self) -> float:
        """Seconds since the last sign of life of its event loop; the first may take `START_S`."""
        now = time.monotonic()
        if self._alive_at is None:
            return max(0.0, now - self.started_at - START_S)
        return now - self._alive_at

    async def wait(self) -> int:
        """Wait for its end; return the exit code, negative for a signal."""
        return await asyncio.shield(self._ended)

    def send(self, number: int) -> None:
        """Send a signal."""
        send(self._process, number)

    def stop(self, *, force: bool = False) -> None:
        """Tell it to end, and kill it if it does not; tell it again only with *force*.

        A second signal interrupts its tasks.
        """
        if self.is_stopping and not force:
            return
        self.is_stopping = True
        self.send(signal.SIGTERM)
        wait_s = KILL_AFTER_S if force else self._stop_s
        asyncio.get_running_loop().call_later(wait_s, self._kill)

    def retire(self) -> None:
        """Tell it that another takes tasks in its place: it ends when its running tasks have."""
        with suppress(BrokenPipeError, ConnectionResetError):  # it has just ended
            self._link.send(RETIRE)

    def _kill(self) -> None:
        if self._process.returncode is None:
            log.warning("worker %s does not end: it is killed", self.server_id)
            self.send(signal.SIGKILL)

    async def _wait(self) -> int:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._link, self._read)
        try:
            return await self._process.wait()
        finally:
            loop.remove_reader(self._link)
            self._link.close()

    def _read(self) -> None:
        """Read messages of the process."""
        messages = b""
        with suppress(ConnectionResetError):
            messages = self._link.recv(CHUNK)
        if not messages:  # the socket is closed
            asyncio.get_running_loop().remove_reader(self._link)
            return
        self._alive_at = time.monotonic()
        if ASK in messages:
            self.asked.set()


class WorkerProcesses:
    """Starts worker processes, and knows those that run."""

    def __init__(
        self, command: Sequence[str], folder: Path, stop_s: float, metrics: Path | None
    ) -> None:
        """Begin with none.

        Args:
            command: The command line.
            folder: Where the processes serve their health.
            stop_s: Longest time that one takes to stop, seconds.
            metrics: Folder in which they keep their metrics, if they have any.
        """
        self._command = command
        self._folder = folder
        self._stop_s = stop_s
        self._metrics = metrics
        self._running: dict[int, WorkerProcess | None] = {}
        self._watches: set[asyncio.Task[None]] = set()

    def __iter__(self) -> Iterator[WorkerProcess]:
        """Yield those that run."""
        return iter([process for process in self._running.values() if process is not None])

    async def start(self, dead: str) -> WorkerProcess:
        """Start a process.

        Args:
            dead: Id of a dead server whose tasks it recovers; empty for none.

        Raises:
            OSError: If the system cannot start one now.
        """
        # A number that no running process has. It names the files of the process: numbers that are
        # used again keep the files of metrics few, however often processes are replaced.
        number = next(n for n in itertools.count() if n not in self._running)
        self._running[number] = None
        try:
            self._running[number] = process = await self._start(number, dead)
        except BaseException:
            del self._running[number]
            raise
        watch = asyncio.create_task(self._watch(number, process))
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)
        return process

    async def wait(self) -> None:
        """Return when no process runs."""
        while self._watches:
            await asyncio.wait(self._watches)

    async def _start(self, number: int, dead: str) -> WorkerProcess:
        server_id, file = str(uuid.uuid4()), self._folder / str(number)
        own = {CHILD: LINKED, SERVER_ID: server_id, DEAD_SERVER: dead, SOCKET: str(file)}
        if self._metrics is not None:
            own[METRICS] = str(self._metrics)
        link, stdin = socket.socketpair()
        with stdin:
            try:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "pyasynq",
                    *self._command,
                    stdin=stdin.fileno(),
                    env=os.environ | own,
                    start_new_session=True,  # or Ctrl-C would reach the child twice
                )
            except BaseException:
                link.close()
                raise
        link.setblocking(False)
        return WorkerProcess(process, link, server_id=server_id, socket=file, stop_s=self._stop_s)

    async def _watch(self, number: int, process: WorkerProcess) -> None:
        """Forget *process* once it has ended."""
        await process.wait()
        del self._running[number]
        if self._metrics is not None:
            metrics_pages.forget_process(self._metrics, number)
