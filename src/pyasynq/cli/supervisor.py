"""Keep worker processes running.

A child that dies is replaced. The new child gets the id of the dead server and ends its leases, so
the tasks run again within seconds and not after the leases. Each child reads from a pipe of its
supervisor: if the supervisor dies, the pipe closes, and the child shuts down.
"""

import asyncio
import os
import signal
import sys
import time
import uuid
from asyncio.subprocess import Process
from collections.abc import Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from pyasynq.cli import health, http, metrics_pages
from pyasynq.cli.exit_codes import Exit
from pyasynq.cli.worker_options import WorkerOptions
from pyasynq.runtime.loggers import get_logger
from pyasynq.runtime.os_signals import STOP_SIGNALS, handle_os_signals, send
from pyasynq.runtime.waiting import wait_for_first

log: Final = get_logger("pyasynq.supervisor")

CHILD: Final = "PYASYNQ_SUPERVISED"
SERVER_ID: Final = "PYASYNQ_SERVER_ID"
DEAD_SERVER: Final = "PYASYNQ_DEAD_SERVER"
SOCKET: Final = "PYASYNQ_HEALTH_SOCKET"
METRICS: Final = "PROMETHEUS_MULTIPROC_DIR"

HEALTHY_S: Final = 10.0
"""A child that lived this long is replaced at once; after a shorter life there is a wait."""

LONGEST_WAIT_S: Final = 10.0
RELOAD_S: Final = 0.5

GRACE_S: Final = 5.0
"""Time after the longest stop until a child is killed."""

HOPELESS: Final = frozenset({Exit.USAGE, Exit.NOT_FOUND})
"""Exit codes with which every other child would end, too."""

READY_S: Final = 30.0
"""Time for a new child to become healthy."""

HEALTH_INTERVAL_S: Final = 0.1


def supervise(arguments: Sequence[str], options: WorkerOptions, *, longest_stop_s: float) -> int:
    """Run child processes of the worker's command until a stop signal; return the exit code.

    Args:
        arguments: The command line.
        options: The options of the command line.
        longest_stop_s: Longest time a child takes to stop, seconds.
    """
    count = options.processes or 1
    log.info("pid %d supervises %d worker%s", os.getpid(), count, "" if count == 1 else "s")
    with TemporaryDirectory(prefix="pyasynq-", ignore_cleanup_errors=True) as name:
        metrics = Path(os.environ.get(METRICS, name)) if options.metrics else None
        children = [
            _Child(arguments, Path(name, str(n)), longest_stop_s + GRACE_S, metrics)
            for n in range(count)
        ]
        supervisor = _Supervisor(children, reload=options.reload, burst=options.burst)
        return asyncio.run(supervisor.run(options.health_addr, metrics))


class _Supervisor:
    def __init__(self, children: "Sequence[_Child]", *, reload: bool, burst: bool) -> None:
        self._children = children
        self._reload = reload
        self._burst = burst
        self._stopping = asyncio.Event()
        self._changed = asyncio.Event()
        self._hung_up = asyncio.Event()
        self._code: int = Exit.OK

    async def run(self, address: tuple[str, int] | None, metrics: Path | None) -> int:
        with (
            handle_os_signals(STOP_SIGNALS, self._handle_stop),
            handle_os_signals(["SIGTSTP"], self._forward),
        ):
            async with self._serve(address, metrics):
                await self._run_children()
        log.info("all workers have ended")
        return self._code

    def _serve(
        self, address: tuple[str, int] | None, metrics: Path | None
    ) -> AbstractAsyncContextManager[None]:
        if address is None:
            return nullcontext()
        pages = {health.PATH: health.make_page_of_all(self._sockets)}
        if metrics is not None:
            pages[metrics_pages.PATH] = metrics_pages.make_page_of_all(metrics, self._sockets)
        return http.serve(*address, pages)

    def _sockets(self) -> list[Path]:
        return [child.socket for child in self._children if not child.is_over]

    async def _run_children(self) -> None:
        async with asyncio.TaskGroup() as group:
            runners = [group.create_task(self._run_child(child)) for child in self._children]
            others = [group.create_task(self._replace_all())]
            if self._reload:
                others.append(group.create_task(self._watch_files()))
            await asyncio.wait(runners)
            for other in others:
                other.cancel()

    def _handle_stop(self, number: int) -> None:
        if number == getattr(signal, "SIGHUP", None) and not _in_terminal():
            log.info("SIGHUP: the workers are replaced, one after another")
            self._hung_up.set()
        else:
            self._stop(number)

    def _stop(self, number: int) -> None:
        again = self._stopping.is_set()
        name = signal.Signals(number).name
        log.info("%s%s: stopping the workers", name, " again" if again else "")
        self._stopping.set()
        for child in self._children:
            child.end(force=again)

    def _forward(self, number: int) -> None:
        for child in self._children:
            child.send(number)

    async def _run_child(self, child: "_Child") -> None:
        """Start *child* again and again, until a stop or until another start cannot help."""
        wait_s = 0.0
        while not self._stopping.is_set():
            started = time.monotonic()
            self._changed.clear()
            process = await self._start(child)
            if process is None:
                break
            code = await child.wait(process)
            if child.is_reloading or self._stopping.is_set():
                continue
            if self._reload and code > 0:
                log.warning("the worker ended with %s; waiting for a change", _describe_exit(code))
                await self._wait_or_stop(self._changed.wait())
            elif code in HOPELESS or (self._burst and code >= 0):
                self._code = max(self._code, code)
                break
            else:
                wait_s = 0.0 if time.monotonic() - started > HEALTHY_S else wait_s
                log.warning(
                    "worker %s ended with %s; it is replaced", child.server_id, _describe_exit(code)
                )
                await self._wait_or_stop(asyncio.sleep(wait_s))
                wait_s = lengthen_wait(wait_s)
        child.is_over = True

    async def _start(self, child: "_Child") -> Process | None:
        """Start *child*, again and again if the system refuses; return None at a stop."""
        wait_s = 0.0
        while not self._stopping.is_set():
            try:
                return await child.start()
            except OSError as error:  # no processes, files or memory left
                wait_s = lengthen_wait(wait_s)
                log.error("no worker could be started: %s; again in %g s", error, wait_s)  # noqa: TRY400 - the text is enough
                await self._wait_or_stop(asyncio.sleep(wait_s))
        return None

    async def _wait_or_stop(self, wait: Coroutine[None, None, object]) -> None:
        """Return after *wait*, or at a stop."""
        await wait_for_first(wait, self._stopping.wait())

    async def _replace_all(self) -> None:
        """At each SIGHUP, replace the children, one after another."""
        while True:
            await self._hung_up.wait()
            self._hung_up.clear()
            for child in self._children:
                if child.is_over:
                    continue
                if not await self._replace(child):
                    log.error("worker %s is not healthy: the others are kept", child.server_id)
                    break

    async def _replace(self, child: "_Child") -> bool:
        """Replace *child*; return whether the new child is healthy, or not needed any more."""
        child.reload()
        await self._wait_or_stop(child.started.wait())
        until = time.monotonic() + READY_S
        while child.started.is_set() and time.monotonic() < until:
            if (await health.read_health(child.socket)).problem is None:
                return True
            await asyncio.sleep(HEALTH_INTERVAL_S)
        return child.is_over or self._stopping.is_set()

    async def _watch_files(self) -> None:
        seen = _read_sources()
        while True:
            await asyncio.sleep(RELOAD_S)
            now = _read_sources()
            if now != seen:
                seen = now
                log.info("a source file changed: reloading")
                self._changed.set()
                for child in self._children:
                    child.reload()


