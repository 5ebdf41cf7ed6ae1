"""The program waits for a Redis that is away at its start, and ends if Redis refuses it."""

import json
import signal
from pathlib import Path

import pytest

from member.demo.smtp import SmtpSink
from member.program import running
from member.settings import Settings
from services.member.tests.doubles import link_of
from services.member.tests.programs import create_alice, output_of, output_until, program
from tests.support.servers import RedisServer, TlsRedis, free_port


async def test_without_redis_at_the_start_people_sign_up_and_their_mails_follow(
    settings: Settings, redis: RedisServer, sink: tuple[SmtpSink, str]
) -> None:
    redis.stop()
    async with running(settings) as found:
        await create_alice(found.grpc)
        redis.start()
        assert link_of(await sink[0].mails.get())


async def test_queued_at_once_they_sign_up_when_redis_has_come(
    settings: Settings, redis: RedisServer, sink: tuple[SmtpSink, str]
) -> None:
    redis.stop()
    async with running(settings.model_copy(update={"task_distributor": "redis"})) as found:
        redis.start()
        await create_alice(found.grpc)
        assert link_of(await sink[0].mails.get())


async def test_the_log_says_once_that_redis_is_away(
    variables: dict[str, str], tmp_path: Path, redis: RedisServer
) -> None:
    redis.stop()
    async with program(variables, tmp_path) as process:
        away = await output_until(process, b"Redis is away")
        await output_until(process, b"member service started")
        redis.start()
        answers = await output_until(process, b"Redis answers")
        process.send_signal(signal.SIGTERM)
        after = await output_of(process)
    assert (json.loads(away)["level"], json.loads(answers)["level"]) == ("warning", "info")
    assert b"Redis is away" not in after


@pytest.mark.parametrize("roles", ["worker", "relay", "grpc"])
async def test_a_process_that_waits_for_redis_stops_in_order(
    variables: dict[str, str], tmp_path: Path, redis: RedisServer, roles: str
) -> None:
    redis.stop()
    async with program(variables, tmp_path, "--roles", roles) as process:
        await output_until(process, b"member service started")
        process.send_signal(signal.SIGTERM)
        await output_until(process, b"member service stopped")
        assert await process.wait() == 0


@pytest.mark.parametrize(
    ("roles", "name"),
    [("worker", b"task processor"), ("relay", b"relay"), ("grpc", b"task distributor")],
)
async def test_a_wrong_password_ends_the_program(
    variables: dict[str, str], tmp_path: Path, redis: RedisServer, roles: str, name: bytes
) -> None:
    wrong = {**variables, "REDIS_ADDRESS": f"{redis.url}?password=hunter2"}
    async with program(wrong, tmp_path, "--roles", roles) as process:
        said = await output_of(process)
        assert await process.wait() == 1
    assert b"failed to start " + name in said
    assert b"without any password configured" in said.splitlines()[-1]
    assert b"hunter2" not in said


async def test_a_wrong_password_ends_the_program_also_when_redis_comes_later(
    variables: dict[str, str], tmp_path: Path, redis: RedisServer
) -> None:
    redis.stop()
    wrong = {**variables, "REDIS_ADDRESS": f"{redis.url}?password=hunter2"}
    async with program(wrong, tmp_path) as process:
        await output_until(process, b"member service started")
        redis.start()
        await output_until(process, b"failed to start task processor")
        assert await process.wait() == 1


async def test_a_certificate_that_nobody_vouches_for_ends_the_program(
    variables: dict[str, str], tmp_path: Path
) -> None:
    with TlsRedis() as server:
        wrong = {**variables, "REDIS_ADDRESS": server.url_without_certificate}
        async with program(wrong, tmp_path) as process:
            said = await output_of(process)
            assert await process.wait() == 1
    assert b"certificate verify failed" in said.splitlines()[-1]


async def test_a_redis_without_the_database_ends_the_program(
    variables: dict[str, str], tmp_path: Path
) -> None:
    with RedisServer(port=free_port()) as server:
        async with program({**variables, "REDIS_ADDRESS": f"{server.url}/77"}, tmp_path) as process:
            said = await output_of(process)
            assert await process.wait() == 1
    assert b"DB index is out of range" in said.splitlines()[-1]
