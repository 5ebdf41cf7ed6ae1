"""Keep worker processes running.

A child that dies is replaced, and told whose place it takes: it ends the dead server's leases, so
their tasks run again within seconds and not when the leases are over. A child reads from a pipe
that its supervisor holds; when the supervisor is gone, however it went, the child shuts down.
"""

import asyncio
import os
import signal
import sys
import time
import uuid
from asyncio.subprocess import Process
from collections.abc import Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
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
NUMBERS: Final = "PROMETHEUS_MULTIPROC_DIR"

HEALTHY_S: Final = 10.0
"""A child that lived this long is replaced at once; younger ones with growing waits."""

LONGEST_WAIT_S: Final = 10.0
RELOAD_S: Final = 0.5

GRACE_S: Final = 5.0
"""A child that should have ended is killed this much later."""

HOPELESS: Final = frozenset({Exit.USAGE, Exit.NOT_FOUND})
"""Exit codes of children that another child would end with, too."""


READY_S: Final = 30.0
"""Time a child that takes the place of another has to become healthy."""

LOOK_S: Final = 0.1


def supervise(arguments: Sequence[str], options: WorkerOptions, *, patience_s: float) -> int:
    """Run child processes of the worker's command until a stop signal; return the exit code.

    Args:
        arguments: The command line.
        options: The options of the command line.
        patience_s: Longest time a child takes to stop, seconds.
    """
    count = options.processes or 1
    log.info("pid %d supervises %d worker%s", os.getpid(), count, "" if count == 1 else "s")
    with TemporaryDirectory(prefix="pyasynq-", ignore_cleanup_errors=True) as name:
        numbers = Path(os.environ.get(NUMBERS, name)) if options.metrics else None
        patience_s += GRACE_S
        children = [
            _Child(arguments, Path(name, str(place)), patience_s, numbers) for place in range(count)
        ]
        supervisor = _Supervisor(children, reload=options.reload, burst=options.burst)
        return asyncio.run(supervisor.run(options.health_addr, numbers))


