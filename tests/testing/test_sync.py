"""`SyncTasks` is for tests without an event loop."""

import asyncio
import threading
import unittest
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from pyasynq import ActiveTask, App, PyasynqError, SyncClient, Task, TypedTask, current_task
from pyasynq.outbox import Outbox
from pyasynq.testing import SyncTasks
from tests.testing.conftest import NOWHERE

HOUR = timedelta(hours=1)
Welcome = TypedTask[..., str]


def test_a_sync_client_enqueues_and_the_test_drains(
    sync_tasks: SyncTasks, welcome: Welcome, greetings: list[str]
) -> None:
    with SyncClient(NOWHERE) as client:
        client.enqueue(welcome.task("bob"))
    sync_tasks.assert_enqueued(welcome, name="bob")
    assert sync_tasks.drain().types == ["email:welcome"]
    assert greetings == ["bob (en)"]


def test_a_typed_task_is_enqueued_without_a_loop(sync_tasks: SyncTasks, welcome: Welcome) -> None:
    welcome.enqueue_sync("bob")
    sync_tasks.assert_enqueued(welcome, name="bob")
    assert sync_tasks.drain().types == ["email:welcome"]


def test_a_plain_task_enqueues_without_a_loop(
    sync_tasks: SyncTasks, pyasynq_app: App, welcome: Welcome
) -> None:
    @pyasynq_app.task("plain")
    def plain() -> None:
        welcome.enqueue_sync("bob")

    plain.enqueue_sync()
    assert sync_tasks.drain().types == ["plain", "email:welcome"]


def test_a_coroutine_of_a_task_may_not_block_its_loop(
    sync_tasks: SyncTasks, pyasynq_app: App, welcome: Welcome
) -> None:
    @pyasynq_app.task("blocking")
    async def blocking() -> None:
        welcome.enqueue_sync("bob")

    blocking.enqueue_sync()
    with pytest.raises(PyasynqError, match="would block the event loop"):
        sync_tasks.drain()


def test_tasks_run_inline_without_a_loop(
    sync_tasks: SyncTasks, pyasynq_app: App, welcome: Welcome, greetings: list[str]
) -> None:
    with sync_tasks.inline():
        welcome.enqueue_sync("bob")
        assert greetings == ["bob (en)"]


def test_a_typed_task_is_enqueued_from_a_loop_of_its_own(
    sync_tasks: SyncTasks, welcome: Welcome
) -> None:
    asyncio.run(welcome.enqueue("bob"))
    asyncio.run(welcome.enqueue("eve"))
    assert len(sync_tasks.drain()) == 2


def test_a_plain_function_runs_in_the_thread_of_the_test(
    sync_tasks: SyncTasks, pyasynq_app: App, welcome: Welcome
) -> None:
    threads: list[threading.Thread] = []

    @pyasynq_app.task("plain")
    def plain(task: ActiveTask) -> None:
        threads.append(threading.current_thread())
        assert task is current_task()
        task.write_result_sync(b"done")
        asyncio.run(welcome.enqueue("bob"))

    sync_tasks.perform(plain)
    assert sync_tasks.drain().types == ["email:welcome"]
    asyncio.run(plain.enqueue())
    assert sync_tasks.drain().types == ["plain", "email:welcome"]
    assert threads == [threading.current_thread()] * 2


def test_an_error_is_raised_in_the_test(sync_tasks: SyncTasks, pyasynq_app: App) -> None:
    @pyasynq_app.task("failing")
    def failing() -> None:
        raise ValueError("boom")

    asyncio.run(failing.enqueue())
    with pytest.raises(ValueError, match="boom"):
        sync_tasks.drain()
    assert len(sync_tasks.drain(raises=False, travel=True)) == 25


def test_an_interruption_ends_the_wait(sync_tasks: SyncTasks, pyasynq_app: App) -> None:
    @pyasynq_app.task("t")
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sync_tasks.perform(interrupt)


def test_a_call_returns_what_the_function_returns(sync_tasks: SyncTasks, welcome: Welcome) -> None:
    assert sync_tasks.perform(welcome, "bob") == "welcome, bob"
    assert sync_tasks.perform(Task("email:welcome", b'{"name":"eve"}')) == "welcome, eve"


@pytest.mark.pyasynq(inline=True)
def test_inline_a_task_has_run_when_enqueue_returns(
    sync_tasks: SyncTasks, pyasynq_app: App, welcome: Welcome, greetings: list[str]
) -> None:
    @pyasynq_app.task("plain")
    def plain() -> None:
        asyncio.run(welcome.enqueue("bob"))
        greetings.append("after")

    with SyncClient(NOWHERE) as client:
        client.enqueue(plain.task())
    assert greetings == ["bob (en)", "after"]


def test_time_travels(sync_tasks: SyncTasks, pyasynq_app: App, welcome: Welcome) -> None:
    @pyasynq_app.periodic("@every 1h")
    @pyasynq_app.task("report")
    def report() -> None: ...

    began = sync_tasks.now
    asyncio.run(welcome.options(process_in=HOUR).enqueue("bob"))
    sync_tasks.advance(minutes=30)
    sync_tasks.travel_to(began + HOUR)
    assert [info.type for info in sync_tasks.tick()] == ["report"]
    assert sorted(sync_tasks.drain().types) == ["email:welcome", "report"]


def test_a_worker_runs_tasks_as_they_come(sync_tasks: SyncTasks, welcome: Welcome) -> None:
    with sync_tasks.worker(concurrency=2), SyncClient(NOWHERE) as client:
        info = client.enqueue(welcome.task("bob"), retention=HOUR)
        assert client.result(info) == b'"welcome, bob"'


def test_a_worker_that_cannot_start_says_why() -> None:
    with SyncTasks() as tasks, pytest.raises(PyasynqError, match=r"write Tasks\(app\)"):
        with tasks.worker():
            pass


def test_an_outbox_reaches_the_memory_through_its_relay(
    sync_tasks: SyncTasks, tmp_path: Path, welcome: Welcome
) -> None:
    outbox, engine = Outbox(), create_engine(f"sqlite:///{tmp_path}/data.db")
    outbox.table.metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        outbox.add(session, welcome.task("bob"))
    url = f"sqlite+aiosqlite:///{tmp_path}/data.db"
    sync_tasks.relay(outbox, create_async_engine(url, poolclass=NullPool))
    sync_tasks.assert_enqueued(welcome, name="bob")
    engine.dispose()


class TestCaseOfUnittest(unittest.TestCase):
    """A test of the standard library, as Django's are."""

    def setUp(self) -> None:
        self.app = App(NOWHERE)
        self.tasks = self.enterContext(SyncTasks(self.app))

    def test_tasks_run_in_a_test_case(self) -> None:
        @self.app.task("double")
        def double(number: int) -> int:
            return 2 * number

        asyncio.run(double.enqueue(21))
        assert [run.value for run in self.tasks.drain().runs] == [42]
