"""The output of the program holds no secret in any form, even after failures."""

import sqlite3
from collections.abc import AsyncGenerator
from contextlib import closing
from pathlib import Path

import pytest

from services.member.tests.leaks import OutputReader, find_leaks
from services.member.tests.programs import output_of, program, stub_of
from services.member.tests.visitor import AskingSink, Visitor
from tests.support.postgres import PostgresServer
from tests.support.servers import RedisServer, free_port

KEY = "a key/of 32+ characters, never shown"
SMTP_PASSWORD = "smtp pass/word+1"
URL_PASSWORD = "hunter2-hunter2"


@pytest.fixture
async def asking() -> AsyncGenerator[tuple[AskingSink, str]]:
    """A mail server that requires a password, and its address."""
    sink = AskingSink()
    async with sink.running() as address:
        yield sink, address


@pytest.fixture
def talkative(variables: dict[str, str], asking: tuple[AskingSink, str]) -> dict[str, str]:
    """Settings of a program that logs as much as possible, and knows secrets."""
    return {
        **variables,
        "LOG_LEVEL": "debug",
        "GRPC_SERVER_ADDRESS": f"127.0.0.1:{free_port()}",
        "TOKEN_SYMMETRIC_KEY": KEY,
        "SMTP_ADDRESS": asking[1],
        "EMAIL_SENDER_ADDRESS": "service@example.com",
        "EMAIL_SENDER_PASSWORD": SMTP_PASSWORD,
    }


def hashes(database: Path) -> list[str]:
    """Return the hashes in the database, of passwords and of tokens."""
    with closing(sqlite3.connect(database)) as connection:
        passwords = [row[0] for row in connection.execute("SELECT password_hash FROM members")]
        tokens = [
            row[0].hex() for row in connection.execute("SELECT token_hash FROM verifications")
        ]
    return passwords + tokens


def take_tables_away(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.executescript(
            "DROP TABLE verifications; DROP TABLE sessions; DROP TABLE members"
        )


@pytest.mark.parametrize("log_format", ["json", "console"])
async def test_no_secret_is_logged(
    talkative: dict[str, str],
    asking: tuple[AskingSink, str],
    redis: RedisServer,
    tmp_path: Path,
    log_format: str,
) -> None:
    database, (sink, _) = tmp_path / "member.db", asking
    async with (
        program({**talkative, "LOG_FORMAT": log_format}, tmp_path) as process,
        stub_of(talkative["GRPC_SERVER_ADDRESS"]) as stub,
    ):
        reader, visitor = OutputReader(process), Visitor(stub)
        await reader.wait(b"member service started")
        await visitor.sign_up()
        mail = await sink.mails.get()
        await reader.wait(b"processed task")
        await visitor.open_link(mail)
        await visitor.log_in()
        secrets = [KEY, SMTP_PASSWORD, *hashes(database)]
        await visitor.use_session()
        secrets += hashes(database)
        await visitor.reset_password(sink.mails)
        redis.stop()
        await visitor.resend()
        redis.start()
        secrets += hashes(database)
        take_tables_away(database)
        await visitor.call_in_vain(mail)
        said = await reader.stop_and_read()
    assert sink.log_ins
    assert b"no such table" in said
    assert not find_leaks(said, [*visitor.secrets, *secrets])


async def test_the_password_of_a_redis_that_refuses_us_is_not_logged(
    talkative: dict[str, str], redis: RedisServer, tmp_path: Path
) -> None:
    refusing = {**talkative, "REDIS_ADDRESS": f"{redis.url}?password={URL_PASSWORD}"}
    async with program(refusing, tmp_path) as process:
        said = await output_of(process)
        assert await process.wait() == 1
    assert b"failed to start task processor" in said
    assert not find_leaks(said, [URL_PASSWORD, KEY])


async def test_the_password_of_a_redis_that_is_away_is_not_logged(
    talkative: dict[str, str], tmp_path: Path
) -> None:
    away = {**talkative, "REDIS_ADDRESS": f"redis://me:{URL_PASSWORD}@127.0.0.1:{free_port()}"}
    async with program(away, tmp_path) as process:
        reader = OutputReader(process)
        await reader.wait(b"Redis is away")
        await reader.wait(b"member service started")
        said = await reader.stop_and_read()
    assert not find_leaks(said, [URL_PASSWORD, KEY])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DB_SOURCE", f"postgresql://me:{URL_PASSWORD}@127.0.0.1:1/x"),
        ("DB_SOURCE", f"postgresql://me:{URL_PASSWORD}@127.0.0.1:1/x?nonsense=1"),
        ("REDIS_ADDRESS", f"redis://me:{URL_PASSWORD}@127.0.0.1:port/0"),
    ],
)
async def test_the_password_in_an_address_that_is_no_use_is_not_logged(
    talkative: dict[str, str], tmp_path: Path, name: str, value: str
) -> None:
    async with program({**talkative, name: value}, tmp_path) as process:
        said = await output_of(process)
        assert await process.wait() in {1, 2}
    assert said
    assert not find_leaks(said, [URL_PASSWORD, KEY])


async def test_the_password_of_a_database_that_refuses_us_is_not_logged(
    talkative: dict[str, str], postgres: PostgresServer, tmp_path: Path
) -> None:
    place = postgres.new_database().partition("@")[2]
    refusing = {**talkative, "DB_SOURCE": f"postgresql://nobody:{URL_PASSWORD}@{place}"}
    async with program(refusing, tmp_path) as process:
        said = await output_of(process)
        assert await process.wait() == 1
    assert b"nobody" in said
    assert not find_leaks(said, [URL_PASSWORD, KEY])
