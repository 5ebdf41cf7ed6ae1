"""The commands and statements of the deployment guide work."""

import re
import shlex
from collections.abc import AsyncGenerator

import pytest
from pydantic import SecretStr
from sqlalchemy import text

import pyasynq
from member.program import running
from member.settings import Settings
from member.store.database import Database
from services.member.tests.clients import sign_up
from services.member.tests.image import ROOT
from tests.cli.processes import command as pyasynq_command
from tests.support.servers import RedisServer

GUIDE = (ROOT / "docs/guides/deploy.md").read_text()

COMMANDS = sorted(
    # The commands that end by themselves, in blocks and in sentences.
    {found for found in re.findall(r"(?:\$ |`)(pyasynq [^`\n]+)", GUIDE) if "metrics" not in found}
)
LOST_MAILS, BROKEN_ROWS = re.findall(r"```sql\n(.*?)```", GUIDE, re.DOTALL)
(TASK_ID,) = set(re.findall(r" -i (\S+)", GUIDE))
NO_CONFLICT, CONFLICT = 0, 5


@pytest.fixture
async def archived(redis: RedisServer) -> AsyncGenerator[RedisServer]:
    """A Redis whose queue has one archived task."""
    task = pyasynq.Task("task:send_verify_email", queue="critical", task_id=TASK_ID)
    async with pyasynq.Client(redis.url) as client, pyasynq.Inspector(redis.url) as inspector:
        await client.enqueue(task)
        await inspector.archive_task("critical", TASK_ID)
        yield redis


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_command_of_the_guide_does_what_it_says(
    archived: RedisServer, command: str
) -> None:
    arguments = shlex.split(command)[1:]
    answer = ["--yes"] if "deleteall" in arguments else []
    async with pyasynq_command(*arguments, *answer, "-u", archived.url) as process:
        code = await process.wait_for_end()
    # A queue that is not paused cannot be resumed.
    assert code in {NO_CONFLICT, CONFLICT}, process.lines


async def test_a_member_whose_mail_is_lost_is_found(
    db: Database, db_source: str, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENVIRONMENT", "development")
    settings = Settings(
        db_source=SecretStr(db_source),
        redis_address=SecretStr(redis.url),
        grpc_server_address="127.0.0.1:0",
        http_server_address="127.0.0.1:0",
    )
    async with running(settings) as addresses:
        await sign_up(addresses, "alice")
    async with db.reading() as session:
        assert list(await session.scalars(text(LOST_MAILS))) == ["alice"]


async def test_rows_with_an_error_can_be_looked_for(db: Database) -> None:
    async with db.reading() as session:
        assert not list(await session.execute(text(BROKEN_ROWS)))
