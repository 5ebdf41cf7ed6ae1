"""The whole program: gRPC, pages, worker, Redis and a mail server."""

import asyncio
import json
import os
import re
import resource
import signal
import socket
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, closing, contextmanager
from pathlib import Path
from typing import TypeAlias

import grpc
import httpx
import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from grpc import aio

import pyasynq
from member.demo.service import ServiceLog
from member.demo.smtp import SmtpSink
from member.program import Addresses, running
from member.settings import Settings
from member.worker.tasks import TASK_SEND_VERIFY_EMAIL
from services.member.tests.browser import browse
from services.member.tests.doubles import link_of
from services.member.tests.programs import (
    ALICE,
    Program,
    create_alice,
    executed_program,
    logged_program,
    output_of,
    output_until,
    program,
    stub_of,
)
from tests.support.servers import RedisServer, free_port
from tests.support.waiting import wait_until

Run: TypeAlias = Callable[[dict[str, str], Path], AbstractAsyncContextManager[Program]]


@pytest.fixture
async def addresses(settings: Settings) -> AsyncGenerator[Addresses]:
    async with running(settings) as found:
        yield found


async def enqueue(redis: RedisServer, payload: bytes | None) -> None:
    task = pyasynq.Task(TASK_SEND_VERIFY_EMAIL, payload, queue="critical")
    async with pyasynq.Client(redis.url) as client:
        await client.enqueue(task)


def tasks_in(redis: RedisServer, state: str) -> int:
    with closing(redis.client()) as client:
        return int(client.zcard(f"asynq:{{critical}}:{state}"))


async def test_a_sign_up_leads_to_a_mail_whose_link_verifies(
    addresses: Addresses, sink: tuple[SmtpSink, str]
) -> None:
    await create_alice(addresses.grpc)
    link = link_of(await sink[0].mails.get())
    assert (await browse(link)).scene == "confirm"
    assert (await browse(link, "POST")).scene == "verified"


async def test_the_task_waits_in_redis_until_it_is_due(
    addresses: Addresses, redis: RedisServer, sink: tuple[SmtpSink, str]
) -> None:
    await create_alice(addresses.grpc)
    await wait_until(lambda: tasks_in(redis, "scheduled") == 1)
    assert sink[0].mails.empty()


async def test_the_program_schedules_its_housekeeping(
    addresses: Addresses, redis: RedisServer
) -> None:
    assert addresses.grpc
    async with pyasynq.Inspector(redis.url) as inspector:
        await wait_until(inspector.scheduler_entries)
        [entry] = await inspector.scheduler_entries()
    assert (entry.spec, entry.task.type) == ("@hourly", "task:purge_expired")


async def test_a_mail_that_is_refused_forever_is_not_tried_again(
    addresses: Addresses, redis: RedisServer, sink: tuple[SmtpSink, str]
) -> None:
    sink[0].answer = "550 no such user"
    await create_alice(addresses.grpc)
    await wait_until(lambda: tasks_in(redis, "archived") == 1)
    assert tasks_in(redis, "retry") == 0


async def test_a_mail_that_is_refused_for_now_is_tried_again(
    addresses: Addresses, redis: RedisServer, sink: tuple[SmtpSink, str]
) -> None:
    sink[0].answer = "451 try again later"
    await create_alice(addresses.grpc)
    await wait_until(lambda: tasks_in(redis, "retry") == 1)
    assert tasks_in(redis, "archived") == 0


NEVER = (
    None,
    b"",
    b"{",
    b"[]",
    b"{}",
    b'{"membername": 7}',
    b'{"membername": "nobody"}',
    b'{"membername": "a\\u0000b"}',
    b"\xff",
)
"""Payloads of tasks that can never succeed."""


async def test_tasks_that_can_never_succeed_are_archived_at_once(
    addresses: Addresses, redis: RedisServer
) -> None:
    assert addresses.grpc
    await asyncio.gather(*(enqueue(redis, payload) for payload in NEVER))
    await wait_until(lambda: tasks_in(redis, "archived") == len(NEVER))
    assert tasks_in(redis, "retry") == 0


async def test_without_redis_people_sign_up_and_their_mails_follow(
    addresses: Addresses, redis: RedisServer, sink: tuple[SmtpSink, str]
) -> None:
    redis.stop()
    await create_alice(addresses.grpc)
    redis.start()
    assert link_of(await sink[0].mails.get())


