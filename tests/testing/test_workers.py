"""`worker` is a real server on the memory of the test."""

import asyncio
from datetime import timedelta

import pytest

from pyasynq import App, Client, Mux, PyasynqError, Task, TaskState, TypedTask
from pyasynq.testing import Tasks
from tests.support.waiting import wait_until
from tests.testing.conftest import NOWHERE

HOUR = timedelta(hours=1)
Welcome = TypedTask[..., str]


@pytest.fixture
def began() -> asyncio.Event:
    """Return an event that is set when `hang` has begun."""
    return asyncio.Event()


@pytest.fixture
def hang(pyasynq_app: App, began: asyncio.Event) -> TypedTask[[], None]:
    """Return a task that runs until it is stopped."""

    @pyasynq_app.task("hang", timeout=2 * HOUR, max_retry=0)
    async def hang() -> None:
        began.set()
        await asyncio.Event().wait()

    return hang


async def test_a_worker_runs_tasks_as_they_come(tasks: Tasks, welcome: Welcome) -> None:
    async with tasks.worker(concurrency=2):
        info = await welcome.options(retention=HOUR).enqueue("bob")
        assert await Client(NOWHERE).result(info) == b'"welcome, bob"'


async def test_a_stop_puts_a_running_task_back(
    tasks: Tasks, hang: TypedTask[[], None], began: asyncio.Event
) -> None:
    async with tasks.worker(shutdown_timeout=timedelta(0)):
        await hang.enqueue()
        await began.wait()
    tasks.assert_enqueued(hang, state=TaskState.PENDING)


async def test_the_clock_may_be_moved_while_a_handler_runs(
    tasks: Tasks, hang: TypedTask[[], None], began: asyncio.Event
) -> None:
    async with tasks.worker():
        info = await hang.enqueue()
        await began.wait()
        await tasks.advance(HOUR)
        await tasks.advance(HOUR)

        async def is_archived() -> bool:
            found = await tasks.broker.inspection.task("default", info.id)
            return found is not None and found.container.state is TaskState.ARCHIVED

        await wait_until(is_archived)


async def test_a_delayed_task_runs_when_the_clock_is_moved(
    tasks: Tasks, welcome: Welcome, greetings: list[str]
) -> None:
    async with tasks.worker():
        await welcome.options(process_in=HOUR).enqueue("bob")
        await tasks.advance(HOUR)
        await wait_until(lambda: greetings)


async def test_a_mux_has_a_worker(began: asyncio.Event) -> None:
    mux = Mux()

    @mux.handle("t")
    async def note(_task: object) -> None:
        began.set()

    async with Tasks(mux) as tasks, tasks.worker():
        await Client(NOWHERE).enqueue(Task("t"))
        await began.wait()


async def test_without_an_app_there_is_no_worker() -> None:
    async with Tasks() as tasks:
        with pytest.raises(PyasynqError, match=r"write Tasks\(app\)"):
            async with tasks.worker():
                pass
