"""The metrics for Prometheus."""

import asyncio
from datetime import timedelta
from typing import Any, cast

import grpc
import pytest
from grpc import aio
from prometheus_client.parser import text_string_to_metric_families

from member import store
from member.demo.smtp import SmtpSink
from member.errors import WrongPasswordError
from member.metrics import Metrics
from member.passwords import HashCost, Passwords
from member.program import Addresses, running
from member.roles import Role
from member.scrape import Scrape, Waiting
from member.settings import Settings
from member.store.database import Database
from member.store.tables import OUTBOX
from member.v1 import member_pb2 as pb
from member.worker.distributor import OutboxTaskDistributor
from member.worker.tasks import PayloadSendVerifyEmail
from services.member.tests.browser import browse
from services.member.tests.doubles import FakeClock, link_of
from services.member.tests.programs import ALICE, create_alice, stub_of
from tests.support.postgres import PostgresServer
from tests.support.servers import RedisServer
from tests.support.waiting import wait_until


class Numbers:
    """The metrics of one scrape."""

    def __init__(self, text: str) -> None:
        samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
        self.names = {sample.name for sample in samples}
        self._values = {(s.name, frozenset(s.labels.items())): s.value for s in samples}

    def value(self, name: str, **labels: str) -> float | None:
        return self._values.get((name, frozenset(labels.items())))


async def scrape_numbers(found: Addresses) -> Numbers:
    page = await browse(f"http://{found.http}/metrics")
    assert page.status == 200
    return Numbers(page.text)


async def numbers_of(scrape: Scrape) -> Numbers:
    return Numbers((await scrape.page()).decode())


def in_role(settings: Settings, role: Role) -> Settings:
    return settings.model_copy(update={"roles": frozenset({role})})


async def test_rpcs_are_counted_and_timed_by_method_and_code(settings: Settings) -> None:
    async with running(settings) as found, stub_of(found.grpc) as stub:
        await stub.CreateMember(ALICE)
        with pytest.raises(aio.AioRpcError):
            await stub.CreateMember(ALICE)
        numbers = await scrape_numbers(found)
    assert numbers.value("member_rpc_total", method="CreateMember", code="OK") == 1
    assert numbers.value("member_rpc_total", method="CreateMember", code="ALREADY_EXISTS") == 1
    assert numbers.value("member_rpc_duration_seconds_count", method="CreateMember") == 2
    assert numbers.value("member_rpc_running") == 0


async def test_an_rpc_that_nobody_knows_adds_no_series(settings: Settings) -> None:
    async with running(settings) as found:
        async with aio.insecure_channel(found.grpc) as channel:
            call: Any = cast("Any", channel).unary_unary("/member.v1.MemberService/Guess")
            with pytest.raises(aio.AioRpcError) as caught:
                await call(b"")
        numbers = await scrape_numbers(found)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "member_rpc_total" not in numbers.names


async def test_http_requests_are_counted_by_template_and_never_by_what_was_typed(
    settings: Settings,
) -> None:
    async with running(settings) as found:
        await browse(f"http://{found.http}/verify-email?token=secret")
        await browse(f"http://{found.http}/guess/1")
        await browse(f"http://{found.http}/guess/2", "BREW")
        page = await browse(f"http://{found.http}/metrics")
    numbers = Numbers(page.text)
    total = "member_http_request_total"
    assert numbers.value(total, method="GET", route="/verify-email", code="404") == 1
    assert numbers.value(total, method="GET", route="(other)", code="404") == 1
    assert numbers.value(total, method="(other)", route="(other)", code="404") == 1
    assert numbers.value("member_http_request_running") == 1  # the scrape itself
    assert "secret" not in page.text
    assert "guess" not in page.text


async def test_calls_of_members_are_counted_by_outcome(
    settings: Settings, sink: tuple[SmtpSink, str]
) -> None:
    async with running(settings) as found, stub_of(found.grpc) as stub:
        await stub.CreateMember(ALICE)
        link = link_of(await sink[0].mails.get())
        await browse(link, "POST")
        await browse(link, "POST")
        await stub.LoginMember(pb.LoginMemberRequest(membername="alice", password=ALICE.password))
        with pytest.raises(aio.AioRpcError):
            await stub.LoginMember(pb.LoginMemberRequest(membername="alice", password="wrong"))
        numbers = await scrape_numbers(found)
    assert numbers.value("member_sign_ups_total", outcome="succeeded") == 1
    assert numbers.value("member_verifications_total", outcome="succeeded") == 1
    assert numbers.value("member_verifications_total", outcome="already") == 1
    assert numbers.value("member_log_ins_total", outcome="succeeded") == 1
    assert numbers.value("member_log_ins_total", outcome="wrong_password") == 1


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [("250 OK", "sent"), ("550 no such user", "refused"), ("451 try again later", "delayed")],
)
async def test_mails_are_counted_by_outcome(
    settings: Settings, sink: tuple[SmtpSink, str], answer: str, outcome: str
) -> None:
    sink[0].answer = answer
    async with running(settings) as found:

        async def counted() -> bool:
            return (await scrape_numbers(found)).value("member_mails_total", outcome=outcome) == 1

        await create_alice(found.grpc)
        await wait_until(counted)


