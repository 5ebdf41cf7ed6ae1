"""The surroundings of the demo: Redis, a mail server, a folder, and runs of the service."""

import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from member.demo.database import MemberDatabase
from member.demo.mailbox import Mailbox
from member.demo.narrator import Narrator
from member.demo.processes import PATIENCE_S
from member.demo.redis import PrivateRedis
from member.demo.service import Event, ServiceLog, member_service
from member.demo.smtp import SmtpSink


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of the member service."""

    pid: int
    grpc: str
    log: ServiceLog

    async def event(self, name: str, *, within_s: float = PATIENCE_S, **facts: object) -> Event:
        """Return the first event *name* of its log with these *facts*; wait for it."""
        return await self.log.wait(name, within_s=within_s, **facts)

    def kill(self) -> None:
        """Kill the service: it cannot do or write anything more."""
        os.kill(self.pid, signal.SIGKILL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Everything that the acts of the demo use.

    Attributes:
        lines: Log lines of all runs of the service.
        delay_s: How long tasks wait.
    """

    narrator: Narrator
    lines: list[str]
    folder: Path
    redis: PrivateRedis
    smtp: str
    mailbox: Mailbox
    database: MemberDatabase
    delay_s: int

    @asynccontextmanager
    async def service(self) -> AsyncGenerator[Run]:
        """Run the service until the end of the block, or until it is killed."""
        self.narrator.say("Starting the member service")
        log, redis = ServiceLog(self.lines), self.redis.address
        async with member_service(
            self.folder, log, redis=redis, smtp=self.smtp, delay_s=self.delay_s
        ) as pid:
            await log.wait("start task processor", within_s=PATIENCE_S)
            started = await log.wait("member service started", within_s=PATIENCE_S)
            self.narrator.say(
                "Member service started, with its task processor",
                process=pid,
                gRPC=started["grpc"],
                pages=started["http"],
            )
            yield Run(pid=pid, grpc=started["grpc"], log=log)


@asynccontextmanager
async def set_stage(folder: Path, lines: list[str], *, delay_s: int) -> AsyncGenerator[Stage]:
    """Start Redis and a mail server; stop them at the end of the block."""
    narrator, redis, sink = Narrator(), PrivateRedis(folder), SmtpSink()
    database = MemberDatabase(folder / "member.db")
    narrator.say("Starting Redis and a mail server")
    async with redis.running(), sink.running() as smtp:
        narrator.say(
            "Redis and a mail server started",
            redis=redis.address,
            mail_server=smtp,
            database=f"SQLite, {database.file}",
        )
        yield Stage(
            narrator=narrator,
            lines=lines,
            folder=folder,
            redis=redis,
            smtp=smtp,
            mailbox=Mailbox(sink),
            database=database,
            delay_s=delay_s,
        )
