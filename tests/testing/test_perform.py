"""`perform` runs one call as a worker does."""

import asyncio
import threading
from datetime import timedelta
from typing import Any, assert_type

import pytest

from pyasynq import (
    ActiveTask,
    App,
    Inspector,
    OptionError,
    PayloadError,
    SkipRetry,
    Task,
    TaskTimeoutError,
    TypedTask,
    current_task,
)
from pyasynq.server import AsyncHandler
from pyasynq.testing import Tasks
from tests.testing.conftest import NOWHERE

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
Welcome = TypedTask[..., str]


async def test_a_call_returns_what_the_function_returns(tasks: Tasks, welcome: Welcome) -> None:
    answer = await tasks.perform(welcome, "bob", locale="fr")
    assert_type(answer, str)
    assert answer == "welcome, bob"


async def test_nothing_is_enqueued_by_it_but_by_the_function(
    tasks: Tasks, pyasynq_app: App, welcome: Welcome
) -> None:
    @pyasynq_app.task("invite")
    async def invite(name: str) -> None:
        await welcome.enqueue(name)

    await tasks.perform(invite, "bob")
    assert [info.type for info in tasks.enqueued()] == ["email:welcome"]
    assert [run.type for run in tasks.ran] == ["invite"]


async def test_arguments_make_the_round_trip_of_a_payload(tasks: Tasks, pyasynq_app: App) -> None:
    @pyasynq_app.task("t")
    async def give(data: dict[str, Any]) -> object:
        return data

    assert await tasks.perform(give, {"pair": (1, 2)}) == {"pair": [1, 2]}


async def test_wrong_arguments_are_refused(tasks: Tasks, welcome: Welcome) -> None:
    with pytest.raises(PayloadError, match="Expected `str`, got `int`"):
        await tasks.perform(welcome, 7)
    with pytest.raises(TypeError, match="missing a required argument"):
        await tasks.perform(welcome)


async def test_the_function_has_its_active_task_inside_the_middleware(
    tasks: Tasks, pyasynq_app: App
) -> None:
    events: list[object] = []

    @pyasynq_app.use
    async def note(task: ActiveTask, call_next: AsyncHandler) -> None:
        events.append(f"before {task.type}")
        await call_next(task)  # its answer is lost here, but not for the test

    @pyasynq_app.task("t", queue="critical", max_retry=7, timeout=HOUR)
    async def run(task: ActiveTask) -> str:
        assert task is current_task()
        events.append((task.queue, task.retried, task.max_retry, task.deadline))
        return "done"

    assert await tasks.perform(run, retried=2) == "done"
    assert events == ["before t", ("critical", 2, 7, tasks.now + HOUR)]


async def test_a_parameter_may_be_called_retried(tasks: Tasks, pyasynq_app: App) -> None:
    @pyasynq_app.task("t")
    async def count(task: ActiveTask, retried: str) -> tuple[str, int]:
        return retried, task.retried

    assert await tasks.perform(count, retried="often") == ("often", 0)


async def test_a_plain_function_runs_in_a_thread(tasks: Tasks, pyasynq_app: App) -> None:
    @pyasynq_app.task("t")
    def name_thread() -> str:
        return threading.current_thread().name

    assert (await tasks.perform(name_thread)).startswith("pyasynq-handler")


@pytest.mark.parametrize("error", [ValueError("boom"), SkipRetry("no such member")])
async def test_the_error_of_the_function_is_raised_and_nothing_is_retried(
    tasks: Tasks, pyasynq_app: App, error: Exception
) -> None:
    @pyasynq_app.task("t")
    async def fail() -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        await tasks.perform(fail)
    assert raised.value is error
    tasks.refute_enqueued()


async def test_a_timeout_is_raised(tasks: Tasks, pyasynq_app: App) -> None:
    @pyasynq_app.task("t", timeout=SECOND)
    async def hang() -> None:
        await tasks.advance(SECOND)
        await asyncio.Event().wait()

    with pytest.raises(TaskTimeoutError):
        await tasks.perform(hang)


async def test_a_result_is_not_one_of_an_enqueued_task(
    tasks: Tasks, pyasynq_app: App, welcome: Welcome
) -> None:
    await tasks.perform(welcome.options(retention=HOUR), "bob")
    async with Inspector(NOWHERE) as inspector:
        assert await inspector.queues() == []


async def test_a_task_of_any_type_is_performed(tasks: Tasks, pyasynq_app: App) -> None:
    @pyasynq_app.mux.handle("raw:")
    async def raw(task: ActiveTask) -> bytes:
        return task.payload + str(task.retried).encode()

    assert await tasks.perform(Task("raw:t", b"payload "), retried=3) == b"payload 3"


@pytest.mark.parametrize("delay", [{"process_in": HOUR}, {"group": "g"}, {"unique": HOUR}])
async def test_options_that_delay_a_task_do_not_delay_its_run(
    tasks: Tasks, welcome: Welcome, delay: dict[str, object]
) -> None:
    task = Task("email:welcome", b'{"name":"bob"}', **delay)  # type: ignore[arg-type]
    assert await tasks.perform(task) == "welcome, bob"
    assert await tasks.perform(task) == "welcome, bob"


async def test_what_cannot_be_performed_is_refused(tasks: Tasks, welcome: Welcome) -> None:
    with pytest.raises(OptionError, match="retried must be a whole number"):
        await tasks.perform(welcome, "bob", retried=-1)
    with pytest.raises(OptionError, match="task must be a Task"):
        await tasks.perform("email:welcome")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="has its payload already"):
        await tasks.perform(Task("t"), "bob")  # type: ignore[call-overload]


async def test_a_call_after_one_that_was_cancelled_runs_its_own_task(
    tasks: Tasks, pyasynq_app: App
) -> None:
    begun = asyncio.Event()

    @pyasynq_app.task("number")
    async def number(value: int) -> int:
        if not value:
            begun.set()
            await asyncio.Event().wait()
        return value

    call = asyncio.create_task(tasks.perform(number, 0))
    await begun.wait()
    call.cancel()
    await asyncio.wait([call])
    assert call.cancelled()
    assert await tasks.perform(number, 7) == 7