class _Child:
    """One worker process after another, each with a server id of its own.

    Attributes:
        server_id: Id of the current process's server.
        socket: The Unix socket in which it serves its health.
        is_reloading: The process must end, and another process will replace it.
        is_over: No other process will follow.
        started: A process runs and has not been asked to end.
    """

    def __init__(
        self, command: Sequence[str], socket: Path, longest_stop_s: float, metrics: Path | None
    ) -> None:
        """Make a child that does not run yet.

        Args:
            command: The command line.
            socket: Where the child serves its health.
            longest_stop_s: Time after the stop signal until the process is killed, seconds.
            metrics: Folder in which the processes keep their metrics, if they have any.
        """
        self.server_id = ""
        self.socket = socket
        self.is_reloading = False
        self.is_over = False
        self.started = asyncio.Event()
        self._command = command
        self._longest_stop_s = longest_stop_s
        self._metrics = metrics
        self._is_ending = False
        self._process: Process | None = None

    async def start(self) -> Process:
        """Start a process.

        Raises:
            OSError: If the system cannot start one now.
        """
        self.is_reloading = False
        self._process = None
        new, dead = str(uuid.uuid4()), self.server_id
        own = {CHILD: "1", SERVER_ID: new, DEAD_SERVER: dead, SOCKET: str(self.socket)}
        if self._metrics is not None:
            own[METRICS] = str(self._metrics)
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "pyasynq",
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            env=os.environ | own,
            start_new_session=True,  # or Ctrl-C would reach the child twice
        )
        self.server_id = new
        if self._is_ending or self.is_reloading:  # end() or reload() was called meanwhile
            self._stop(self._longest_stop_s)
        else:
            self.started.set()
        return process

    async def wait(self, process: Process) -> int:
        """Wait for the end of *process*; return its exit code, negative for a signal."""
        code = await process.wait()
        self.started.clear()
        if self._metrics is not None:
            metrics_pages.forget_process(self._metrics, process.pid)
        return code

    def send(self, number: int) -> None:
        if self._process is not None:
            send(self._process, number)

    def end(self, *, force: bool = False) -> None:
        """Stop the process for good; kill it if it does not end, sooner with *force*."""
        self._is_ending = True
        self._stop(GRACE_S if force else self._longest_stop_s)

    def reload(self) -> None:
        """Stop the process, so that another replaces it."""
        self.is_reloading = True
        self.started.clear()
        self._stop(self._longest_stop_s)

    def _stop(self, wait_s: float) -> None:
        self.send(signal.SIGTERM)
        if self._process is not None:
            asyncio.get_running_loop().call_later(wait_s, self._kill, self._process)

    def _kill(self, process: Process) -> None:
        if process.returncode is None:
            log.warning("worker %s does not end: it is killed", self.server_id)
            send(process, signal.SIGKILL)


def lengthen_wait(wait_s: float) -> float:
    """Return the wait after a wait of *wait_s* seconds: twice as long, within limits."""
    return min(max(wait_s * 2, 0.5), LONGEST_WAIT_S)


def _in_terminal() -> bool:
    """Return whether a terminal started this process: it sends SIGHUP when it closes."""
    return sys.stdin is not None and sys.stdin.isatty()


def _describe_exit(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _read_sources() -> dict[Path, float]:
    """Return the source files below this folder, with the time of their last change."""
    hidden = (".", "__pycache__", "node_modules")
    found: dict[Path, float] = {}
    for folder, folders, files in os.walk(Path.cwd()):
        folders[:] = [name for name in folders if not name.startswith(hidden)]
        for name in files:
            if name.endswith(".py"):
                path = Path(folder) / name
                with suppress(OSError):  # deleted meanwhile
                    found[path] = path.stat().st_mtime
    return found
