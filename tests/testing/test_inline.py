"""Inline, a task runs before its ``enqueue`` returns."""

import asyncio
from datetime import timedelta

import pytest

from pyasynq import App, Client, PyasynqError, Task, TypedTask
from pyasynq.testing import Tasks
from tests.testing.conftest import NOWHERE

HOUR = timedelta(hours=1)
Welcome = TypedTask[..., str]


@pytest.mark.pyasynq(inline=True)
async def test_a_task_has_run_when_enqueue_returns(
    tasks: Tasks, welcome: Welcome, greetings: list[str]
) -> None:
    await welcome.enqueue("bob")
    assert greetings == ["bob (en)"]
    assert [run.type for run in tasks.ran] == ["email:welcome"]


async def test_only_the_tasks_of_the_block_run(
    tasks: Tasks, welcome: Welcome, greetings: list[str]
) -> None:
    with tasks.inline():
        await welcome.enqueue("bob")
    await welcome.enqueue("eve")
    assert greetings == ["bob (en)"]
    tasks.assert_enqueued(welcome, name="eve")


@pytest.mark.pyasynq(inline=True)
async def test_tasks_that_are_enqueued_together_have_all_run(
    tasks: Tasks, welcome: Welcome, greetings: list[str]
) -> None:
    await asyncio.gather(welcome.enqueue("bob"), welcome.enqueue("eve"))
    await Client(NOWHERE).enqueue_many([welcome.task("joe"), welcome.task("amy")])
    assert greetings == ["bob (en)", "eve (en)", "joe (en)", "amy (en)"]


@pytest.mark.pyasynq(inline=True)
async def test_a_task_that_enqueues_another_goes_on_after_it(
    tasks: Tasks, pyasynq_app: App, welcome: Welcome, greetings: list[str]
) -> None:
    @pyasynq_app.task("invite")
    async def invite() -> None:
        greetings.append("before")
        await welcome.enqueue("bob")
        greetings.append("after")

    await invite.enqueue()
    assert greetings == ["before", "bob (en)", "after"]


@pytest.mark.pyasynq(inline=True)
async def test_a_plain_function_may_enqueue(
    tasks: Tasks, pyasynq_app: App, welcome: Welcome, greetings: list[str]
) -> None:
    @pyasynq_app.task("plain")
    def plain() -> None:
        asyncio.run(welcome.enqueue("bob"))
        greetings.append("after")

    await plain.enqueue()
    assert greetings == ["bob (en)", "after"]


@pytest.mark.pyasynq(inline=True)
async def test_a_delayed_task_runs_when_its_time_has_come(
    tasks: Tasks, welcome: Welcome, greetings: list[str]
) -> None:
    await welcome.options(process_in=HOUR).enqueue("bob")
    tasks.assert_enqueued(welcome)
    await tasks.advance(HOUR)
    assert greetings == ["bob (en)"]


@pytest.mark.pyasynq(inline=True)
async def test_the_error_of_a_task_is_raised_by_enqueue_and_its_retry_by_the_clock(
    tasks: Tasks, pyasynq_app: App
) -> None:
    @pyasynq_app.task("failing")
    async def failing() -> None:
        raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        await failing.enqueue()
    with pytest.raises(ValueError, match="boom"):
        await tasks.advance(HOUR)


@pytest.mark.pyasynq(inline=True)
async def test_tasks_that_enqueue_each_other_without_end_are_stopped(
    tasks: Tasks, pyasynq_app: App
) -> None:
    @pyasynq_app.task("ping")
    async def ping() -> None:
        await ping.enqueue()

    with pytest.raises(PyasynqError, match=r"30 deep, .* use drain\(\)"):
        await ping.enqueue()


async def test_a_task_of_another_program_runs_too(tasks: Tasks, greetings: list[str]) -> None:
    with tasks.inline(), pytest.raises(PyasynqError, match="handler not found"):
        await Client(NOWHERE).enqueue(Task("go:resize"))
