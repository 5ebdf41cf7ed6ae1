"""Fixtures for tests of faults: servers to break, and settings that save time."""

from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from services.member.tests.faults.crowd import LetterBoxes
from services.member.tests.faults.world import World
from tests.support.postgres import PostgresServer
from tests.support.servers import RedisServer, free_port


@pytest.fixture
def redis() -> Generator[RedisServer]:
    """A Redis that loses no write, even if it is killed."""
    with RedisServer(appendonly="yes", appendfsync="always") as server:
        yield server


@pytest.fixture
def own_postgres() -> Generator[PostgresServer]:
    """A PostgreSQL that the test may break."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
async def boxes() -> AsyncGenerator[tuple[LetterBoxes, str]]:
    """A mail server and its address."""
    server = LetterBoxes()
    async with server.running() as address:
        yield server, address


@pytest.fixture
def world(
    db_source: str, redis: RedisServer, boxes: tuple[LetterBoxes, str], tmp_path: Path
) -> World:
    """The surroundings of a program with a fixed address, the cheapest hash and no limits."""
    mails, smtp = boxes
    variables = {
        "ENVIRONMENT": "development",
        "DB_SOURCE": db_source,
        "REDIS_ADDRESS": redis.url,
        "GRPC_SERVER_ADDRESS": f"127.0.0.1:{free_port()}",
        "HTTP_SERVER_ADDRESS": "127.0.0.1:0",
        "PUBLIC_URL": "http://members.example.com",
        "SMTP_ADDRESS": smtp,
        "SMTP_SECURITY": "none",
        "EMAIL_SENDER_PASSWORD": "",
        "VERIFY_EMAIL_DELAY": "1s",
        "PASSWORD_HASH_TIME": "1",
        "PASSWORD_HASH_MEMORY_KIB": "8",
        "LIMIT_CREATE_MEMBER": "off",
        "LIMIT_LOGIN_MEMBER": "off",
        "LIMIT_VERIFY_EMAIL": "off",
        "LIMIT_RESEND_VERIFY_EMAIL": "off",
        "LOG_FORMAT": "json",
    }
    return World(
        folder=tmp_path, db_source=db_source, redis=redis, boxes=mails, variables=variables
    )
