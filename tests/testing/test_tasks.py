"""All tasks of the process are in the memory of the test."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from pyasynq import (
    App,
    Client,
    DuplicateTaskError,
    Inspector,
    Mux,
    NotAwaitedError,
    OptionError,
    PyasynqError,
    Scheduler,
    Semaphore,
    Server,
    SyncClient,
    Task,
    TaskState,
    TypedTask,
)
from pyasynq.broker.sqlite import in_memory
from pyasynq.outbox import Outbox
from pyasynq.testing import SyncTasks, Tasks
from tests.testing.conftest import NOWHERE

HOUR = timedelta(hours=1)
Welcome = TypedTask[..., str]

client_of_the_module = Client(NOWHERE)
"""A program's client that is made when its module is imported."""


# -- what is replaced ------------------------------------------------------------------------------


async def test_an_app_enqueues_into_memory_without_being_opened(
    tasks: Tasks, welcome: Welcome
) -> None:
    info = await welcome.enqueue("bob")
    assert tasks.enqueued() == [info]


async def test_an_app_that_is_opened_enqueues_into_memory_too(
    tasks: Tasks, pyasynq_app: App, welcome: Welcome
) -> None:
    async with pyasynq_app:
        await welcome.enqueue("bob")
    tasks.assert_enqueued(welcome, name="bob")


@pytest.mark.parametrize("number", [1, 2])
async def test_a_client_of_a_module_serves_one_test_after_another(
    tasks: Tasks, number: int
) -> None:
    await client_of_the_module.enqueue(Task("t"), task_id=str(number))
    assert [info.id for info in tasks.enqueued()] == [str(number)]


def test_a_client_of_a_module_serves_tests_that_each_have_a_loop() -> None:
    async def test() -> None:
        async with Tasks() as tasks:
            await client_of_the_module.enqueue(Task("t"))
            tasks.assert_enqueued("t", count=1)

    asyncio.run(test())
    asyncio.run(test())


async def test_after_the_test_a_client_uses_its_own_broker_again() -> None:
    broker = in_memory()
    async with Client(broker) as client:
        async with Tasks() as tasks:
            await client.enqueue(Task("t"), task_id="in the test")
            tasks.assert_enqueued("t", id="in the test")
        await client.enqueue(Task("t"), task_id="afterwards")
    assert await broker.inspection.task("default", "in the test") is None
    assert await broker.inspection.task("default", "afterwards") is not None
    await broker.aclose()


async def test_a_sync_client_uses_the_memory(tasks: Tasks) -> None:
    with SyncClient(NOWHERE) as client:
        await asyncio.to_thread(client.enqueue, Task("t"))
    tasks.assert_enqueued("t")


async def test_an_inspector_sees_the_memory(tasks: Tasks, welcome: Welcome) -> None:
    async with Inspector(NOWHERE) as inspector:
        info = await welcome.enqueue("bob")
        assert await inspector.task_info("default", info.id) == info


async def test_a_semaphore_has_its_tokens_in_the_memory(tasks: Tasks) -> None:
    first, second = Semaphore(NOWHERE, "scope", 1), Semaphore("sqlite://", "scope", 1)
    assert (await first.try_acquire(), await second.try_acquire()) == (True, False)
    await tasks.advance(hours=1)
    assert await second.try_acquire()


async def test_a_broker_that_was_handed_over_is_replaced(tasks: Tasks) -> None:
    broker = in_memory()
    await Client(broker).enqueue(Task("t"))
    tasks.assert_enqueued("t")
    await broker.aclose()


async def test_a_scheduler_enqueues_into_the_memory(tasks: Tasks) -> None:
    scheduler = Scheduler(NOWHERE)
    scheduler.register("@every 1m", Task("t"))
    await scheduler.tick()
    await tasks.advance(minutes=1)
    await scheduler.tick()
    tasks.assert_enqueued("t", count=1)


async def test_a_server_of_the_program_takes_tasks_from_the_memory(tasks: Tasks) -> None:
    done = asyncio.Event()

    async def note(_task: object) -> None:
        done.set()

    async with Server(NOWHERE).running(note), asyncio.timeout(60):
        await client_of_the_module.enqueue(Task("t"))
        await done.wait()


async def test_an_outbox_reaches_the_memory_through_its_relay(
    tasks: Tasks, tmp_path: Path, welcome: Welcome
) -> None:
    outbox, engine = Outbox(), create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/data.db")
    async with engine.begin() as connection:
        await connection.run_sync(outbox.table.metadata.create_all)
    async with AsyncSession(engine) as session, session.begin():
        await outbox.enqueue(session, welcome.task("bob"))
    tasks.refute_enqueued(welcome)
    await tasks.relay(outbox, engine)
    tasks.assert_enqueued(welcome, name="bob")
    await engine.dispose()


async def test_a_wrong_address_is_refused_as_without_the_kit(tasks: Tasks) -> None:
    with pytest.raises(OptionError, match="broker must be"):
        Client("http://127.0.0.1")


