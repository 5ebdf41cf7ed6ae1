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
from collections.abc import Coroutine
from pathlib import Path
from typing import Final

from pyasynq.cli.exits import Exit
from pyasynq.loggers import get_logger

log = get_logger("pyasynq.supervisor")

CHILD: Final = "PYASYNQ_SUPERVISED"
SERVER_ID: Final = "PYASYNQ_SERVER_ID"
DEAD_SERVER: Final = "PYASYNQ_DEAD_SERVER"

HEALTHY_S: Final = 10.0
"""A child that lived this long is replaced at once; younger ones with growing waits."""

LONGEST_WAIT_S: Final = 10.0
RELOAD_S: Final = 0.5

GRACE_S: Final = 5.0
"""A child that should have ended is killed this much later."""

HOPELESS: Final = frozenset({Exit.USAGE, Exit.NOT_FOUND})
"""Exit codes of children that another child would end with, too."""


def supervise(count: int, *, patience_s: float, reload: bool, burst: bool) -> int:
    """Run *count* children of this command until told to stop; return the exit code.

    Args:
        count: How many.
        patience_s: Longest time a child that is told to stop takes.
        reload: Replace the children when a source file changes.
        burst: Children end by themselves.
    """
    log.info("pid %d supervises %d worker%s", os.getpid(), count, "" if count == 1 else "s")
    supervisor = _Supervisor(count, patience_s=patience_s, reload=reload, burst=burst)
    return asyncio.run(supervisor.run())


class _Supervisor:
    def __init__(self, count: int, *, patience_s: float, reload: bool, burst: bool) -> None:
        self._children = [_Child(patience_s + GRACE_S) for _ in range(count)]
        self._reload = reload
        self._burst = burst
        self._stopping = asyncio.Event()
        self._changed = asyncio.Event()
        self._code: int = Exit.OK

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number)
        loop.add_signal_handler(signal.SIGTSTP, self._pass_on, signal.SIGTSTP)
        async with asyncio.TaskGroup() as group:
            keepers = [group.create_task(self._keep(child)) for child in self._children]
            watcher = group.create_task(self._watch_files()) if self._reload else None
            await asyncio.wait(keepers)
            if watcher is not None:
                watcher.cancel()
        log.info("all workers have ended")
        return self._code

    def _stop(self, number: int) -> None:
        again = self._stopping.is_set()
        name = signal.Signals(number).name
        log.info("%s%s: the workers are told to stop", name, " again" if again else "")
        self._stopping.set()
        for child in self._children:
            child.end(hurry=again)

    def _pass_on(self, number: int) -> None:
        for child in self._children:
            child.send(number)

    async def _keep(self, child: "_Child") -> None:
        """Run *child* again and again, until told to stop or another would do no better."""
        wait_s = 0.0
        while not self._stopping.is_set():
            started = time.monotonic()
            self._changed.clear()
            code = await child.run()
            if child.reloading or self._stopping.is_set():
                continue
            if self._reload and code > 0:
                log.warning("the worker ended with %s; waiting for a change", _words(code))
                await self._first(self._changed.wait())
            elif code in HOPELESS or (self._burst and code >= 0):
                self._code = max(self._code, code)
                return
            else:
                wait_s = 0.0 if time.monotonic() - started > HEALTHY_S else wait_s
                log.warning(
                    "worker %s ended with %s; it is replaced", child.server_id, _words(code)
                )
                await self._first(asyncio.sleep(wait_s))
                wait_s = longer(wait_s)

    async def _first(self, wait: Coroutine[None, None, object]) -> None:
        """Return after *wait*, or when told to stop."""
        waits = [asyncio.ensure_future(wait), asyncio.ensure_future(self._stopping.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for left in waits:
            left.cancel()

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
    """One worker process after another, each with a server id of its own."""

    def __init__(self, patience_s: float) -> None:
        """Kill a process that has not ended *patience_s* after it was told to."""
        self.server_id = ""
        self.reloading = False
        self._patience_s = patience_s
        self._ending = False
        self._process: asyncio.subprocess.Process | None = None

    async def run(self) -> int:
        """Start a process and return its exit code, negative for a signal."""
        dead, self.server_id = self.server_id, str(uuid.uuid4())
        self.reloading = False
        self._process = None
        environ = os.environ | {CHILD: "1", SERVER_ID: self.server_id, DEAD_SERVER: dead}
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "pyasynq",
            *sys.argv[1:],
            stdin=asyncio.subprocess.PIPE,
            env=environ,
            start_new_session=True,  # Ctrl-C reaches the supervisor alone, which passes it on
        )
        if self._ending:  # told while the process was being made
            self.end()
        return await process.wait()

    def send(self, number: int) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    def end(self, *, hurry: bool = False) -> None:
        """Have the process end; it is killed if it does not, sooner if in a *hurry*."""
        self._ending = True
        self._tell(GRACE_S if hurry else self._patience_s)

    def reload(self) -> None:
        self.reloading = True
        self._tell(self._patience_s)

    def _tell(self, wait_s: float) -> None:
        self.send(signal.SIGTERM)
        if self._process is not None:
            asyncio.get_running_loop().call_later(wait_s, self._kill, self._process)

    def _kill(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is None:
            log.warning("worker %s does not end: it is killed", self.server_id)
            process.kill()


def longer(wait_s: float) -> float:
    """Return the wait that follows one of *wait_s* seconds."""
    return min(max(wait_s * 2, 0.5), LONGEST_WAIT_S)


def _words(code: int) -> str:
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
