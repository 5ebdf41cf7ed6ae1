"""Start programs, end them with the demo, and wait for them with a time limit."""

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

PATIENCE_S = 60.0
_POLL_S = 0.02


class DemoError(Exception):
    """The demo cannot go on; the text says why."""


@asynccontextmanager
async def program(
    command: Sequence[str | Path], *, folder: Path, variables: Mapping[str, str] | None = None
) -> AsyncGenerator[Process]:
    """Run *command* in *folder* until the end of the block.

    It runs in its own session: Ctrl-C reaches only the demo, which then ends its programs
    in the right order.
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
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            _send(process, signal.SIGTERM)
            await process.wait()
    _send(process, signal.SIGKILL)
    await process.wait()


def _send(process: Process, number: int) -> None:
    """Send a signal to a process that may have ended.

    `Process.send_signal` would first check whether it has ended. Then asyncio finds no exit code
    and prints a warning (CPython issue 127049).
    """
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)


@asynccontextmanager
async def within_patience(otherwise: str) -> AsyncGenerator[None]:
    """Give the block fifteen seconds; raise `DemoError` with *otherwise* if it takes longer."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield
    except TimeoutError:
        raise DemoError(otherwise) from None


async def until(find: Callable[[], Awaitable[T | None]], otherwise: str) -> T:
    """Call *find* until it returns something, and return that.

    Raises:
        DemoError: With *otherwise*, if it returns nothing within fifteen seconds.
    """
    async with within_patience(otherwise):
        while True:
            if (found := await find()) is not None:
                return found
            await asyncio.sleep(_POLL_S)


def expect(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as a sentence
    """Raise `DemoError` with *otherwise* unless something *holds*."""
    if not holds:
        raise DemoError(otherwise)
