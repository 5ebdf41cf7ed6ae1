"""Limits count clients over gRPC and HTTP, also through a proxy."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from http import HTTPStatus

import pytest
import structlog
from grpc import StatusCode, aio

from member.health import Health
from member.limits import Limits
from member.limits.memory import MemoryLimiter
from member.limits.rate import Rate
from member.metrics import Metrics
from member.parts import start
from member.proxies import Networks, read_networks
from member.rpc.server import GrpcServer
from member.service import Dependencies, MemberService, member_service
from member.v1 import member_pb2 as pb
from member.v1.member_pb2_grpc import MemberServiceStub
from member.web.pages import pages
from member.web.server import HttpServer, listen
from services.member.tests.browser import browse
from services.member.tests.doubles import NO_RATES, RULES

# Other tests cover the differences between databases.
pytestmark = pytest.mark.parametrize("db_source", ["sqlite"], indirect=True)

ONCE = replace(NO_RATES, verify_email=Rate(burst=1, per=timedelta(hours=1)))
GRACE = timedelta(seconds=1)


@pytest.fixture
def service(dependencies: Dependencies) -> MemberService:
    """A service that lets each address try one link."""
    return member_service(replace(dependencies, limits=Limits(MemoryLimiter(), ONCE)), RULES)


@dataclass(frozen=True, slots=True)
class Transports:
    """Tries a link over gRPC or over HTTP."""

    stub: MemberServiceStub
    site: str

    async def rpc(self, forwarded_for: str) -> StatusCode:
        metadata = (("x-forwarded-for", forwarded_for),)
        with pytest.raises(aio.AioRpcError) as caught:
            await self.stub.VerifyEmail(pb.VerifyEmailRequest(token="x"), metadata=metadata)
        return caught.value.code()

    async def post(self, forwarded_for: str) -> int:
        headers = {"X-Forwarded-For": forwarded_for}
        return (await browse(f"{self.site}/verify-email", "POST", headers=headers)).status


@asynccontextmanager
async def transports(service: MemberService, trusted: str) -> AsyncGenerator[Transports]:
    stop = asyncio.Event()
    proxies: Networks = read_networks(trusted)
    grpc = GrpcServer(
        service,
        "127.0.0.1:0",
        health=Health(),
        metrics=Metrics(),
        grace=GRACE,
        trusted_proxies=proxies,
    )
    listener = listen("127.0.0.1", 0)
    http = HttpServer(pages(service), listener, grace=GRACE, trusted_proxies=proxies)
    async with asyncio.TaskGroup() as group:
        address, site = await start(group, grpc, stop), await start(group, http, stop)
        async with aio.insecure_channel(address) as channel:
            yield Transports(MemberServiceStub(channel), f"http://{site}")
        stop.set()


async def test_clients_behind_a_trusted_proxy_are_counted_one_by_one(
    service: MemberService,
) -> None:
    async with transports(service, "127.0.0.0/8") as found:
        rpcs = [await found.rpc(f"198.51.100.{n}") for n in (1, 2, 1)]
        posts = [await found.post(f"198.51.100.{n}") for n in (3, 4, 3)]
    assert rpcs == [StatusCode.NOT_FOUND, StatusCode.NOT_FOUND, StatusCode.RESOURCE_EXHAUSTED]
    assert posts == [404, 404, 429]


async def test_both_transports_count_the_same_client(service: MemberService) -> None:
    async with transports(service, "127.0.0.0/8") as found:
        assert await found.rpc("198.51.100.1") is StatusCode.NOT_FOUND
        assert await found.post("198.51.100.1") == HTTPStatus.TOO_MANY_REQUESTS


async def test_an_untrusted_peer_cannot_name_another_client_over_grpc(
    service: MemberService,
) -> None:
    async with transports(service, "10.0.0.0/8") as found:
        codes = [await found.rpc(f"198.51.100.{n}") for n in (1, 2)]
    assert codes == [StatusCode.NOT_FOUND, StatusCode.RESOURCE_EXHAUSTED]


async def test_an_untrusted_peer_cannot_name_another_client_over_http(
    service: MemberService,
) -> None:
    async with transports(service, "10.0.0.0/8") as found:
        assert [await found.post(f"198.51.100.{n}") for n in (1, 2)] == [404, 429]


async def test_both_transports_warn_about_a_proxy_that_may_be_missing(
    service: MemberService,
) -> None:
    with structlog.testing.capture_logs() as said:
        async with transports(service, "10.0.0.0/8") as found:
            await found.rpc("198.51.100.1")
            await found.post("198.51.100.1")
            await found.post("198.51.100.1")
    peers = [line["peer"] for line in said if "TRUSTED_PROXIES" in line["event"]]
    assert peers == ["127.0.0.1"] * 2
