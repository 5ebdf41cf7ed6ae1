"""``pyasynq relay`` moves tasks to their queues until a stop signal."""

import signal
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from pyasynq import Task
from pyasynq.cli.app_loader import load_relay
from pyasynq.cli.exit_codes import ExitError
from pyasynq.outbox import Outbox
from tests.cli import relays
from tests.cli.processes import command
from tests.support.queue_view import RedisQueue
from tests.support.waiting import wait_until

RELAY = "tests.cli.relays:relay"


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path}/test.db"


@pytest.fixture
async def engine(database: str) -> AsyncGenerator[AsyncEngine]:
    engine = create_async_engine(database)
    async with engine.begin() as connection:
        await connection.run_sync(Outbox().table.metadata.create_all)
    yield engine
    await engine.dispose()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_relay_moves_tasks_until_it_is_told_to_stop(
    number: signal.Signals, database: str, engine: AsyncEngine, redis_url: str, r: Redis
) -> None:
    environ = {"TEST_DATABASE": database, "TEST_REDIS_URL": redis_url}
    async with command("relay", RELAY, environ=environ) as process:
        async with AsyncSession(engine) as session, session.begin():
            await Outbox().enqueue(session, Task("t"))
        await wait_until(RedisQueue(r).pending_ids)
        process.send(number)
        await process.wait_for_line(f"{number.name}: shutting down")
        await process.wait_for_line("the relay has stopped")
        assert await process.wait_for_end() == 0


def test_a_relay_is_found_by_module_and_name() -> None:
    assert load_relay(RELAY) is relays.relay


def test_the_name_of_a_relay_is_relay_when_left_out() -> None:
    assert load_relay("tests.cli.relays") is relays.relay


def test_without_sqlalchemy_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [it for it in sys.modules if it.startswith("pyasynq.outbox.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delitem(sys.modules, relays.__name__)
    monkeypatch.setitem(sys.modules, "sqlalchemy.ext.asyncio", None)
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(ExitError, match=r"pip install 'pyasynq\[sqlalchemy\]'"):
        load_relay(RELAY)


def test_what_is_no_relay_is_refused() -> None:
    text = "has no pyasynq.outbox.Relay called 'outbox'"
    with pytest.raises(ExitError, match=text):
        load_relay("tests.cli.relays:outbox")
