"""Servers for the measurement of the service, and the service itself."""

import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, TypeAlias

from aiosmtpd.smtp import SMTP, Envelope, Session

from benchmarks import private_redis, programs
from member.demo.smtp import SmtpSink
from tests.support.postgres import PostgresServer

Distributor: TypeAlias = Literal["redis", "outbox"]
Cost: TypeAlias = Literal["test", "default"]

DISTRIBUTORS: tuple[Distributor, ...] = ("redis", "outbox")

_HASHES: dict[Cost, dict[str, str]] = {
    "test": {"PASSWORD_HASH_TIME": "1", "PASSWORD_HASH_MEMORY_KIB": "8"},
    "default": {},
}


class Arrivals(SmtpSink):
    """Records when the mail for each name arrived, s since the epoch."""

    def __init__(self) -> None:
        """Create the sink; it does not listen yet."""
        super().__init__()
        self.at: dict[str, float] = {}

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd calls it by this name
        """Record the arrival of a mail."""
        self.at[envelope.rcpt_tos[0].partition("@")[0]] = time.time()
        return self.answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """A database server and a mail server; each program gets its own Redis and database."""

    postgres: PostgresServer
    mails: Arrivals
    smtp: str
    folder: Path

    @asynccontextmanager
    async def run_service(
        self, database: str, distributor: Distributor, cost: Cost, *, delay: str
    ) -> AsyncIterator[str]:
        """Run the program while the block runs; mails wait for *delay*.

        Yields:
            The address of its gRPC server.
        """
        address = f"127.0.0.1:{private_redis.find_free_port()}"
        async with private_redis.start() as redis:
            variables = {
                "ENVIRONMENT": "development",
                "DB_SOURCE": self._new_database(database, address),
                "REDIS_ADDRESS": redis.address,
                "GRPC_SERVER_ADDRESS": address,
                "HTTP_SERVER_ADDRESS": "127.0.0.1:0",
                "SMTP_ADDRESS": self.smtp,
                "SMTP_SECURITY": "none",
                "EMAIL_SENDER_PASSWORD": "",
                "VERIFY_EMAIL_DELAY": delay,
                "TASK_DISTRIBUTOR": distributor,
                "LIMIT_CREATE_MEMBER": "off",
                "LOG_FORMAT": "json",
                **_HASHES[cost],
            }
            async with programs.run([sys.executable, "-m", "member"], variables):
                yield address

    def _new_database(self, kind: str, address: str) -> str:
        if kind == "PostgreSQL":
            return self.postgres.new_database()
        return f"sqlite:///{self.folder}/{address.partition(':')[2]}.db"


@asynccontextmanager
async def start_servers() -> AsyncIterator[Servers]:
    """Run the servers on their own loopback ports and sockets."""
    async with AsyncExitStack() as stack:
        mails = Arrivals()
        yield Servers(
            postgres=stack.enter_context(PostgresServer(durable=True)),
            mails=mails,
            smtp=await stack.enter_async_context(mails.running()),
            folder=Path(stack.enter_context(TemporaryDirectory(prefix="member-bench-"))),
        )
