"""What is sent to those who wait for a result, whatever the framework."""

from datetime import timedelta

import pytest

from pyasynq import App, TypedTask
from pyasynq.integrations import results
from pyasynq.integrations.results import COMMENT, AwaitedResult
from pyasynq.testing import Tasks

HOUR = timedelta(hours=1)


@pytest.fixture
def app() -> App:
    """Return an app."""
    return App("redis://127.0.0.1:1")


@pytest.fixture
def add(app: App) -> TypedTask[[int, int], int]:
    """Return a task in a queue of its own."""

    @app.task("add", queue="sums", retention=HOUR)
    async def add(a: int, b: int) -> int:
        return a + b

    return add


async def test_an_id_is_looked_for_in_the_queue_of_its_task(
    app: App, add: TypedTask[[int, int], int]
) -> None:
    async with Tasks(app) as tasks:
        info = await add.enqueue(1, 2)
        await tasks.drain()
        by_id = AwaitedResult(add, info.id)
        answer = await by_id.answer(app.client, timeout=HOUR, later="/")
    assert (answer.status, answer.body) == (200, b"3")


async def test_an_id_is_looked_for_in_another_queue_that_is_named(
    app: App, add: TypedTask[[int, int], int]
) -> None:
    async with Tasks(app) as tasks:
        info = await add.options(queue="low").enqueue(1, 2)
        await tasks.drain()
        by_id = AwaitedResult(add, info.id, "low")
        answer = await by_id.answer(app.client, timeout=HOUR, later="/")
    assert (answer.status, answer.body) == (200, b"3")


async def test_a_stream_without_changes_is_not_silent(
    app: App, add: TypedTask[[int, int], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "PERIOD", timedelta(milliseconds=1))
    async with Tasks(app):
        info = await add.options(process_in=HOUR).enqueue(1, 2)
        events = AwaitedResult(add, info).events(app.client)
        assert (await anext(events)).startswith(b"event: state\n")
        assert await anext(events) == COMMENT
        await events.aclose()


async def test_a_result_of_several_lines_is_one_event(app: App) -> None:
    @app.task("text", retention=HOUR)
    async def text() -> None: ...

    async def write_lines(task: object, call_next: object) -> None:
        await task.write_result(b"[1,\n2]")  # type: ignore[attr-defined]

    app.use(write_lines)
    async with Tasks(app) as tasks:
        info = await text.enqueue()
        await tasks.drain()
        events = [event async for event in AwaitedResult(text, info).events(app.client)]
    assert events == [b"event: result\nid: end\ndata: [1,\ndata: 2]\n\n"]


async def test_the_stream_of_a_task_that_is_deleted_ends(
    app: App, add: TypedTask[[int, int], int]
) -> None:
    async with Tasks(app), app.inspector() as inspector:
        info = await add.options(process_in=HOUR).enqueue(1, 2)
        events = AwaitedResult(add, info).events(app.client)
        await anext(events)
        await inspector.delete_task("sums", info.id)
        last = [event async for event in events]
    assert last[-1].startswith(b"event: failed\n")
    assert b'"state":"unknown"' in last[-1]
