"""Maps of an app's flows: any number of typed tasks as one step."""

import asyncio
from collections.abc import Iterator, Sequence

import pytest

from pyasynq import (
    ActiveTask,
    App,
    FlowInfo,
    FlowStateError,
    Inspector,
    OptionError,
    PyasynqError,
    RevokeTask,
    SkipRetry,
    Task,
    TaskFailedError,
    TypedTask,
)
from pyasynq.broker import Broker
from tests.support.codecs import Zlib


class Notes:
    """What the tasks of a test have noted, and which numbers fail."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.unlucky: set[int] = set()
        self.revoked: set[int] = set()


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def double(app: App, notes: Notes) -> TypedTask[[int], int]:
    @app.task("double", max_retry=0)
    async def double(number: int) -> int:
        if number in notes.unlucky:
            raise SkipRetry("unlucky")
        if number in notes.revoked:
            raise RevokeTask
        notes.lines.append(f"double {number}")
        return 2 * number

    return double


@pytest.fixture
def show(app: App, notes: Notes) -> TypedTask[[Sequence[int | None]], None]:
    @app.task("show", queue="low")
    async def show(values: Sequence[int | None], /) -> None:
        notes.lines.append(f"show {values}")

    return show


async def run(app: App) -> None:
    """Run all tasks of the app, and those that follow."""
    await app.server(queues={"default": 1, "low": 1}, concurrency=1).run()


# -- on every broker -------------------------------------------------------------------------------


async def test_results_of_a_map_are_the_argument_of_the_next_step(broker: Broker) -> None:
    app = App(broker, queues={"default": 1, "low": 1}, concurrency=5)

    @app.task("square", queue="low")
    async def square(number: int) -> int:
        return number * number

    @app.task("add_up")
    async def add_up(numbers: list[int], more: int) -> int:
        return sum(numbers) + more

    async with app:
        flow = app.flow("sum")
        squares = flow.map((square.task(number) for number in range(500)), name="squares")
        total = flow.add(add_up.task(squares.results, 1))
        info = await flow.enqueue()
        assert (info.step("squares").size, info.step("squares").type) == (500, "square")
        async with app.server().running(), asyncio.timeout(60):
            assert await app.result(total) == sum(n * n for n in range(500)) + 1
            assert await app.result(squares) == [n * n for n in range(500)]


# -- in memory -------------------------------------------------------------------------------------


async def test_a_map_waits_for_the_steps_before_it(
    app: App,
    double: TypedTask[[int], int],
    show: TypedTask[[Sequence[int | None]], None],
    notes: Notes,
) -> None:
    flow = app.flow("double")
    first = flow.add(show.task([]))
    doubled = flow.map([double.task(1), double.task(2)], after=first)
    flow.add(show.task(doubled.results), name="last")
    await flow.enqueue()
    await run(app)
    assert notes.lines == ["show []", "double 1", "double 2", "show [2, 4]"]


async def test_a_task_without_a_result_gives_none(
    app: App,
    double: TypedTask[[int], int],
    show: TypedTask[[Sequence[int | None]], None],
    notes: Notes,
) -> None:
    notes.revoked = {2}
    flow = app.flow("double")
    flow.add(show.task(flow.map(double.task(n) for n in (1, 2, 3)).results))
    await flow.enqueue()
    await run(app)
    assert notes.lines[-1] == "show [2, None, 6]"


async def test_a_map_without_tasks_gives_an_empty_list(
    app: App, show: TypedTask[[Sequence[int | None]], None], notes: Notes
) -> None:
    flow = app.flow("double")
    nothing: list[Task] = []
    flow.add(show.task(flow.map(nothing).results))  # type: ignore[arg-type]
    await flow.enqueue()
    await run(app)
    assert notes.lines == ["show []"]


async def test_a_map_that_has_failed_can_be_retried(
    app: App,
    double: TypedTask[[int], int],
    show: TypedTask[[Sequence[int | None]], None],
    notes: Notes,
    inspector: Inspector,
) -> None:
    notes.unlucky = {2, 3}
    flow = app.flow("double")
    doubled = flow.map(double.task(n) for n in (1, 2, 3))
    flow.add(show.task(doubled.results))
    info = await flow.enqueue()
    await run(app)
    found = await inspector.flow("default", info.id)
    assert (found.state, found.step("map").error) == ("failed", "2 of 3 tasks have failed")
    with pytest.raises(TaskFailedError, match="2 of 3 tasks have failed"):
        await app.result(doubled)
    notes.unlucky.clear()
    notes.lines.clear()
    await inspector.retry_flow("default", info.id)
    await run(app)
    assert notes.lines == ["double 2", "double 3", "show [2, 4, 6]"]


async def test_sealed_results_of_a_map_are_opened(redis_url: str) -> None:
    seen: list[list[str]] = []
    async with App(redis_url, burst=True, codecs=[Zlib()]) as app:

        @app.task("text")
        async def text(count: int) -> str:
            return "x" * count

        @app.task("note")
        async def note(texts: list[str]) -> None:
            seen.append(texts)

        flow = app.flow("import")
        texts = flow.map(text.task(n) for n in (1000, 2000))
        flow.add(note.task(texts.results))
        await flow.enqueue()
        await app.server().run()
        assert await app.result(texts) == seen[0]
    assert seen == [["x" * 1000, "x" * 2000]]


async def test_a_task_of_a_map_adds_tasks_to_it_unless_their_results_are_used(
    app: App, notes: Notes
) -> None:
    @app.task("count")
    async def count(task: ActiveTask, number: int) -> None:
        notes.lines.append(f"count {number}")
        try:
            task.batch.add(*(count.task(number=number - 1) for _ in range(number)))
        except PyasynqError as error:
            notes.lines.append(str(error).partition(": ")[2])

    @app.task("after")
    async def after(values: list[None] | None = None) -> None:
        notes.lines.append("after")

    flow = app.flow("count")
    flow.add(after.task(), after=flow.map([count.task(number=2)]))
    await flow.enqueue()
    await run(app)
    assert notes.lines == [*["count 2"], *["count 1"] * 2, *["count 0"] * 2, "after"]
    notes.lines.clear()
    flow = app.flow("count")
    flow.add(after.task(flow.map([count.task(number=2)]).results))
    await flow.enqueue()
    await run(app)
    assert notes.lines == ["count 2", "their number is fixed", "after"]


async def test_a_flow_with_maps_is_enqueued_once(
    app: App, double: TypedTask[[int], int], notes: Notes, inspector: Inspector
) -> None:
    flow = app.flow("double")
    flow.map(double.task(n) for n in range(3))
    first = await flow.enqueue()
    again = await flow.enqueue()
    assert (again.id, again.step("map").batch_id) == (first.id, first.step("map").batch_id)
    other = app.flow("double", id=flow.id)
    other.map([double.task(7)])
    await other.enqueue()
    await run(app)
    assert notes.lines == ["double 0", "double 1", "double 2"]
    assert len(await inspector.batches("default")) == 1


async def test_nothing_is_left_of_a_flow_that_is_refused(
    app: App, double: TypedTask[[int], int], inspector: Inspector
) -> None:
    flow = app.flow("double")
    flow.map([double.task(1)] * 300)
    flow.map([double.task(1), Task("t", queue="low")])
    with pytest.raises(OptionError, match="make a batch for each queue"):
        await flow.enqueue()
    await inspector.pause("default")
    await inspector.delete_queue("default")


def broken(double: TypedTask[[int], int]) -> Iterator[Task]:
    yield double.task(1)
    raise ZeroDivisionError


async def test_a_generator_is_not_read_twice(app: App, double: TypedTask[[int], int]) -> None:
    flow = app.flow("double")
    flow.map(broken(double))
    with pytest.raises(ZeroDivisionError):
        await flow.enqueue()
    with pytest.raises(OptionError, match="the generator was read by an earlier call"):
        await flow.enqueue()


async def test_results_of_too_many_tasks_are_refused(
    app: App, double: TypedTask[[int], int], show: TypedTask[[Sequence[int | None]], None]
) -> None:
    flow = app.flow("double")
    flow.add(show.task(flow.map(Task("double", b'{"number":1}') for _ in range(10_001)).results))  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="at most 10000 tasks in a map whose results"):
        await flow.enqueue()


async def test_results_of_several_types_are_refused(
    app: App, double: TypedTask[[int], int], show: TypedTask[[Sequence[int | None]], None]
) -> None:
    flow = app.flow("double")
    tasks: list[Task] = [double.task(1), show.task([])]
    flow.add(show.task(flow.map(tasks).results))  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="the results of a map are one list"):
        await flow.enqueue()


async def test_results_that_no_step_uses_are_not_kept(
    app: App, double: TypedTask[[int], int]
) -> None:
    flow = app.flow("double")
    doubled = flow.map([double.task(1)])
    await flow.enqueue()
    await run(app)
    with pytest.raises(OptionError, match="those of others are not kept"):
        await app.result(doubled)


async def test_a_map_takes_tasks_and_nothing_else(app: App) -> None:
    flow = app.flow("double")
    with pytest.raises(OptionError):
        flow.map(7)  # type: ignore[call-overload]
    with pytest.raises(OptionError):
        flow.map([], when="sometimes")  # type: ignore[call-overload]
    with pytest.raises(OptionError):
        flow.map([], when="failed")


async def test_a_cancelled_flow_runs_no_more_of_its_map(
    app: App, double: TypedTask[[int], int], notes: Notes, inspector: Inspector
) -> None:
    flow = app.flow("double")
    flow.map([double.task(n) for n in range(3)])
    info = await flow.enqueue()
    cancelled = await inspector.cancel_flow("default", info.id)
    assert _state(cancelled) == ("cancelled", "failed")
    await run(app)
    assert notes.lines == []
    with pytest.raises(FlowStateError):
        await inspector.cancel_flow("default", info.id)


def _state(info: FlowInfo) -> tuple[str, str]:
    return info.state, info.step("map").state


async def test_a_map_is_drawn_with_the_number_of_its_tasks(
    app: App, double: TypedTask[[int], int]
) -> None:
    flow = app.flow("double")
    flow.map([double.task(n) for n in range(3)], name="doubled")
    info = await flow.enqueue()
    assert '    s0[["doubled × 3"]]:::running\n' in info.mermaid()
