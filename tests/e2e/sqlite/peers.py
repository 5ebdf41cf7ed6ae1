"""Start and ask the processes of `tests.e2e.sqlite.peer`."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from tests.cli.processes import ROOT

LINE_BYTES = 64 * 1024 * 1024


class Peer:
    """A running process, asked by its commands."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def __call__(self, command: str, *arguments: object) -> Any:  # noqa: ANN401 - JSON
        """Return what the process answers to *command*."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps([command, *arguments])}\n".encode())
        line = await self._process.stdout.readline()
        assert line, f"the process has ended at {command}"
        return json.loads(line)

    async def kill(self) -> None:
        """Kill the process, and return once it is dead."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
        await self._process.wait()


@asynccontextmanager
async def peer(url: str) -> AsyncGenerator[Peer]:
    """Yield a process that uses the file at *url*; kill it in the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.e2e.sqlite.peer",
        url,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        limit=LINE_BYTES,
    )
    running = Peer(process)
    try:
        yield running
    finally:
        await running.kill()
