"""Keep worker processes running.

A child that dies is replaced. The new child gets the id of the dead server and ends its leases, so
the tasks run again within seconds and not after the leases.

A child is also replaced at SIGHUP, or when it asks for it. Then the new child starts first, and the
old one ends once the new one is healthy, so there is always one that takes tasks.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from pyasynq.cli import health, http, metrics_pages
from pyasynq.cli.exit_codes import Exit
from pyasynq.cli.worker_options import WorkerOptions
from pyasynq.cli.worker_process import KILL_AFTER_S, METRICS, WorkerProcess, WorkerProcesses
from pyasynq.runtime.loggers import get_logger
from pyasynq.runtime.os_signals import STOP_SIGNALS, handle_os_signals
from pyasynq.runtime.waiting import wait_for_first

log: Final = get_logger("pyasynq.supervisor")

HEALTHY_S: Final = 10.0
"""A child that lived this long is replaced at once; after a shorter life there is a wait."""

LONGEST_WAIT_S: Final = 10.0
RELOAD_S: Final = 0.5

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
        processes = WorkerProcesses(arguments, Path(name), longest_stop_s + KILL_AFTER_S, metrics)
        supervisor = _Supervisor(processes, count, reload=options.reload, burst=options.burst)
        return asyncio.run(supervisor.run(options.health_addr, metrics))


class _Child:
    """One worker process after another.

    Attributes:
        process: The process that takes tasks, or the last one; None before the first.
        former: The process that it has replaced and that may still run tasks; None if there is
            none.
        is_over: No other process will follow.
        hung_up: Set from a SIGHUP until `answer`.
    """

    def __init__(self) -> None:
        """Make a child that does not run yet."""
        self.process: WorkerProcess | None = None
        self.former: WorkerProcess | None = None
        self.is_over = False
        self.hung_up = asyncio.Event()
        self._answered = asyncio.Event()
        self._is_kept = False

    async def renew(self) -> bool:
        """Have the process replaced, at SIGHUP; return whether it was, or need not be any more."""
        if not self.is_over:
            self._answered.clear()
            self.hung_up.set()
            await self._answered.wait()
        return self.is_over or not self._is_kept

    def answer(self, *, is_kept: bool) -> None:
        """End `renew`; *is_kept* tells whether the process could not be replaced."""
        self.hung_up.clear()
        self._is_kept = is_kept
        self._answered.set()

    def finish(self) -> None:
        """Note that no other process will follow."""
        self.is_over = True
        self._answered.set()


class _Supervisor:
    def __init__(
        self, processes: WorkerProcesses, count: int, *, reload: bool, burst: bool
    ) -> None:
        self._processes = processes
        self._children = [_Child() for _ in range(count)]
        self._reload = reload
        self._burst = burst
        self._stopping = asyncio.Event()
        self._changed = asyncio.Event()
        self._changes = 0
        self._hung_up = asyncio.Event()
        self._replacing = asyncio.Lock()
        self._code: int = Exit.OK
        self._stopped = 0

    async def run(self, address: tuple[str, int] | None, metrics: Path | None) -> int:
        with (
            handle_os_signals(STOP_SIGNALS, self._handle_stop),
            handle_os_signals(["SIGTSTP"], self._forward),
        ):
            async with self._serve(address, metrics):
                await self._run_children()
                await self._processes.wait()
        log.info("all workers have ended")
        return Exit.STOPPED if self._stopped == len(self._children) else self._code

    def _serve(
        self, address: tuple[str, int] | None, metrics: Path | None
    ) -> AbstractAsyncContextManager[None]:
        if address is None:
            return nullcontext()
        pages = health.make_pages_of_all(self._current, lambda: self._processes)
        if metrics is not None:
            pages[metrics_pages.PATH] = metrics_pages.make_page_of_all(
                metrics, lambda: [process.socket for process in self._processes]
            )
        return http.serve(*address, pages)

    def _current(self) -> list[WorkerProcess | None]:
        """Return the processes that should take tasks; None for one that does not run yet."""
        return [child.process for child in self._children if not child.is_over]

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
        for process in self._processes:
            process.stop(force=again)

    def _forward(self, number: int) -> None:
        for process in self._processes:
            process.send(number)

    # -- one child ---------------------------------------------------------------------------------

    async def _run_child(self, child: _Child) -> None:
        """Start *child* again and again, until a stop or until another start cannot help."""
        dead, wait_s = "", 0.0
        while (process := await self._start(dead)) is not None:
            process = await self._replace_while_it_runs(child, process)
            code, dead = await process.wait(), process.server_id
            if process.is_stopping:
                continue
            if self._reload and code > 0:
                log.warning("the worker ended with %s; waiting for a change", _describe_exit(code))
                await self._wait_or_stop(self._changed.wait())
            elif code == Exit.STOPPED:
                log.info("operators want worker %s to end: it is not replaced", dead)
                self._stopped += 1
                break
            elif code in HOPELESS or (self._burst and code >= 0):
                self._code = max(self._code, code)
                break
            else:
                lived_s = time.monotonic() - process.started_at
                wait_s = 0.0 if lived_s > HEALTHY_S else wait_s
                log.warning("worker %s ended with %s; it is replaced", dead, _describe_exit(code))
                await self._wait_or_stop(asyncio.sleep(wait_s))
                wait_s = lengthen_wait(wait_s)
        child.finish()

    async def _start(self, dead: str = "") -> WorkerProcess | None:
        """Start a process, again and again if the system refuses; return None at a stop."""
        wait_s = 0.0
        while not self._stopping.is_set():
            self._changed.clear()
            try:
                process = await self._processes.start(dead)
            except OSError as error:  # no processes, files or memory left
                wait_s = lengthen_wait(wait_s)
                log.error("no worker could be started: %s; again in %g s", error, wait_s)  # noqa: TRY400 - the text is enough
                await self._wait_or_stop(asyncio.sleep(wait_s))
            else:
                if self._stopping.is_set() or self._changed.is_set():  # meanwhile
                    process.stop()
                return process
        return None

    async def _wait_or_stop(self, wait: Coroutine[None, None, object]) -> None:
        """Return after *wait*, or at a stop."""
        await wait_for_first(wait, self._stopping.wait())

    # -- replacing ---------------------------------------------------------------------------------

    async def _replace_all(self) -> None:
        """At each SIGHUP, replace the children, one after another."""
        while True:
            await self._hung_up.wait()
            self._hung_up.clear()
            for child in self._children:
                if not await child.renew():
                    log.error("SIGHUP: the workers that are left are not replaced")
                    break

    async def _replace_while_it_runs(self, child: _Child, process: WorkerProcess) -> WorkerProcess:
        """Replace the process of *child* whenever that is due, until one ends or must end.

        Args:
            child: The child.
            process: Its process, which has just been started.

        Returns:
            Its process now.
        """
        while True:
            child.process = process
            await wait_for_first(
                process.wait(), process.asked.wait(), child.hung_up.wait(), self._stopping.wait()
            )
            if process.has_ended or self._stopping.is_set():
                return process
            if child.hung_up.is_set():
                new = await self._start_successor(process)
                if new is not None:
                    process.stop()
                child.answer(is_kept=new is None)
            else:
                process.asked.clear()  # if it is kept, it will ask again
                new = None if self._must_wait(child) else await self._start_successor(process)
                if new is not None:
                    process.retire()
            if new is not None:
                child.former, process = process, new

    def _must_wait(self, child: _Child) -> bool:
        """Return whether the process of *child* must be kept for now, although it asks.

        Otherwise the processes could use too much memory: the former one still runs tasks, or
        another child is being replaced.
        """
        former_runs = child.former is not None and not child.former.has_ended
        return former_runs or self._replacing.locked()

    async def _start_successor(self, old: WorkerProcess) -> WorkerProcess | None:
        """Start a process that replaces *old*; return it once it is healthy, None if it is not."""
        async with self._replacing:
            new = await self._start()
            if new is None:
                return None
            until = time.monotonic() + READY_S
            while time.monotonic() < until and not (new.has_ended or self._stopping.is_set()):
                found = await health.read_health(new.socket)
                if found.problem is None or found.state == "stopped":  # operators want it quiet
                    log.info("worker %s replaces %s", new.server_id, old.server_id)
                    return new
                await asyncio.sleep(HEALTH_INTERVAL_S)
            new.stop()
            if not self._stopping.is_set():
                log.error("worker %s is not healthy: %s goes on", new.server_id, old.server_id)
            return None

    async def _watch_files(self) -> None:
        seen = _read_sources()
        while True:
            await asyncio.sleep(RELOAD_S)
            now = _read_sources()
            if now != seen:
                seen = now
                log.info("a source file changed: reloading")
                self._changed.set()
                for process in self._processes:
                    process.stop()


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
