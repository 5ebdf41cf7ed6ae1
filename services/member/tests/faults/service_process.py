"""The program as a separate process."""

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from services.member.tests.programs import IMPORTS
from tests.support.fork_server import ForkedProcess, start_forked
from tests.support.waiting import wait_until

PATIENCE_S = 120

_NUMBERS = itertools.count(1)


class ServiceProcess:
    """A running member service that writes its log to a file."""

    def __init__(self, process: ForkedProcess, log: Path) -> None:
        self._process = process
        self._log = log

    async def address(self) -> str:
        """Wait until it serves gRPC; return the address."""
        await wait_until(lambda: self.ended or self._events("member service started"), PATIENCE_S)
        assert not self.ended, self.said
        return str(self._events("member service started")[0]["grpc"])

    async def ends(self) -> int:
        """Wait until it ends; return the exit code."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._process.wait()

    async def kill(self) -> None:
        """End it at once, if it still runs."""
        async with asyncio.timeout(PATIENCE_S):
            await self._process.kill_and_wait()

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self._process.returncode is not None

    @property
    def said(self) -> str:
        """Its log so far."""
        return self._log.read_text()

    def _events(self, name: str) -> list[dict[str, Any]]:
        *whole, _cut_off = self.said.split("\n")
        events = [json.loads(line) for line in whole if line.startswith("{")]
        return [event for event in events if event["event"] == name]


@asynccontextmanager
async def service_process(
    variables: Mapping[str, str], folder: Path, *, deadly: tuple[str, ...] = ()
) -> AsyncGenerator[ServiceProcess]:
    """Run the program in *folder* until the end of the block, then kill it.

    Args:
        variables: Its settings.
        folder: Its working folder, also for its log.
        deadly: The call that kills it, as arguments of `services.member.tests.faults.dying`.
    """
    command = ("services.member.tests.faults.dying", *deadly) if deadly else ("member",)
    log = folder / f"{next(_NUMBERS)}.log"
    with log.open("wb") as written:
        process = start_forked(
            command,
            imports=IMPORTS,
            variables=variables,
            folder=folder,
            output=written.fileno(),
        )
    running = ServiceProcess(process, log)
    try:
        yield running
    finally:
        await running.kill()
