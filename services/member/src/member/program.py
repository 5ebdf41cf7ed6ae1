"""Put the parts together and run them side by side, in one program."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing, asynccontextmanager, closing
from dataclasses import dataclass

import structlog
from fastapi import FastAPI

import pyasynq
from member import limits, wiring
from member.addresses import host_and_port
from member.bounds import allowed_here
from member.health import Health, Phase
from member.metrics import Metrics
from member.parts import Part, start
from member.passwords import Passwords
from member.roles import Role, listed
from member.rpc.server import GrpcServer
from member.scrape import Scrape
from member.service import Foundation, MemberService, member_service
from member.settings import Settings
from member.store import database
from member.store.database import Database
from member.store.tables import OUTBOX
from member.tls import Certificate
from member.web.app import web_app
from member.web.pages import pages
from member.web.server import HttpServer, bound_address, listen
from member.worker.parts import RedisPart, RelayPart, WorkerPart
from member.worker.schedule import periodic_tasks
from pyasynq.outbox import Relay

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where the program listens, and how links in mails start.

    Attributes:
        grpc: Empty without the role ``grpc``.
    """

    grpc: str
    http: str
    public_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """What the parts share."""

    database: Database
    client: pyasynq.Client
    service: MemberService
    certificate: Certificate | None
    health: Health
    metrics: Metrics
    scrape: Scrape


@asynccontextmanager
async def running(settings: Settings) -> AsyncGenerator[Addresses]:
    """Run the roles of this process until the end of the block, then drain.

    Raises:
        ExceptionGroup: If a part fails, at the start or later; the others are stopped.
    """
    with closing(listen(*host_and_port(settings.http_server_address))) as listener:
        http = bound_address(listener)
        scheme = "https" if settings.certificate_files else "http"
        public_url = settings.public_url or f"{scheme}://{http}"
        async with _opened(settings) as opened:
            members_see = _pages(settings, opened.service, public_url)
            scrape = opened.scrape if settings.shows_metrics else None
            app = web_app(opened.health, opened.metrics, scrape, members_see)
            http_server = HttpServer(
                app,
                listener,
                grace=settings.shutdown_timeout,
                trusted_proxies=settings.trusted_proxies,
                certificate=opened.certificate,
                bounds=allowed_here(),
                always_tls=public_url.startswith("https:"),
            )
            parts = _parts(settings, opened, public_url)
            async with _side_by_side(http_server, parts, opened.health) as grpc:
                addresses = Addresses(grpc=grpc, http=http, public_url=public_url)
                roles = listed(settings.roles)
                log.info(
                    "member service started",
                    roles=roles,
                    grpc=grpc,
                    http=http,
                    public_url=public_url,
                    tls=opened.certificate is not None,
                )
                try:
                    yield addresses
                finally:
                    log.info("member service stopping")
    log.info("member service stopped")


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncGenerator[_Opened]:
    redis, metrics = settings.redis_address.get_secret_value(), Metrics()
    async with (
        database.opened(settings.db_source.get_secret_value()) as opened_database,
        pyasynq.Client(redis) as client,
        pyasynq.Inspector(redis) as inspector,
        limits.opened(redis, settings.rates) as call_limits,
        aclosing(wiring.health(settings, opened_database, client)) as health,
        aclosing(wiring.scrape(settings, metrics, opened_database, inspector)) as scrape,
    ):
        with closing(Passwords(settings.hash_cost)) as passwords:
            metrics.watch(passwords)
            foundation = Foundation(
                database=opened_database,
                passwords=passwords,
                distributor=wiring.distributor(settings, opened_database, client),
                limits=call_limits,
                metrics=metrics,
            )
            yield _Opened(
                database=opened_database,
                client=client,
                service=member_service(foundation, wiring.rules(settings)),
                health=health,
                metrics=metrics,
                scrape=scrape,
                certificate=wiring.certificate(settings),
            )


def _parts(settings: Settings, opened: _Opened, public_url: str) -> Iterator[Part]:
    """Yield what the roles ask for: who takes tasks comes first, who makes them last."""
    redis = RedisPart(opened.client, _user_of_redis(settings.roles))
    yield redis
    if Role.WORKER in settings.roles:
        if Role.HTTP not in settings.roles and not settings.public_url:
            log.warning("links in mails lead to this process, which has no pages: set PUBLIC_URL")
        processor = wiring.processor(settings, opened.database, public_url, opened.metrics)
        scheduler = periodic_tasks(settings.redis_address.get_secret_value())
        yield WorkerPart(processor, scheduler, redis)
    if Role.RELAY in settings.roles:
        # Also where tasks are queued at once: the outbox may hold some from before.
        yield RelayPart(Relay(OUTBOX, opened.database.looking, opened.client), redis)
    if Role.GRPC in settings.roles:
        yield GrpcServer(
            opened.service,
            settings.grpc_server_address,
            health=opened.health,
            metrics=opened.metrics,
            grace=settings.shutdown_timeout,
            health_address=settings.grpc_health_address,
            trusted_proxies=settings.trusted_proxies,
            certificate=opened.certificate,
            bounds=allowed_here(),
            reflects=settings.has_reflection,
        )


def _pages(settings: Settings, service: MemberService, public_url: str) -> FastAPI | None:
    if Role.HTTP not in settings.roles:
        return None
    documented = settings.shows_api_docs
    return pages(service, settings.inbox_dir, public_url=public_url, documented=documented)


def _user_of_redis(roles: frozenset[Role]) -> str:
    """Return what the log says is started when Redis is asked for the first time."""
    if Role.WORKER in roles:
        return "task processor"
    return "relay" if Role.RELAY in roles else "task distributor"


@asynccontextmanager
async def _side_by_side(
    http_server: HttpServer, parts: Iterable[Part], health: Health
) -> AsyncGenerator[str]:
    """Run *parts* until the end of the block; yield the address of the last, that of gRPC if any.

    The HTTP server, which tells how the others are, starts first and ends last.
    """
    stop, end = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as outer:
        await start(outer, http_server, end)
        try:
            async with asyncio.TaskGroup() as group:
                address = ""
                for part in parts:
                    address = await start(group, part, stop)
                health.enter(Phase.RUNNING)
                try:
                    yield address
                finally:
                    health.enter(Phase.DRAINING)
                    http_server.drain()
                    stop.set()
        finally:
            end.set()