class _Supervisor:
    def __init__(self, children: "Sequence[_Child]", *, reload: bool, burst: bool) -> None:
        self._children = children
        self._reload = reload
        self._burst = burst
        self._stopping = asyncio.Event()
        self._changed = asyncio.Event()
        self._hung_up = asyncio.Event()
        self._code: int = Exit.OK

    async def run(self, address: tuple[str, int] | None, numbers: Path | None) -> int:
        with (
            handle_os_signals(STOP_SIGNALS, self._hear),
            handle_os_signals(["SIGTSTP"], self._pass_on),
        ):
            async with self._serving(address, numbers):
                await self._keep_all()
        log.info("all workers have ended")
        return self._code

    def _serving(
        self, address: tuple[str, int] | None, numbers: Path | None
    ) -> AbstractAsyncContextManager[None]:
        if address is None:
            return nullcontext()
        pages = {health.PATH: health.page_of_all(self._files)}
        if numbers is not None:
            pages[metrics_pages.PATH] = metrics_pages.page_of_all(numbers, self._files)
        return http.serving(*address, pages)

    def _files(self) -> list[Path]:
        return [child.file for child in self._children if not child.over]

    async def _keep_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            keepers = [group.create_task(self._keep(child)) for child in self._children]
            others = [group.create_task(self._replace_all())]
            if self._reload:
                others.append(group.create_task(self._watch_files()))
            await asyncio.wait(keepers)
            for other in others:
                other.cancel()

    def _hear(self, number: int) -> None:
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

    def _pass_on(self, number: int) -> None:
        for child in self._children:
            child.send(number)

    async def _keep(self, child: "_Child") -> None:
        """Run *child* again and again, until told to stop or another would do no better."""
        wait_s = 0.0
        while not self._stopping.is_set():
            started = time.monotonic()
            self._changed.clear()
            process = await self._started(child)
            if process is None:
                break
            code = await child.ended(process)
            if child.reloading or self._stopping.is_set():
                continue
            if self._reload and code > 0:
                log.warning("the worker ended with %s; waiting for a change", _describe(code))
                await self._first(self._changed.wait())
            elif code in HOPELESS or (self._burst and code >= 0):
                self._code = max(self._code, code)
                break
            else:
                wait_s = 0.0 if time.monotonic() - started > HEALTHY_S else wait_s
                log.warning(
                    "worker %s ended with %s; it is replaced", child.server_id, _describe(code)
                )
                await self._first(asyncio.sleep(wait_s))
                wait_s = longer(wait_s)
        child.over = True

    async def _started(self, child: "_Child") -> Process | None:
        """Start *child*, once the system has what that takes; None if told to stop before."""
        wait_s = 0.0
        while not self._stopping.is_set():
            try:
                return await child.start()
            except OSError as error:  # for now there are no more processes, files or memory
                wait_s = longer(wait_s)
                log.error("no worker could be started: %s; again in %g s", error, wait_s)  # noqa: TRY400 - the reason says all
                await self._first(asyncio.sleep(wait_s))
        return None

    async def _first(self, wait: Coroutine[None, None, object]) -> None:
        """Return after *wait*, or when told to stop."""
        await wait_for_first(wait, self._stopping.wait())

    async def _replace_all(self) -> None:
        """Whenever told to, replace the children, each once the one before it is healthy."""
        while True:
            await self._hung_up.wait()
            self._hung_up.clear()
            for child in self._children:
                if child.over:
                    continue
                if not await self._replaced(child):
                    log.error("worker %s is not healthy: the others are kept", child.server_id)
                    break

    async def _replaced(self, child: "_Child") -> bool:
        """Replace *child*; return whether another has become healthy in its place."""
        child.reload()
        await self._first(child.begun.wait())
        until = time.monotonic() + READY_S
        while child.begun.is_set() and time.monotonic() < until:
            if (await health.of_worker(child.file)).problem is None:
                return True
            await asyncio.sleep(LOOK_S)
        return child.over

    async def _watch_files(self) -> None:
        seen = _sources()
        while True:
            await asyncio.sleep(RELOAD_S)
            now = _sources()
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
        file: The Unix socket in which it serves its health.
        reloading: It must end, and another process will replace it.
        over: No other process will follow.
        begun: A process runs and has not been asked to end.
    """

    def __init__(
        self, command: Sequence[str], file: Path, patience_s: float, numbers: Path | None
    ) -> None:
        """Run *command*; kill a process that has not ended *patience_s* after the stop signal.

        Processes keep the numbers of their tasks in the folder *numbers*, if there is one.
        """
        self.server_id = ""
        self.file = file
        self.reloading = False
        self.over = False
        self.begun = asyncio.Event()
        self._command = command
        self._patience_s = patience_s
        self._numbers = numbers
        self._ending = False
        self._process: Process | None = None

    async def start(self) -> Process:
        """Start a process and return it.

        Raises:
            OSError: If none can be started.
        """
        self.reloading = False
        self._process = None
        new, dead = str(uuid.uuid4()), self.server_id
        own = {CHILD: "1", SERVER_ID: new, DEAD_SERVER: dead, SOCKET: str(self.file)}
        if self._numbers is not None:
            own[NUMBERS] = str(self._numbers)
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "pyasynq",
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            env=os.environ | own,
            start_new_session=True,  # Ctrl-C reaches the supervisor alone, which passes it on
        )
        self.server_id = new
        if self._ending or self.reloading:  # told while the process was being made
            self._tell(self._patience_s)
        else:
            self.begun.set()
        return process

    async def ended(self, process: Process) -> int:
        """Return the exit code of *process*, negative for a signal, once it has one."""
        code = await process.wait()
        self.begun.clear()
        if self._numbers is not None:
            metrics_pages.forget(self._numbers, process.pid)
        return code

    def send(self, number: int) -> None:
        if self._process is not None:
            send(self._process, number)

    def end(self, *, force: bool = False) -> None:
        """Have the process end; it is killed if it does not, sooner if in a *hurry*."""
        self._ending = True
        self._tell(GRACE_S if force else self._patience_s)

    def reload(self) -> None:
        """Have the process end, and another take its place."""
        self.reloading = True
        self.begun.clear()
        self._tell(self._patience_s)

    def _tell(self, wait_s: float) -> None:
        self.send(signal.SIGTERM)
        if self._process is not None:
            asyncio.get_running_loop().call_later(wait_s, self._kill, self._process)

    def _kill(self, process: Process) -> None:
        if process.returncode is None:
            log.warning("worker %s does not end: it is killed", self.server_id)
            send(process, signal.SIGKILL)


def longer(wait_s: float) -> float:
    """Return the wait that follows one of *wait_s* seconds."""
    return min(max(wait_s * 2, 0.5), LONGEST_WAIT_S)


def _in_terminal() -> bool:
    """Tell whether this was started from a terminal, which hangs up when it is closed."""
    return sys.stdin is not None and sys.stdin.isatty()


def _describe(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _sources() -> dict[Path, float]:
    """Return the source files below this folder and when each changed."""
    hidden = (".", "__pycache__", "node_modules")
    found: dict[Path, float] = {}
    for folder, folders, files in os.walk(Path.cwd()):
        folders[:] = [name for name in folders if not name.startswith(hidden)]
        for name in files:
            if name.endswith(".py"):
                path = Path(folder) / name
                found[path] = path.stat().st_mtime if path.exists() else 0.0
    return found
