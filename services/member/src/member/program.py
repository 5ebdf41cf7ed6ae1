"""Create the parts of the program and run them side by side."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing, asynccontextmanager, closing
from dataclasses import dataclass

import structlog
from fastapi import FastAPI

import pyasynq
from member import limits, wiring
from member.addresses import host_and_port
from member.bounds import bounds_of_process
from member.health import Health, Phase
from member.metrics import Metrics
from member.parts import Part, start
from member.passwords import Passwords
from member.roles import Role, format_roles
from member.rpc.server import GrpcServer
from member.scrape import Scrape
from member.service import Dependencies, MemberService, member_service
from member.settings import Settings
from member.store.database import Database, open_database
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
    """The addresses of the servers, and the URL that links in mails start with.

    Attributes:
        grpc: Empty without the role ``grpc``.
    """

    grpc: str
    http: str
    public_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shared:
    """The objects that the parts share."""

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
        async with _open_shared(settings) as shared:
            member_pages = _pages(settings, shared.service, public_url)
            scrape = shared.scrape if settings.shows_metrics else None
            app = web_app(shared.health, shared.metrics, scrape, member_pages)
            http_server = HttpServer(
                app,
                listener,
                grace=settings.shutdown_timeout,
                trusted_proxies=settings.trusted_proxies,
                certificate=shared.certificate,
                bounds=bounds_of_process(),
                always_tls=public_url.startswith("https:"),
            )
            parts = _parts(settings, shared, public_url)
            async with _run_parts(http_server, parts, shared.health) as grpc:
                addresses = Addresses(grpc=grpc, http=http, public_url=public_url)
                roles = format_roles(settings.roles)
                log.info(
                    "member service started",
                    roles=roles,
                    grpc=grpc,
                    http=http,
                    public_url=public_url,
                    tls=shared.certificate is not None,
                )
                try:
                    yield addresses
                finally:
                    log.info("member service stopping")
    log.info("member service stopped")


@asynccontextmanager
async def _open_shared(settings: Settings) -> AsyncGenerator[_Shared]:
    redis, metrics = settings.redis_address.get_secret_value(), Metrics()
    async with (
        open_database(settings.db_source.get_secret_value()) as database,
        pyasynq.Client(redis) as client,
        pyasynq.Inspector(redis) as inspector,
        limits.open_limits(redis, settings.rates) as call_limits,
        aclosing(wiring.health(settings, database, client)) as health,
        aclosing(wiring.scrape(settings, metrics, database, inspector)) as scrape,
    ):
        with closing(Passwords(settings.hash_cost)) as passwords:
            metrics.watch(passwords)
            dependencies = Dependencies(
                database=database,
                passwords=passwords,
                distributor=wiring.distributor(settings, database, client),
                limits=call_limits,
                metrics=metrics,
            )
            yield _Shared(
                database=database,
                client=client,
                service=member_service(dependencies, wiring.rules(settings)),
                health=health,
                metrics=metrics,
                scrape=scrape,
                certificate=wiring.certificate(settings),
            )


def _parts(settings: Settings, shared: _Shared, public_url: str) -> Iterator[Part]:
    """Yield the parts for the roles: the worker, which runs tasks, before the makers of tasks."""
    redis = RedisPart(shared.client, _user_of_redis(settings.roles))
    yield redis
    if Role.WORKER in settings.roles:
        if Role.HTTP not in settings.roles and not settings.public_url:
            log.warning("links in mails lead to this process, which has no pages: set PUBLIC_URL")
        processor = wiring.processor(settings, shared.database, public_url, shared.metrics)
        scheduler = periodic_tasks(settings.redis_address.get_secret_value())
        yield WorkerPart(processor, scheduler, redis)
    if Role.RELAY in settings.roles:
        # Also with TASK_DISTRIBUTOR=redis: the outbox may hold tasks from before.
        yield RelayPart(Relay(OUTBOX, shared.database.read_engine, shared.client), redis)
    if Role.GRPC in settings.roles:
        yield GrpcServer(
            shared.service,
            settings.grpc_server_address,
            health=shared.health,
            metrics=shared.metrics,
            grace=settings.shutdown_timeout,
            health_address=settings.grpc_health_address,
            trusted_proxies=settings.trusted_proxies,
            certificate=shared.certificate,
            bounds=bounds_of_process(),
            reflects=settings.has_reflection,
        )


def _pages(settings: Settings, service: MemberService, public_url: str) -> FastAPI | None:
    if Role.HTTP not in settings.roles:
        return None
    documented = settings.shows_api_docs
    return pages(service, settings.inbox_dir, public_url=public_url, documented=documented)


def _user_of_redis(roles: frozenset[Role]) -> str:
    """Return the name that the log gives to the part that uses Redis."""
    if Role.WORKER in roles:
        return "task processor"
    return "relay" if Role.RELAY in roles else "task distributor"


@asynccontextmanager
async def _run_parts(
    http_server: HttpServer, parts: Iterable[Part], health: Health
) -> AsyncGenerator[str]:
    """Run *parts* until the end of the block; yield the address of the last: gRPC's, if any.

    The HTTP server reports the health of the others, so it starts first and ends last.
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
