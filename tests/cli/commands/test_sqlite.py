"""Commands work on a file of SQLite, and show what there is."""

import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from pyasynq import Client, Inspector, SyncClient, Task
from pyasynq.outbox import Outbox
from tests.cli.command_runner import CommandRunner
from tests.cli.processes import command, worker
from tests.support.waiting import wait_until


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the path of the file."""
    return tmp_path / "tasks.db"


@pytest.fixture
def client(file: Path) -> Iterator[SyncClient]:
    """Yield a client of the file, whose queue ``q`` has a task."""
    with SyncClient(f"sqlite:///{file}") as client:
        client.enqueue(Task("t", b"{}", queue="q", task_id="1"))
        yield client


@pytest.fixture
def run(
    client: SyncClient, file: Path, run_cli: CommandRunner, monkeypatch: pytest.MonkeyPatch
) -> CommandRunner:
    """Return a function that runs a command on the file."""
    assert client
    monkeypatch.setenv("PYASYNQ_URI", f"sqlite:///{file}")
    return run_cli


def test_queues_are_listed_without_nodes(run: CommandRunner) -> None:
    assert run("queue", "list").out == "q\n"


def test_the_statistics_name_the_file(run: CommandRunner, file: Path) -> None:
    result = run("stats")
    assert (result.code, "SQLite Info" in result.out) == (0, True)
    assert [sqlite3.sqlite_version, str(file)] in [line[:2] for line in result.lines]


def test_the_statistics_for_programs_have_a_member_for_sqlite(
    run: CommandRunner, file: Path
) -> None:
    document = run("stats", "--json").json
    assert document.keys() == {"aggregate", "queues", "sqlite"}
    assert document["sqlite"]["file"] == str(file)


def test_each_check_of_a_file_is_a_line(run: CommandRunner) -> None:
    result = run("doctor")
    assert [line[1] for line in result.lines if line[0] in {"ok", "warning", "problem"}] == [
        *("pyasynq", "address", "connection"),
        *("sqlite", "file", "rights", "disk", "log", "persistence"),
        *("queues", "workers", "schedulers"),
    ]


def test_a_file_that_is_missing_is_no_connection(run_cli: CommandRunner, file: Path) -> None:
    result = run_cli("doctor", "-u", f"sqlite:///{file}", "-o", "json")
    assert (result.code, result.json[-1]["status"]) == (4, "problem")
    assert result.json[-1]["message"].startswith("there is no file")
    assert not file.exists()


def test_a_file_that_is_no_database_is_a_problem(run_cli: CommandRunner, file: Path) -> None:
    file.write_text("this is a text, and by far too long to be the header of a database")
    result = run_cli("doctor", "-u", f"sqlite:///{file}", "-o", "json")
    assert (result.code, result.json[-1]["check"]) == (1, "connection")
    assert "file is not a database" in result.json[-1]["message"]


def test_a_file_of_a_later_version_is_refused(run: CommandRunner, file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE pyasynq_meta SET value = 1000 WHERE key = 'schema'")
    result = run("queue", "list")
    assert (result.code, "was written by a later version of pyasynq" in result.err) == (1, True)


# -- programs --------------------------------------------------------------------------------------


@pytest.fixture
def url(file: Path) -> str:
    """Return the address of the file."""
    return f"sqlite:///{file}"


async def test_a_worker_names_the_file_and_runs_its_tasks(url: str) -> None:
    async with worker("tests.cli.apps:app", environ={"TEST_REDIS_URL": url}) as process:
        await process.wait_for_line(f"SQLite: {url} (named by the app)")
        async with Client(url) as client:
            info = await client.enqueue(Task("print"))
        await process.wait_for_line(f"ran {info.id}")
        process.send(signal.SIGTERM)
        assert await process.wait_for_end() == 0
    assert [line for line in process.lines if "Redis" in line] == []


async def test_supervised_workers_are_replaced_at_sighup(url: str) -> None:
    async with worker("tests.cli.apps:app", "-p", "2", "-u", url) as process:
        await process.wait_for_line(f"SQLite: {url} (named by --uri)", times=2)
        process.send(signal.SIGHUP)
        await process.wait_for_line(f"SQLite: {url} (named by --uri)", times=4)
        async with Client(url) as client:
            info = await client.enqueue(Task("print"))
        await process.wait_for_line(f"ran {info.id}")
        process.send(signal.SIGTERM)
        assert await process.wait_for_end() == 0


async def test_a_burst_on_a_file_ends_when_the_queue_is_empty(url: str) -> None:
    async with Client(url) as client:
        await client.enqueue(Task("print", task_id="1"))
    async with worker("tests.cli.apps:app", "--burst", "-u", url) as process:
        assert await process.wait_for_end() == 0
    assert "ran 1" in process.lines


async def test_a_worker_on_memory_is_warned_that_it_is_alone() -> None:
    async with worker("tests.cli.apps:app", "-u", "sqlite://") as process:
        await process.wait_for_line("no other process sees the tasks")


async def test_a_scheduler_enqueues_into_a_file(url: str) -> None:
    async with command("scheduler", "tests.cli.apps:app", "-u", url) as process:
        await process.wait_for_line(f"SQLite: {url} (named by --uri)")
        async with Inspector(url) as inspector:

            async def has_enqueued() -> bool:
                return "default" in await inspector.queues()

            await wait_until(has_enqueued)


async def test_a_relay_moves_tasks_into_a_file(url: str, tmp_path: Path) -> None:
    database = f"sqlite+aiosqlite:///{tmp_path}/shop.db"
    engine = create_async_engine(database)
    async with engine.begin() as connection:
        await connection.run_sync(Outbox().table.metadata.create_all)
    async with AsyncSession(engine) as session, session.begin():
        await Outbox().enqueue(session, Task("t", queue="q", task_id="1"))
    environ = {"TEST_DATABASE": database, "TEST_REDIS_URL": url}
    async with command("relay", "tests.cli.relays:relay", environ=environ):
        async with Inspector(url) as inspector:

            async def has_moved() -> bool:
                return "q" in await inspector.queues()

            await wait_until(has_moved)
            assert (await inspector.task_info("q", "1")).state == "pending"
    await engine.dispose()
