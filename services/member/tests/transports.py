"""Serve a service over gRPC and over HTTP, on the loopback."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

from grpc import aio

from member.health import Health
from member.metrics import Metrics
from member.parts import Part, start
from member.rpc.server import GrpcServer
from member.service import MemberService
from member.web.requests import RequestLog
from member.web.server import HttpServer, listen
from services.member.tests.sites import pages_of

_GRACE = timedelta(seconds=1)


@asynccontextmanager
async def http_site(service: MemberService) -> AsyncGenerator[str]:
    """Serve HTTP until the end of the block; yield the URL."""
    with pages_of(service) as app:
        server = HttpServer(RequestLog(app), listen("127.0.0.1", 0), grace=_GRACE)
        async with _serve(server) as address:
            yield f"http://{address}"


@asynccontextmanager
async def grpc_channel(service: MemberService) -> AsyncGenerator[aio.Channel]:
    """Serve gRPC until the end of the block; yield a channel to it."""
    server = GrpcServer(service, "127.0.0.1:0", health=Health(), metrics=Metrics(), grace=_GRACE)
    async with _serve(server) as address:
        async with aio.insecure_channel(address) as channel:
            yield channel


@asynccontextmanager
async def _serve(server: Part) -> AsyncGenerator[str]:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        try:
            yield await start(group, server, stop)
        finally:
            stop.set()
