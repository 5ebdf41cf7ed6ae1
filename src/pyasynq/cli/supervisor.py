"""Keep worker processes running.

A child that dies is replaced, and told whose place it takes: it ends the dead server's leases, so
their tasks run again within seconds and not when the leases are over. A child reads from a pipe
that its supervisor holds; when the supervisor is gone, however it went, the child shuts down.
"""

import asyncio
import logging
import os
import signal
import sys
import time
import uuid
from pathlib import Path
from typing import Final

from pyasynq.cli.exits import Exit

log = logging.getLogger("pyasynq.supervisor")

CHILD: Final = "PYASYNQ_SUPERVISED"
SERVER_ID: Final = "PYASYNQ_SERVER_ID"
DEAD_SERVER: Final = "PYASYNQ_DEAD_SERVER"

HEALTHY_S: Final = 10.0
"""A child that lived this long is replaced at once; younger ones with growing waits."""

LONGEST_WAIT_S: Final = 10.0
RELOAD_S: Final = 0.5


def supervise(count: int, *, reload: bool) -> int:
    """Run *count* children of this command until told to stop; return the exit code."""
    return asyncio.run(_Supervisor(count, reload=reload).run())


class _Supervisor:
    def __init__(self, count: int, *, reload: bool) -> None:
        self._children = [_Child() for _ in range(count)]
        self._reload = reload
        self._stopping = False
        self._failed = False

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGTSTP, self._pass_on, signal.SIGTSTP)
        async with asyncio.TaskGroup() as group:
            keepers = [group.create_task(self._keep(child)) for child in self._children]
            watcher = group.create_task(self._watch_files()) if self._reload else None
            await asyncio.wait(keepers)
            if watcher is not None:
                watcher.cancel()
        return Exit.FAILED if self._failed else Exit.OK

    def _stop(self) -> None:
        self._stopping = True
        for child in self._children:
            child.stopping = True
        self._pass_on(signal.SIGTERM)

    def _pass_on(self, number: int) -> None:
        for child in self._children:
            child.send(number)

    async def _keep(self, child: "_Child") -> None:
        """Run *child* again and again, until told to stop or it ends well by itself."""
        wait_s = 0.0
        while not self._stopping:
            started = time.monotonic()
            code = await child.run()
            if code == Exit.OK and not child.reloading:
                return
            if code == Exit.USAGE:
                self._failed = True
                return
            lived_s = time.monotonic() - started
            wait_s = 0.0 if lived_s > HEALTHY_S or not wait_s else wait_s
            if not child.reloading and not self._stopping:
                log.warning(
                    "worker %s ended with %s; it is replaced", child.server_id, _words(code)
                )
                await asyncio.sleep(wait_s)
                wait_s = min(max(wait_s * 2, 0.5), LONGEST_WAIT_S)

    async def _watch_files(self) -> None:
        seen = _sources()
        while True:
            await asyncio.sleep(RELOAD_S)
            now = _sources()
            if now != seen:
                seen = now
                log.info("a source file changed: reloading")
                for child in self._children:
                    child.reload()


class _Child:
    """One worker process after another, each with a server id of its own."""

    def __init__(self) -> None:
        self.server_id = ""
        self.reloading = False
        self.stopping = False
        self._process: asyncio.subprocess.Process | None = None

    async def run(self) -> int:
        """Start a process and return its exit code, negative for a signal."""
        dead, self.server_id = self.server_id, str(uuid.uuid4())
        self.reloading = False
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
        if self.stopping:  # told while the process was being made
            self.send(signal.SIGTERM)
        return await process.wait()

    def send(self, number: int) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    def reload(self) -> None:
        self.reloading = True
        self.send(signal.SIGTERM)


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
