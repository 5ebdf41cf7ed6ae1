"""``pyasynq store`` copies a file of SQLite, and moves tasks to another broker."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
from anyio import to_thread

from pyasynq import SyncClient, Task
from pyasynq.broker import Broker, Container, open_broker
from pyasynq.core.states import TaskState
from tests.cli import processes
from tests.cli.command_runner import CommandResult, CommandRunner
from tests.cli.redis_records import put_server
from tests.support.factories import a_lease, enqueue, many_pending
from tests.support.flows import a_flow, open_flow
from tests.support.servers import RedisServer
from tests.support.waiting import wait_until

MOVE: Final = ("store", "move", "-u", "sqlite:///source.db", "--to")
"""The command, without the address of the target."""


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Return the address of a file whose queue ``q`` has a task."""
    url = f"sqlite:///{tmp_path}/tasks.db"
    with SyncClient(url) as client:
        client.enqueue(Task("t", b"{}", queue="q", task_id="1"))
    return url


# -- backup ----------------------------------------------------------------------------------------


def test_a_copy_is_a_file_that_works(run_cli: CommandRunner, url: str, tmp_path: Path) -> None:
    result = run_cli("store", "backup", f"{tmp_path}/copy.db", "-u", url)
    assert (result.code, result.err.startswith("wrote ")) == (0, True)
    assert run_cli("queue", "list", "-u", f"sqlite:///{tmp_path}/copy.db").out == "q\n"


def test_a_file_that_is_there_is_a_conflict(
    run_cli: CommandRunner, url: str, tmp_path: Path
) -> None:
    (tmp_path / "mine").write_text("text")
    result = run_cli("store", "backup", f"{tmp_path}/mine", "-u", url)
    assert (result.code, (tmp_path / "mine").read_text()) == (5, "text")


def test_redis_is_not_copied(run_cli: CommandRunner, tmp_path: Path) -> None:
    result = run_cli("store", "backup", f"{tmp_path}/copy.db")
    assert (result.code, result.err) == (1, "pyasynq: Redis does not support a backup\n")


# -- move ------------------------------------------------------------------------------------------


def test_tasks_move_to_redis_and_back(run_cli: CommandRunner, redis_url: str, url: str) -> None:
    assert run_cli("store", "move", "-u", url, "--to", redis_url) == CommandResult(
        0, "q: 1 pending moved\n", ""
    )
    assert run_cli("store", "move", "--to", url).out == "q: 1 pending moved\n"
    assert run_cli("store", "move", "--to", url).out == "q: nothing moved\n"


def test_what_was_moved_can_be_json(run_cli: CommandRunner, redis_url: str, url: str) -> None:
    moves = run_cli("store", "move", "-u", url, "--to", redis_url, "-o", "json").json
    assert moves == [
        {"queue": "q", "moved": {"pending": 1}, "staying": [], "left": {}, "running": {}}
    ]


def test_only_the_queues_that_are_named_are_moved(
    run_cli: CommandRunner, redis_url: str, url: str
) -> None:
    with SyncClient(url) as client:
        client.enqueue(Task("t", queue="other"))
    result = run_cli("store", "move", "-u", url, "--to", redis_url, "-q", "other")
    assert result.out == "other: 1 pending moved\n"
    assert run_cli("store", "move", "-u", url, "--to", redis_url, "-q", "none").code == 3


def test_a_task_that_stays_is_named_with_the_reason(
    run_cli: CommandRunner, redis_url: str, sync_client: SyncClient, url: str
) -> None:
    sync_client.enqueue(Task("t", b"[]", queue="q", task_id="1"))
    result = run_cli("store", "move", "-u", url, "--to", redis_url)
    assert result == CommandResult(
        5,
        "q: nothing moved\nq: 1 pending left\n  1 (pending): another task with this id is there\n",
        "",
    )


async def test_active_tasks_stay(run_cli: CommandRunner, redis_url: str, source: Broker) -> None:
    await a_lease(source)
    result = await to_thread.run_sync(run_cli, *MOVE, redis_url)
    assert (result.code, "q: 1 active left\n" in result.out) == (5, True)