async def test_a_worker_reports_its_tasks_and_the_queues(
    settings: Settings, sink: tuple[SmtpSink, str]
) -> None:
    async with running(settings) as found:

        async def counted() -> bool:
            labels = {"queue": "critical", "type": "task:send_verify_email"}
            return (await scrape_numbers(found)).value(
                "pyasynq_tasks_total", **labels, outcome="succeeded"
            ) == 1

        await create_alice(found.grpc)
        await sink[0].mails.get()
        await wait_until(counted)
        numbers = await scrape_numbers(found)
    assert numbers.value("asynq_queue_size", queue="critical") == 0


async def test_a_process_without_worker_and_relay_reports_no_queues(
    settings: Settings,
) -> None:
    async with running(in_role(settings, Role.GRPC)) as found:
        numbers = await scrape_numbers(found)
    assert not {name for name in numbers.names if name.startswith(("asynq", "member_outbox"))}


async def test_the_outbox_is_counted_while_redis_is_away(
    settings: Settings, redis: RedisServer
) -> None:
    redis.stop()
    async with running(settings) as found:
        await create_alice(found.grpc)
        numbers = await scrape_numbers(found)
    assert numbers.value("member_outbox_tasks") == 1
    assert "asynq_queue_size" not in numbers.names


async def test_the_age_is_that_of_the_first_task_that_waits(db: Database) -> None:
    clock, distributor = FakeClock(), OutboxTaskDistributor(OUTBOX, db)
    metrics = Metrics()
    scrape = Scrape(metrics.registry, Waiting(db, clock))
    assert (await numbers_of(scrape)).value("member_outbox_oldest_age_seconds") == 0
    async with db.writing() as session:
        await distributor.distribute_task_send_verify_email(PayloadSendVerifyEmail("alice"))
        await distributor.distribute_task_send_verify_email(PayloadSendVerifyEmail("bob"))
        since = (await store.outbox.waiting(session))[1]
    assert since is not None
    clock.now = since + timedelta(seconds=90)
    numbers = await numbers_of(scrape)
    assert numbers.value("member_outbox_tasks") == 2
    assert numbers.value("member_outbox_oldest_age_seconds") == 90


async def test_without_the_database_a_scrape_leaves_out_the_outbox_alone(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings
    with PostgresServer() as server:
        monkeypatch.setenv("DB_SOURCE", server.new_database())
        async with running(Settings()) as found:
            before = await scrape_numbers(found)
            server.halt("immediate")
            after = await scrape_numbers(found)
    assert "member_outbox_tasks" in before.names
    assert "member_outbox_tasks" not in after.names
    assert "member_rpc_running" in after.names


async def test_hashes_that_wait_for_a_thread_are_counted() -> None:
    metrics, passwords = Metrics(), Passwords(HashCost(time=1, memory_kib=8, threads=1))
    metrics.watch(passwords)
    hashing = [asyncio.ensure_future(passwords.hash("x")) for _ in range(3)]
    await asyncio.sleep(0)
    waiting = metrics.registry.get_sample_value("member_password_hashes_waiting")
    await asyncio.gather(*hashing)
    passwords.close()
    assert waiting == 2
    assert metrics.registry.get_sample_value("member_password_hashes_waiting") == 0


def test_the_word_for_an_error_is_its_name() -> None:
    metrics = Metrics()
    with pytest.raises(WrongPasswordError), metrics.log_ins.counting():
        raise WrongPasswordError
    counted = metrics.registry.get_sample_value(
        "member_log_ins_total", {"outcome": "wrong_password"}
    )
    assert counted == 1


async def test_no_cache_keeps_the_numbers(settings: Settings) -> None:
    async with running(in_role(settings, Role.RELAY)) as found:
        page = await browse(f"http://{found.http}/metrics")
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Content-Type"].startswith("text/plain; version=0.0.4")
