"""The member service as a process, and its log lines as events to wait for."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

from member.demo.processes import DemoError, program

Event: TypeAlias = dict[str, Any]


class ServiceLog:
    """The log of one run of the service."""

    def __init__(self, lines: list[str] | None = None) -> None:
        """Start empty; append lines to *lines*, which several runs may share."""
        self.lines = [] if lines is None else lines
        self._events: list[Event] = []
        self._more = asyncio.Condition()
        self._ended = False

    async def read(self, output: asyncio.StreamReader | None) -> None:
        """Read every line of a process until it ends."""
        if output:
            async for line in output:
                await self._add(line.decode(errors="replace").rstrip())
        async with self._more:
            self._ended = True
            self._more.notify_all()

    async def _add(self, line: str) -> None:
        async with self._more:
            self.lines.append(line)
            if line.startswith("{"):
                self._events.append(json.loads(line))
            self._more.notify_all()

    async def wait(self, name: str, *, within_s: float, **facts: object) -> Event:
        """Wait for the first event *name* with these *facts*, and return it.

        Raises:
            DemoError: If it did not come in time, or the service ended.
        """
        wanted = {"event": name, **facts}
        try:
            async with asyncio.timeout(within_s), self._more:
                await self._more.wait_for(lambda: self._ended or self._find(wanted) is not None)
        except TimeoutError:
            msg = f"the service did not log {name!r} within {within_s:g} s"
            raise DemoError(msg) from None
        if (event := self._find(wanted)) is None:
            msg = f"the service ended before it logged {name!r}"
            raise DemoError(msg)
        return event

    async def ends(self, *, within_s: float) -> bool:
        """Return whether the service has ended, or ends within *within_s* seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s), self._more:
                await self._more.wait_for(lambda: self._ended)
        return self._ended

    def _find(self, wanted: Event) -> Event | None:
        return next((event for event in self._events if wanted.items() <= event.items()), None)


@asynccontextmanager
async def member_service(
    folder: Path, log: ServiceLog, *, redis: str, smtp: str, delay_s: int
) -> AsyncGenerator[int]:
    """Run the service with its worker until the end of the block; yield its process id."""
    variables = {
        "ENVIRONMENT": "development",
        "DB_SOURCE": f"sqlite:///{folder}/member.db",
        "REDIS_ADDRESS": redis,
        "GRPC_SERVER_ADDRESS": "127.0.0.1:0",
        "HTTP_SERVER_ADDRESS": "127.0.0.1:0",
        "PUBLIC_URL": "",
        "TLS_CERT_FILE": "",
        "TLS_KEY_FILE": "",
        "SMTP_ADDRESS": smtp,
        "SMTP_SECURITY": "none",
        "EMAIL_SENDER_ADDRESS": "welcome@example.com",
        "EMAIL_SENDER_PASSWORD": "",
        "VERIFY_EMAIL_DELAY": f"{delay_s}s",
        "LOG_FORMAT": "json",
        "PYTHONUNBUFFERED": "1",
    }
    command = (sys.executable, "-m", "member")
    async with (
        asyncio.TaskGroup() as group,
        program(command, folder=folder, variables=variables) as process,
    ):
        group.create_task(log.read(process.stdout))
        try:
            yield process.pid
        except OSError as error:  # of a call: the service may have died meanwhile
            if await log.ends(within_s=1):
                msg = f"the service ended: {error}"
                raise DemoError(msg) from error
            raise