async def test_a_task_that_waits_in_the_outbox_survives_the_program(
    settings: Settings, redis: RedisServer, sink: tuple[SmtpSink, str]
) -> None:
    async with running(settings) as found:
        redis.stop()
        await create_alice(found.grpc)
    redis.start()
    async with running(settings):
        assert link_of(await sink[0].mails.get())


async def test_queued_at_once_a_sign_up_without_redis_fails_and_can_be_repeated(
    settings: Settings, redis: RedisServer, sink: tuple[SmtpSink, str]
) -> None:
    direct = settings.model_copy(update={"task_distributor": "redis"})
    async with running(direct) as found, stub_of(found.grpc) as stub:
        redis.stop()
        with pytest.raises(aio.AioRpcError) as caught:
            await stub.CreateMember(ALICE)
        redis.start()
        await stub.CreateMember(ALICE)
        mail = await sink[0].mails.get()
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    details = caught.value.details() or ""
    assert details.startswith("failed to distribute task to send verify email: ")
    assert not re.search(r"/|\d{4}|refused|Errno", details)  # no address of the queue
    assert link_of(mail)


async def test_without_a_mail_server_mails_go_to_the_folder(
    variables: dict[str, str], settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert variables
    monkeypatch.delenv("SMTP_ADDRESS")
    async with running(Settings()) as found:
        await create_alice(found.grpc)
        await wait_until(lambda: list((tmp_path / "mailbox").glob("*.eml")))


class DeadlySink(SmtpSink):
    """Accepts a mail, but kills its sender before the answer."""

    victim = 0

    async def handle_DATA(  # noqa: N802 - aiosmtpd calls it by this name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        answer = await super().handle_DATA(server, session, envelope)
        if self.victim:
            os.kill(self.victim, signal.SIGKILL)
            self.victim = 0
        return answer


async def test_a_worker_killed_between_sending_and_noting_sends_the_same_mail_again(
    variables: dict[str, str], redis: RedisServer, tmp_path: Path
) -> None:
    sink = DeadlySink()
    async with sink.running() as smtp:
        log, again = ServiceLog(), ServiceLog()
        changed = {**variables, "SMTP_ADDRESS": smtp}
        async with logged_program(changed, tmp_path, log) as process:
            started = await log.wait("member service started", within_s=20)
            sink.victim = process.pid
            await create_alice(started["grpc"])
            first = await sink.mails.get()
        async with logged_program(changed, tmp_path, again):
            await again.wait("member service started", within_s=20)
            # Queue the task again instead of waiting for the end of the dead worker's lease.
            await enqueue(redis, b'{"membername": "alice"}')
            second = await sink.mails.get()
            await again.wait("processed task", within_s=20)
    assert first["Message-ID"] == second["Message-ID"]
    assert link_of(first).partition("?")[2] == link_of(second).partition("?")[2]


class SilentSink(SmtpSink):
    """Accepts a mail, but never answers."""

    async def handle_DATA(  # noqa: N802 - aiosmtpd calls it by this name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        await super().handle_DATA(server, session, envelope)
        await asyncio.Event().wait()
        return ""


async def test_a_task_that_does_not_end_in_time_goes_back_into_the_queue(
    variables: dict[str, str], redis: RedisServer, tmp_path: Path
) -> None:
    sink = SilentSink()
    async with sink.running() as smtp:
        changed = {**variables, "SMTP_ADDRESS": smtp, "SHUTDOWN_TIMEOUT": "1s"}
        async with program(changed, tmp_path) as process:
            started = json.loads(await output_until(process, b"member service started"))
            await create_alice(started["grpc"])
            await sink.mails.get()
            process.send_signal(signal.SIGTERM)
            await output_until(process, b"member service stopped")
            assert await process.wait() == 0
    with closing(redis.client()) as client:
        assert client.llen("asynq:{critical}:pending") == 1


@pytest.mark.parametrize(
    ("run", "number"), [(executed_program, signal.SIGTERM), (program, signal.SIGINT)]
)
async def test_a_signal_stops_the_program_in_order(
    variables: dict[str, str], tmp_path: Path, run: Run, number: signal.Signals
) -> None:
    async with run(variables, tmp_path) as process:
        await output_until(process, b"member service started")
        process.send_signal(number)
        await output_until(process, b"member service stopped")
        assert await process.wait() == 0


async def test_a_failed_start_of_the_task_processor_ends_the_program(
    variables: dict[str, str], tmp_path: Path, redis: RedisServer
) -> None:
    refused = {**variables, "REDIS_ADDRESS": f"{redis.url}?password=wrong"}
    async with program(refused, tmp_path) as process:
        await output_until(process, b"start task processor")
        await output_until(process, b"failed to start task processor")
        assert await process.wait() == 1


@contextmanager
def few_files() -> Generator[None]:
    """Limit processes that start in the block to 256 open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_strangers_that_only_connect_neither_block_the_program_nor_fill_its_log(
    variables: dict[str, str], tmp_path: Path
) -> None:
    quick = {**variables, "SHUTDOWN_TIMEOUT": "1s"}
    async with AsyncExitStack() as stack:
        with few_files():
            process = await stack.enter_async_context(executed_program(quick, tmp_path))
        started = json.loads(await output_until(process, b"member service started"))
        for address in (started["grpc"], started["http"]):
            host, _, port = address.partition(":")
            for _ in range(400):
                stack.enter_context(closing(socket.create_connection((host, int(port)))))
        async with httpx.AsyncClient(base_url=f"http://{started['http']}") as client:
            answer = await client.get("/healthz")
        process.send_signal(signal.SIGTERM)
        said = await output_of(process)
    assert answer.status_code == 200
    assert len(said.splitlines()) < 20


@pytest.mark.parametrize("transport", ["GRPC", "HTTP"])
async def test_an_address_that_is_taken_ends_the_start_by_its_name(
    variables: dict[str, str], tmp_path: Path, transport: str, sink: tuple[SmtpSink, str]
) -> None:
    _, taken = sink
    changed = {**variables, f"{transport}_SERVER_ADDRESS": taken}
    async with program(changed, tmp_path) as process:
        said = await output_of(process)
        assert await process.wait() == 1
    line = said.splitlines()[-1]
    assert b"member service failed" in line
    assert f"on {taken}: Address already in use".encode() in line
    assert not [line for line in said.splitlines() if not line.startswith(b"{")]


@pytest.mark.parametrize("command", ["grant", "revoke"])
async def test_a_command_that_fails_says_so_by_its_name(
    variables: dict[str, str], tmp_path: Path, command: str
) -> None:
    async with program(variables, tmp_path, command, "nobody") as process:
        said = await output_of(process)
        assert await process.wait() == 1
    assert f"{command} failed".encode() in said.splitlines()[-1]
    assert b"there is no such member" in said.splitlines()[-1]


async def test_a_database_of_another_kind_ends_the_start_in_one_line(
    variables: dict[str, str], tmp_path: Path
) -> None:
    async with program({**variables, "DB_SOURCE": "mysql://x"}, tmp_path) as process:
        said = await output_of(process)
        assert await process.wait() == 2
    assert len(said.splitlines()) == 1
    assert said.startswith(b"member: cannot start: DB_SOURCE: must be sqlite:///file or")


async def test_a_missing_secret_ends_the_start_by_its_name(
    variables: dict[str, str], tmp_path: Path
) -> None:
    async with program({**variables, "ENVIRONMENT": "production"}, tmp_path) as process:
        await output_until(process, b"member: cannot start: TOKEN_SYMMETRIC_KEY is missing")
        assert await process.wait() == 2


async def test_a_database_that_is_away_ends_the_start_with_the_reason(
    variables: dict[str, str], tmp_path: Path
) -> None:
    nowhere = {**variables, "DB_SOURCE": f"postgresql://x:hunter2@127.0.0.1:{free_port()}/x"}
    async with program(nowhere, tmp_path) as process:
        said = await output_of(process)
        assert await process.wait() == 1
    assert b"member service failed" in said.splitlines()[-1]
    assert b"DB_SOURCE cannot be opened: [Errno 111] Connect call failed" in said.splitlines()[-1]
    assert b"hunter2" not in said


async def test_a_file_of_sqlite_that_cannot_be_made_ends_the_start_by_its_name(
    variables: dict[str, str], tmp_path: Path
) -> None:
    async with program({**variables, "DB_SOURCE": "sqlite:///no/m.db"}, tmp_path) as process:
        said = await output_of(process)
        assert await process.wait() == 1
    (line,) = said.splitlines()
    assert b"DB_SOURCE cannot be opened: [Errno 2] No such file or directory" in line
