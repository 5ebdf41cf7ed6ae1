"""``python -m pyasynq worker`` and its like as processes of their own."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from pyasynq.runtime.os_signals import send

ROOT = Path(__file__).parents[2]
PATIENCE_S = 20


class WorkerProcess:
    """A worker whose lines can be read; stderr comes with stdout."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[str] = []

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        send(self._process, number)

    async def says(self, text: str, times: int = 1) -> str:
        """Return the line in which *text* comes for the *times*-th time."""
        async with asyncio.timeout(PATIENCE_S):
            while len(found := [line for line in self.lines if text in line]) < times:
                assert await self._read(), f"ended without {text!r}: {self.lines}"
        return found[times - 1]

    async def ends(self) -> int:
        """Return the exit code, once it has ended."""
        async with asyncio.timeout(PATIENCE_S):
            while await self._read():
                pass
            return await self._process.wait()

    async def close(self) -> None:
        """Kill it, if it still runs."""
        send(self._process, signal.SIGKILL)
        await self.ends()

    async def _read(self) -> bool:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        self.lines += [line.decode().rstrip("\n")] if line else []
        return bool(line)


def worker(
    *words: str,
    cwd: Path = ROOT,
    environ: Mapping[str, str] | None = None,
    stdin: int | None = None,
) -> AbstractAsyncContextManager[WorkerProcess]:
    """Yield ``pyasynq worker`` with *words*; it is killed in the end."""
    return command("worker", *words, cwd=cwd, environ=environ, stdin=stdin)


@asynccontextmanager
async def command(
    *words: str,
    cwd: Path = ROOT,
    environ: Mapping[str, str] | None = None,
    stdin: int | None = None,
) -> AsyncGenerator[WorkerProcess]:
    """Yield ``pyasynq`` with *words*; it is killed in the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "pyasynq",
        *words,
        stdin=stdin,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=cwd,
        env={**os.environ, **(environ or {})},
    )
    running = WorkerProcess(process)
    try:
        yield running
    finally:
        await running.close()
