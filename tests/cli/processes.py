"""Run ``python -m pyasynq`` as a process of its own, without waiting for its imports."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path

from pyasynq.runtime.os_signals import send
from tests.support.fork_server import ForkedProcess, run_forked

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0

IMPORTS = (
    "redis.asyncio",
    "pyasynq.app",
    "pyasynq.broker.redis",
    "pyasynq.broker.sqlite",
    "pyasynq.cli.commands.worker",
    "pyasynq.cli.supervisor",
    "pyasynq.cli.worker_process",
    "pyasynq.server",
)
"""The modules that take most of a worker's start."""


class WorkerProcess:
    """A running command; *lines* are the lines of its stdout and stderr."""

    def __init__(self, process: asyncio.subprocess.Process | ForkedProcess) -> None:
        self._process = process
        self.lines: list[str] = []

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        send(self._process, number)

    async def wait_for_line(self, text: str, times: int = 1) -> str:
        """Wait for the *times*-th line that contains *text*; return it."""
        async with asyncio.timeout(PATIENCE_S):
            while len(found := [line for line in self.lines if text in line]) < times:
                assert await self._read(), f"ended without {text!r}: {self.lines}"
        return found[times - 1]

    async def wait_for_end(self) -> int:
        """Wait for the end; return the exit code."""
        async with asyncio.timeout(PATIENCE_S):
            while await self._read():
                pass
            return await self._process.wait()

    async def close(self) -> None:
        """Kill it and its children, which would else wait for their tasks, if it still runs."""
        children = _children_of(self.pid) if self._process.returncode is None else []
        self.send(signal.SIGKILL)
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await self.wait_for_end()

    async def _read(self) -> bool:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        self.lines += [line.decode().rstrip("\n")] if line else []
        return bool(line)


def _children_of(pid: int) -> list[int]:
    with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    return []


def worker(
    *args: str,
    cwd: Path = ROOT,
    environ: Mapping[str, str] | None = None,
    stdin: int | None = None,
) -> AbstractAsyncContextManager[WorkerProcess]:
    """Yield ``pyasynq worker`` with *args*; kill it in the end."""
    return command("worker", *args, cwd=cwd, environ=environ, stdin=stdin)


@asynccontextmanager
async def command(
    *args: str,
    cwd: Path = ROOT,
    environ: Mapping[str, str] | None = None,
    stdin: int | None = None,
) -> AsyncGenerator[WorkerProcess]:
    """Yield ``pyasynq`` with *args*; kill it in the end."""
    words = ("pyasynq", *args)
    async with forked(*words, imports=IMPORTS, cwd=cwd, environ=environ, stdin=stdin) as running:
        yield running


@asynccontextmanager
async def forked(
    *words: str,
    imports: tuple[str, ...],
    cwd: Path = ROOT,
    environ: Mapping[str, str] | None = None,
    stdin: int | None = None,
) -> AsyncGenerator[WorkerProcess]:
    """Yield a module or a script with arguments, without waiting for *imports*; kill it in the end.

    Its environment is that of this process with *environ*.
    """
    async with (
        run_forked(
            words, imports=imports, variables=environ or {}, folder=cwd, stdin=stdin
        ) as process,
        _closed(WorkerProcess(process)) as running,
    ):
        yield running


@asynccontextmanager
async def program(
    *args: str, cwd: Path = ROOT, environ: Mapping[str, str] | None = None
) -> AsyncGenerator[WorkerProcess]:
    """Yield Python with *args*; kill it in the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *args,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=cwd,
        env={**os.environ, **(environ or {})},
    )
    async with _closed(WorkerProcess(process)) as running:
        yield running


@asynccontextmanager
async def _closed(running: WorkerProcess) -> AsyncGenerator[WorkerProcess]:
    try:
        yield running
    finally:
        await running.close()
