"""Put the parts together and run them side by side, in one program and one TaskGroup."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass

import structlog

import pyasynq
from member.mail.letters import Letters
from member.mail.transport import MailboxFolder, MailTransport, SmtpTransport
from member.mailer import Mailer
from member.parts import Start, Stop, start
from member.passwords import Passwords
from member.rpc.server import GrpcServer
from member.service import MemberService
from member.settings import Settings, host_and_port
from member.store import database
from member.store.database import Database
from member.store.tables import OUTBOX
from member.tokens import TokenMint
from member.web.pages import pages
from member.web.server import PageServer, bound_address, listen
from member.worker.distributor import (
    OutboxTaskDistributor,
    RedisTaskDistributor,
    TaskDistributor,
)
from member.worker.processor import RedisTaskProcessor, TaskProcessor
from member.worker.tasks import QUEUE_CRITICAL, QUEUE_DEFAULT
from pyasynq.outbox import Relay

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_QUEUES = {QUEUE_CRITICAL: 10, QUEUE_DEFAULT: 5}


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where the program listens, and how links in mails start."""

    grpc: str
    http: str
    public_url: str


@dataclass(frozen=True, slots=True)
class _TaskProcessorPart:
    processor: TaskProcessor

    async def run(self, started: Start, stop: Stop) -> None:
        async with self.processor.running():
            started("")
            await stop.wait()


@dataclass(frozen=True, slots=True)
class _RelayPart:
    relay: Relay

    async def run(self, started: Start, stop: Stop) -> None:
        async with self.relay.running():
            started("")
            await stop.wait()


@asynccontextmanager
async def running(settings: Settings) -> AsyncGenerator[Addresses]:
    """Run everything until the end of the block, then drain.

    Raises:
        ExceptionGroup: If a part fails, at the start or later; the others are stopped.
    """
    with closing(listen(*host_and_port(settings.http_server_address))) as listener:
        http = bound_address(listener)
        public_url = settings.public_url or f"http://{http}"
        async with _opened(settings, public_url) as (service, processor, relay):
            grace = settings.shutdown_timeout
            page_server = PageServer(pages(service), listener, grace=grace)
            grpc_server = GrpcServer(service, settings.grpc_server_address, grace=grace)
            stop = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                # Who takes tasks comes first, who makes them last.
                await start(group, _TaskProcessorPart(processor), stop)
                await start(group, _RelayPart(relay), stop)
                await start(group, page_server, stop)
                grpc = await start(group, grpc_server, stop)
                addresses = Addresses(grpc=grpc, http=http, public_url=public_url)
                log.info("member service started", grpc=grpc, http=http, public_url=public_url)
                try:
                    yield addresses
                finally:
                    log.info("member service stopping")
                    stop.set()
    log.info("member service stopped")


@asynccontextmanager
async def _opened(
    settings: Settings, public_url: str
) -> AsyncGenerator[tuple[MemberService, TaskProcessor, Relay]]:
    redis = settings.redis_address.get_secret_value()
    async with (
        database.opened(settings.db_source.get_secret_value()) as opened_database,
        pyasynq.Client(redis) as client,
    ):
        with closing(Passwords(settings.hash_cost)) as passwords:
            service = MemberService(
                database=opened_database,
                passwords=passwords,
                distributor=_distributor(settings, opened_database, client),
                verify_email_delay=settings.verify_email_delay,
                max_wrong=settings.verify_email_max_wrong,
            )
            mailer = _mailer(settings, opened_database, public_url)
            processor = RedisTaskProcessor(client, _worker(settings), mailer)
            # Also where tasks are queued at once: the outbox may hold some from before.
            yield service, processor, Relay(OUTBOX, opened_database.looking, client)


def _distributor(
    settings: Settings, opened_database: Database, client: pyasynq.Client
) -> TaskDistributor:
    if settings.task_distributor == "redis":
        return RedisTaskDistributor(client)
    return OutboxTaskDistributor(OUTBOX, opened_database)


def _worker(settings: Settings) -> pyasynq.Server:
    return pyasynq.Server(
        settings.redis_address.get_secret_value(),
        concurrency=settings.worker_concurrency,
        queues=_QUEUES,
        shutdown_timeout=settings.shutdown_timeout,
    )


def _mailer(settings: Settings, opened_database: Database, public_url: str) -> Mailer:
    return Mailer(
        database=opened_database,
        mint=TokenMint(settings.token_key),
        letters=Letters(
            sender_name=settings.email_sender_name,
            sender_address=settings.sender_address,
            public_url=public_url,
        ),
        transport=_transport(settings),
        lifetime=settings.verify_email_lifetime,
    )


def _transport(settings: Settings) -> MailTransport:
    if not settings.smtp_address:
        return MailboxFolder(settings.mailbox_dir)
    host, port = host_and_port(settings.smtp_address)
    return SmtpTransport(
        host,
        port,
        security=settings.smtp_security,
        username=settings.sender_address,
        password=settings.email_sender_password.get_secret_value(),
    )
