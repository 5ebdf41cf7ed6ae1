"""The whole program with Redis Sentinel and Redis Cluster."""

import asyncio
from collections.abc import Generator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from pydantic import SecretStr

from member.demo.smtp import SmtpSink
from member.program import Addresses, running
from member.settings import Settings
from services.member.tests.clients import sign_up
from services.member.tests.doubles import link_of
from tests.support.servers import RedisCluster, RedisSentinel


@pytest.fixture
def cluster() -> Generator[RedisCluster]:
    with RedisCluster() as servers:
        yield servers


@pytest.fixture
def sentinel() -> Generator[RedisSentinel]:
    with RedisSentinel() as servers:
        yield servers


@pytest.fixture
def mails(sink: tuple[SmtpSink, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SmtpSink:
    """The mail server of the program."""
    variables = {
        "ENVIRONMENT": "development",
        "DB_SOURCE": f"sqlite:///{tmp_path}/member.db",
        "GRPC_SERVER_ADDRESS": "127.0.0.1:0",
        "HTTP_SERVER_ADDRESS": "127.0.0.1:0",
        "SMTP_ADDRESS": sink[1],
        "SMTP_SECURITY": "none",
        "VERIFY_EMAIL_DELAY": "1s",
        "PASSWORD_HASH_MEMORY_KIB": "64",
    }
    monkeypatch.chdir(tmp_path)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return sink[0]


def service_on(redis: str) -> AbstractAsyncContextManager[Addresses]:
    """Run the program with its tasks at a Redis address."""
    return running(Settings(redis_address=SecretStr(redis)))


async def test_a_sign_up_leads_to_a_mail_on_a_cluster(
    cluster: RedisCluster, mails: SmtpSink
) -> None:
    async with service_on(cluster.url) as addresses:
        await sign_up(addresses, "alice")
        assert link_of(await mails.mails.get())


async def test_a_sign_up_leads_to_a_mail_through_sentinels(
    sentinel: RedisSentinel, mails: SmtpSink
) -> None:
    async with service_on(sentinel.url) as addresses:
        await sign_up(addresses, "alice")
        assert link_of(await mails.mails.get())


async def test_a_sign_up_during_a_failover_leads_to_a_mail(
    sentinel: RedisSentinel, mails: SmtpSink
) -> None:
    first = sentinel.master_port
    async with service_on(sentinel.url) as addresses:
        sentinel.master.kill()
        await sign_up(addresses, "alice")
        async with asyncio.timeout(20):
            mail = await mails.mails.get()
    assert link_of(mail)
    assert sentinel.master_port != first
