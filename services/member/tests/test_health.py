"""The health of the process, over HTTP and gRPC."""

import asyncio
import json
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from grpc import aio
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from member.bounds import bounds_of_process
from member.demo.smtp import SmtpSink
from member.health import LASTS_S, Health, Phase, Probe
from member.program import Addresses, running
from member.roles import Role
from member.settings import Settings
from member.v1 import member_pb2 as pb
from member.v1.member_pb2_grpc import MemberServiceStub
from services.member.tests.browser import Page, browse
from services.member.tests.programs import create_alice
from tests.support.postgres import PostgresServer
from tests.support.servers import RedisServer, free_port
from tests.support.waiting import wait_until

SERVICE = "member.v1.MemberService"


@pytest.fixture
def own_postgres() -> Generator[PostgresServer]:
    """A PostgreSQL that a test may stop."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
async def on_postgres(
    settings: Settings, own_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Addresses]:
    assert settings
    monkeypatch.setenv("DB_SOURCE", own_postgres.new_database())
    async with running(Settings()) as found:
        yield found


async def readiness(found: Addresses) -> Page:
    return await browse(f"http://{found.http}/readyz")


async def first_readiness(found: Addresses) -> Page:
    """Return the page once the process is ready: on a busy machine a check can be too slow."""
    seen: list[Page] = []

    async def ready() -> bool:
        seen.append(await readiness(found))
        return seen[-1].status == 200

    await wait_until(ready)
    return seen[-1]


async def serving(found: Addresses, name: str) -> bool:
    return await serving_at(found.grpc, name)


async def serving_at(address: str, name: str) -> bool:
    async with aio.insecure_channel(address) as channel:
        stub: Any = HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def test_a_process_that_runs_is_ready_and_names_its_checks(settings: Settings) -> None:
    async with running(settings) as found:
        page = await first_readiness(found)
    assert json.loads(page.text) == {
        "status": "ready",
        "checks": {"database": "ok", "redis": "ok"},
    }


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.parametrize("role", list(Role))
async def test_health_is_served_in_every_role_and_kept_by_no_cache(
    settings: Settings, role: Role, path: str
) -> None:
    alone = settings.model_copy(update={"roles": frozenset({role})})
    async with running(alone) as found:
        await first_readiness(found)
        page = await browse(f"http://{found.http}{path}")
    assert page.status == 200
    assert page.headers["Cache-Control"] == "no-store"


async def test_without_redis_a_process_that_answers_members_is_degraded_but_ready(
    settings: Settings, redis: RedisServer
) -> None:
    redis.stop()
    async with running(settings) as found:
        page = await first_readiness(found)
        await wait_until(lambda: serving(found, SERVICE))
    assert json.loads(page.text) == {
        "status": "degraded",
        "checks": {"database": "ok", "redis": "away"},
    }


@pytest.mark.parametrize("role", [Role.WORKER, Role.RELAY])
async def test_without_redis_a_process_that_answers_no_members_is_not_ready(
    settings: Settings, redis: RedisServer, role: Role
) -> None:
    redis.stop()
    async with running(settings.model_copy(update={"roles": frozenset({role})})) as found:
        page = await readiness(found)
    assert (page.status, json.loads(page.text)["status"]) == (503, "unavailable")


async def test_without_the_database_it_is_alive_but_not_ready_until_it_is_back(
    on_postgres: Addresses, own_postgres: PostgresServer
) -> None:
    async def ready() -> bool:
        return (await readiness(on_postgres)).status == 200

    async def unready() -> bool:
        return not await ready()

    await wait_until(ready)
    own_postgres.halt("immediate")
    await wait_until(unready)
    assert (await browse(f"http://{on_postgres.http}/healthz")).status == 200
    own_postgres.start_again()
    await wait_until(ready)


@pytest.mark.parametrize("name", ["", SERVICE])
async def test_grpc_health_follows_the_database(
    on_postgres: Addresses, own_postgres: PostgresServer, name: str
) -> None:
    async def up() -> bool:
        return await serving(on_postgres, name)

    async def down() -> bool:
        return not await up()

    await wait_until(up)
    own_postgres.halt("immediate")
    await wait_until(down)
    own_postgres.start_again()
    await wait_until(up)


@asynccontextmanager
async def every_connection_held(address: str) -> AsyncGenerator[None]:
    """Hold all gRPC connections that the server allows, each with an open health watch."""
    own = [("grpc.use_local_subchannel_pool", 1)]
    async with AsyncExitStack() as held:
        for _ in range(bounds_of_process().rpc_connections):
            stub: Any = HealthStub(
                await held.enter_async_context(aio.insecure_channel(address, options=own))
            )
            await stub.Watch(health_pb2.HealthCheckRequest()).read()
        yield


async def test_health_answers_at_its_own_address_when_strangers_hold_all_grpc_connections(
    settings: Settings,
) -> None:
    own = f"127.0.0.1:{free_port()}"
    settings = settings.model_copy(update={"grpc_health_address": own})
    async with running(settings) as found, every_connection_held(found.grpc):
        with pytest.raises(aio.AioRpcError):
            await serving(found, SERVICE)
        await wait_until(lambda: serving_at(own, SERVICE))
        async with aio.insecure_channel(own) as channel:
            with pytest.raises(aio.AioRpcError) as caught:
                await MemberServiceStub(channel).GetMember(pb.GetMemberRequest())
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


class SlowSink(SmtpSink):
    """Accepts a mail, but answers only when the test allows it."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = asyncio.Event()

    async def handle_DATA(  # noqa: N802 - aiosmtpd calls it by this name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        answer = await super().handle_DATA(server, session, envelope)
        await self.go_on.wait()
        return answer


async def test_a_process_that_drains_is_not_ready(settings: Settings) -> None:
    sink = SlowSink()
    async with sink.running() as smtp, asyncio.TaskGroup() as group:
        stop = asyncio.Event()
        started: asyncio.Future[Addresses] = asyncio.get_running_loop().create_future()

        async def run() -> None:
            slow = settings.model_copy(update={"smtp_address": smtp})
            async with running(slow) as found:
                started.set_result(found)
                await stop.wait()

        group.create_task(run())
        found = await started
        await create_alice(found.grpc)
        await sink.mails.get()
        stop.set()
        try:
            await wait_until(lambda: is_draining(found))
            assert (await browse(f"http://{found.http}/healthz")).status == 200
        finally:
            sink.go_on.set()


async def is_draining(found: Addresses) -> bool:
    page = await readiness(found)
    return (page.status, json.loads(page.text)["status"]) == (503, "draining")


class Asked:
    """Counts its calls; answers when its gate is open."""

    def __init__(self) -> None:
        self.times = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> None:
        self.times += 1
        await self.gate.wait()


class Hand:
    """A clock that the test moves."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


async def test_many_callers_share_one_check() -> None:
    asked, clock = Asked(), Hand()
    health = Health(Probe("it", asked, essential=True), monotonic=clock)
    await asyncio.gather(*(health.report() for _ in range(100)))
    assert asked.times == 1
    clock.now_s = LASTS_S
    await health.report()
    assert asked.times == 2


async def test_a_server_that_hangs_is_away_in_time_and_back_when_it_answers() -> None:
    asked, clock = Asked(), Hand()
    asked.gate.clear()
    health = Health(Probe("it", asked, essential=True), monotonic=clock)
    health.enter(Phase.RUNNING)
    assert (await health.report()).status == "unavailable"
    asked.gate.set()
    clock.now_s = LASTS_S
    assert (await health.report()).status == "ready"


async def test_an_error_of_any_kind_is_no_answer() -> None:
    async def ask() -> None:
        raise LookupError

    assert (await Health(Probe("it", ask, essential=True)).report()).answers == {"it": False}


async def test_a_process_is_not_ready_before_it_has_started() -> None:
    health = Health()
    assert (await health.report()).status == "starting"
    assert not (await health.report()).ready


async def test_draining_counts_at_once() -> None:
    health = Health()
    health.enter(Phase.RUNNING)
    assert (await health.report()).ready
    health.enter(Phase.DRAINING)
    assert not (await health.report()).ready