async def test_flows_that_run_stay(run_cli: CommandRunner, redis_url: str, source: Broker) -> None:
    await open_flow(source, a_flow(("succeeded", ())))
    result = await to_thread.run_sync(run_cli, *MOVE, redis_url)
    assert (result.code, result.out) == (
        5,
        "q: nothing moved\nq: 1 pending left\n  flow:0 (pending): its flow or batch runs here\n"
        "q: 1 flow left\n  run a worker here until they have ended, then repeat\n",
    )


async def test_a_flow_that_waits_for_a_signal_stays(
    run_cli: CommandRunner, redis_url: str, source: Broker
) -> None:
    gate = {0: {"type": "", "task_id": ""}}
    await open_flow(source, a_flow(("succeeded", ()), changes=gate))
    result = await to_thread.run_sync(run_cli, *MOVE, redis_url)
    assert (result.code, "q: 1 flow left\n" in result.out) == (5, True)


def test_workers_must_be_stopped(
    run_cli: CommandRunner, redis_server: RedisServer, url: str
) -> None:
    put_server(redis_server)
    result = run_cli("store", "move", "--to", url)
    assert (result.code, "stop the workers first: h:1 " in result.err) == (5, True)


def test_a_broker_is_not_moved_to_itself(run_cli: CommandRunner, url: str) -> None:
    result = run_cli("store", "move", "-u", url, "--to", f"{url}?timeout=1")
    assert (result.code, "lead to the same broker" in result.err) == (2, True)


@pytest.mark.parametrize(("to", "code"), [("sqlite://", 2), ("http://h", 2), ("127.0.0.1:1", 4)])
def test_an_address_that_cannot_be_used_moves_nothing(
    run_cli: CommandRunner, url: str, to: str, code: int
) -> None:
    assert run_cli("store", "move", "-u", url, "--to", to).code == code
    assert run_cli("task", "list", "-q", "q", "-s", "pending", "-u", url).code == 0


# -- killed ----------------------------------------------------------------------------------------

TASKS: Final = 3000


@pytest.fixture
async def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Broker]:
    """Yield a broker on the file ``source.db`` in the current folder."""
    monkeypatch.chdir(tmp_path)
    broker = open_broker("sqlite:///source.db")
    yield broker
    await broker.aclose()


@pytest.fixture
async def target(redis_url: str) -> AsyncIterator[Broker]:
    """Yield a broker on an empty Redis."""
    broker = open_broker(redis_url)
    yield broker
    await broker.aclose()


async def pending(broker: Broker) -> int:
    return (await broker.inspection.queue_info("q", memory=False)).pending


async def kill_move(to: str, target: Broker, after: int, *, folder: Path) -> None:
    """Begin a move, and kill it once *target* has more than *after* tasks."""
    async with processes.command(*MOVE, to, cwd=folder) as process:

        async def has_moved() -> bool:
            return await pending(target) > after

        await wait_until(has_moved)
        process.send(signal.SIGKILL)
        await process.wait_for_end()


async def test_a_move_that_is_killed_again_and_again_moves_each_task_once(
    run_cli: CommandRunner, redis_url: str, source: Broker, target: Broker, tmp_path: Path
) -> None:
    await enqueue(source, *many_pending(TASKS))
    await kill_move(redis_url, target, 0, folder=tmp_path)
    await kill_move(redis_url, target, 800, folder=tmp_path)
    await kill_move(redis_url, target, 1600, folder=tmp_path)
    assert await pending(source) + await pending(target) >= TASKS
    last = await to_thread.run_sync(run_cli, *MOVE, redis_url)
    assert (last.code, await pending(source), await pending(target)) == (0, 0, TASKS)
    container = Container(queue="q", state=TaskState.PENDING)
    page = await target.inspection.tasks(container, 0, TASKS)
    assert [task.id for task in page.tasks] == [str(n) for n in range(TASKS)]
