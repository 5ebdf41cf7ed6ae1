"""Start the measured programs, read their answers, and end them."""

import asyncio
import contextlib
import json
import os
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, TypeAlias

ROOT = Path(__file__).parent.parent

Record: TypeAlias = dict[str, Any]


class ProgramError(Exception):
    """A program ended, or did not answer in time."""


class Program:
    """A running program that answers in lines of JSON."""

    def __init__(self, process: asyncio.subprocess.Process, errors: IO[bytes]) -> None:
        """Talk to *process*, whose stderr goes to *errors*."""
        self._process = process
        self._errors = errors

    async def read_answer(self, patience_s: float) -> Record:
        """Return the next record.

        Raises:
            ProgramError: If none arrives within *patience_s* seconds.
        """
        assert self._process.stdout is not None
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), patience_s)
        except TimeoutError:
            msg = f"no answer in {patience_s:.0f} s{self._last_error()}"
            raise ProgramError(msg) from None
        if not line:
            await self._process.wait()
            msg = f"ended with {self._process.returncode}{self._last_error()}"
            raise ProgramError(msg)
        record: Record = json.loads(line)
        return record

    def send_line(self) -> None:
        """Send one empty line."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")

    def _last_error(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return f": {lines[-1]}" if lines else ""


@contextlib.asynccontextmanager
async def run(
    command: Sequence[str], variables: Mapping[str, str] | None = None
) -> AsyncIterator[Program]:
    """Run *command*, with *variables* in its environment, while the block runs; then kill it."""
    with tempfile.TemporaryFile() as errors:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": _python_path(), **(variables or {})},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )
        try:
            yield Program(process, errors)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def read_answer(command: Sequence[str], patience_s: float = 60) -> Record:
    """Run *command*, and return its first record.

    Raises:
        ProgramError: If none arrives within *patience_s* seconds.
    """
    async with run(command) as program:
        return await program.read_answer(patience_s)


def _python_path() -> str:
    return os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