async def test_one_process_has_one_memory(tasks: Tasks) -> None:
    with pytest.raises(PyasynqError, match="replaced already: leave the other block first"):
        with SyncTasks():
            pass
    await client_of_the_module.enqueue(Task("t"))
    tasks.assert_enqueued("t")


async def test_the_next_test_finds_no_tasks_of_this_one() -> None:
    async with Tasks() as tasks:
        await client_of_the_module.enqueue(Task("t"), unique=HOUR)
        tasks.assert_enqueued("t")
    async with Tasks() as tasks:
        await client_of_the_module.enqueue(Task("t"), unique=HOUR)
        tasks.assert_enqueued("t", count=1)


async def test_locks_and_states_are_those_of_every_broker(tasks: Tasks) -> None:
    await client_of_the_module.enqueue(Task("t"), unique=HOUR)
    with pytest.raises(DuplicateTaskError):
        await client_of_the_module.enqueue(Task("t"), unique=HOUR)
    await tasks.advance(hours=1, seconds=1)
    await client_of_the_module.enqueue(Task("t"), unique=HOUR)
    tasks.assert_enqueued("t", count=2, state=TaskState.PENDING)


# -- what is refused -------------------------------------------------------------------------------


async def test_without_an_app_tasks_are_recorded_but_not_run() -> None:
    async with Tasks() as tasks:
        await client_of_the_module.enqueue(Task("t"))
        tasks.assert_enqueued("t")
        for run in (tasks.drain, tasks.tick, lambda: tasks.perform(Task("t"))):
            with pytest.raises(PyasynqError, match=r"write Tasks\(app\), or define the fixture"):
                await run()
        with pytest.raises(PyasynqError, match=r"write Tasks\(app\)"), tasks.inline():
            pass


async def test_outside_of_its_block_there_are_no_tasks(pyasynq_app: App) -> None:
    async with Tasks(pyasynq_app) as tasks:
        pass
    with pytest.raises(PyasynqError, match="there inside of their block"):
        tasks.enqueued()
    with pytest.raises(PyasynqError, match="there inside of their block"):
        await tasks.drain()


async def test_a_block_may_be_entered_again_and_begins_anew(pyasynq_app: App) -> None:
    @pyasynq_app.task("plain")
    def plain() -> None: ...

    tasks = Tasks(pyasynq_app)
    async with tasks:
        await plain.enqueue()
        await tasks.drain()
    async with tasks:
        await plain.enqueue()
        assert len(await tasks.drain()) == len(tasks.ran) == 1


@pytest.mark.parametrize("app", ["shop.tasks:app", Client])
def test_what_is_no_app_is_refused(app: object) -> None:
    with pytest.raises(OptionError, match="app must be an App or a Mux"):
        Tasks(app)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("option", "meant"), [("concurency", "concurrency"), ("inlin", "inline"), ("noww", "now")]
)
def test_an_unknown_option_is_refused(option: str, meant: str) -> None:
    with pytest.raises(TypeError, match=f"unknown option '{option}'; did you mean '{meant}'"):
        Tasks(**{option: 3})  # type: ignore[arg-type]


async def test_a_call_that_was_not_awaited_fails_the_test(welcome: Welcome) -> None:
    with pytest.raises(NotAwaitedError, match=r"enqueue\(\) of 'email:welcome' was never awaited"):
        async with Tasks():
            welcome.enqueue("bob")  # pyright: ignore[reportUnusedCoroutine]


async def test_an_assertion_names_the_call_that_was_not_awaited(welcome: Welcome) -> None:
    async def test() -> None:
        async with Tasks() as tasks:
            welcome.enqueue("bob")  # pyright: ignore[reportUnusedCoroutine]
            tasks.assert_enqueued(welcome)

    message = r"enqueue\(\) of 'email:welcome' was never awaited at .*test_tasks.py"
    with pytest.raises(AssertionError, match=message):
        await test()


async def test_a_drain_that_was_not_awaited_fails_the_test(pyasynq_app: App) -> None:
    with pytest.raises(NotAwaitedError, match=r"Tasks.drain\(\) was never awaited"):
        async with Tasks(pyasynq_app) as tasks:
            tasks.drain()  # pyright: ignore[reportUnusedCoroutine]


async def test_the_error_of_a_test_is_not_hidden_by_a_call_that_was_not_awaited(
    welcome: Welcome,
) -> None:
    async def test() -> None:
        async with Tasks():
            welcome.enqueue("bob")  # pyright: ignore[reportUnusedCoroutine]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await test()


async def test_a_mux_may_be_tested_without_an_app() -> None:
    mux, seen = Mux(), list[str]()

    @mux.handle("t")
    async def note(task: object) -> None:
        seen.append(getattr(task, "type", ""))

    async with Tasks(mux) as tasks:
        await client_of_the_module.enqueue(Task("t:1"))
        assert (await tasks.drain()).types == seen == ["t:1"]
