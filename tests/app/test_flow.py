"""Flows of an app: typed steps, results as arguments, gates, and what operators do."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

import anyio
import pytest

from pyasynq import (
    ActiveTask,
    App,
    CallNext,
    Client,
    FlowInfo,
    FlowNotFoundError,
    FlowStateError,
    Inspector,
    OptionError,
    Options,
    PayloadError,
    RevokeTask,
    SkipRetry,
    Step,
    StepNotFoundError,
    Task,
    TaskFailedError,
    TaskInfo,
    TaskNotFoundError,
    TypedTask,
)
from tests.support.codecs import Zlib
from tests.support.waiting import wait_until

Value: TypeAlias = int | str | list[int] | dict[str, int] | None
Show: TypeAlias = TypedTask[[Value], None]


class Notes:
    """What the tasks of a test have noted."""

    def __init__(self) -> None:
        self.lines: list[str] = []


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def fetch(app: App, notes: Notes) -> TypedTask[[int], list[int]]:
    @app.task("fetch")
    async def fetch(count: int) -> list[int]:
        notes.lines.append(f"fetch {count}")
        return [*range(count)]

    return fetch


@pytest.fixture
def add_up(app: App, notes: Notes) -> TypedTask[[list[int], str], int]:
    @app.task("add_up", queue="low")
    def add_up(rows: list[int], unit: str = "m") -> int:
        notes.lines.append(f"add up {rows} {unit}")
        return sum(rows)

    return add_up


@pytest.fixture
def show(app: App, notes: Notes) -> Show:
    @app.task("show")
    async def show(value: Value, /) -> None:
        notes.lines.append(f"show {value}")

    return show


@pytest.fixture
def fail(app: App) -> TypedTask[[], None]:
    @app.task("fail", max_retry=0)
    async def fail() -> None:
        raise ValueError("boom")

    return fail


async def run(app: App) -> None:
    """Run all tasks of the app, and those that follow."""
    await app.server(queues={"default": 1, "low": 1}).run()


async def is_gone(inspector: Inspector, task_id: str | None) -> bool:
    """Tell whether ``default`` has no such task."""
    try:
        await inspector.task_info("default", task_id or "")
    except TaskNotFoundError:
        return True
    return False


async def states(inspector: Inspector, info: FlowInfo) -> dict[str, str]:
    """Return the state of each step."""
    return {step.name: step.state for step in (await inspector.flow(info.queue, info.id)).steps}


async def test_a_result_is_the_argument_of_the_next_step(
    app: App,
    fetch: TypedTask[[int], list[int]],
    add_up: TypedTask[[list[int], str], int],
    show: Show,
    notes: Notes,
    inspector: Inspector,
) -> None:
    flow = app.flow("import")
    rows = flow.add(fetch.task(3))
    total = flow.add(add_up.task(rows.result, "km"))
    flow.add(show.task(total.result))
    info = await flow.enqueue()
    assert (info.name, info.state, info.counts) == (
        "import",
        "running",
        {"running": 1, "waiting": 2},
    )
    await run(app)
    assert notes.lines == ["fetch 3", "add up [0, 1, 2] km", "show 3"]
    assert (await inspector.flow("default", info.id)).state == "succeeded"


async def test_a_step_that_returns_nothing_gives_none(app: App, show: Show, notes: Notes) -> None:
    flow = app.flow("import")
    first = flow.add(show.task(1))
    flow.add(show.task(first.result), name="again")
    await flow.enqueue()
    await run(app)
    assert notes.lines == ["show 1", "show None"]


async def test_a_chain_runs_its_tasks_in_order(app: App, show: Show, notes: Notes) -> None:
    info = await app.chain(show.task(1), show.task(2), show.task(3)).enqueue()
    assert [step.name for step in info.steps] == ["show", "show-2", "show-3"]
    await run(app)
    assert notes.lines == ["show 1", "show 2", "show 3"]


async def test_a_failure_starts_what_waits_for_it(
    app: App,
    fail: TypedTask[[], None],
    show: Show,
    notes: Notes,
    inspector: Inspector,
) -> None:
    flow = app.flow("import")
    first = flow.add(fail.task())
    flow.add(show.task("next"), after=first, name="next")
    flow.add(show.task("alarm"), after=flow.all, when="failed", name="alarm")
    flow.add(show.task("all well"), after=first, when="succeeded", name="well")
    flow.add(show.task("in any case"), after=first, when="ended", name="last")
    info = await flow.enqueue()
    await run(app)
    assert sorted(notes.lines) == ["show alarm", "show in any case"]
    ended = await inspector.flow("default", info.id)
    assert ended.state == "failed"
    assert {step.name: step.state for step in ended.steps} == {
        "fail": "failed",
        "next": "upstream_failed",
        "alarm": "succeeded",
        "well": "upstream_failed",
        "last": "succeeded",
    }
    assert ended.step("fail").error == "ValueError: boom"


@pytest.mark.parametrize(
    ("error", "state"), [(RevokeTask("no"), "skipped"), (SkipRetry("no"), "failed")]
)
async def test_a_signal_of_a_handler_decides_about_its_step(
    app: App, inspector: Inspector, error: Exception, state: str
) -> None:
    @app.task("t")
    async def refuse() -> None:
        raise error

    info = await app.chain(refuse.task()).enqueue()
    await run(app)
    assert await states(inspector, info) == {"t": state}


async def test_what_a_plain_handler_writes_is_the_result_of_its_step(
    app: App, show: Show, notes: Notes
) -> None:
    async def write(task: ActiveTask) -> None:
        await task.write_result(b'{"a": 1}')

    app.mux.handle("plain")(write)
    flow = app.flow("import")
    plain: Step[Any] = flow.add(Task("plain"))
    flow.add(show.task(plain.result))
    await flow.enqueue()
    await run(app)
    assert notes.lines == ["show {'a': 1}"]


async def test_a_result_that_does_not_fit_fails_the_step_that_uses_it(
    app: App, inspector: Inspector
) -> None:
    @app.task("name")
    async def name() -> str:
        return "x"

    @app.task("double")
    async def double(number: int) -> int:
        return 2 * number

    flow = app.flow("import")
    flow.add(double.task(flow.add(name.task()).result))  # type: ignore[arg-type]
    info = await flow.enqueue()
    await run(app)
    step = (await inspector.flow("default", info.id)).step("double")
    assert step.state == "failed"
    assert "Expected `int`, got `str` - at `$.number`" in str(step.error)


async def test_what_makes_a_task_a_step_is_not_passed_on_by_its_handler(
    app: App, show: Show, inspector: Inspector
) -> None:
    @app.task("first")
    async def first(task: ActiveTask) -> None:
        assert task.headers == {"trace": "1"}
        task.then(Task("other", headers=task.headers))
        raise SkipRetry("after that")

    info = await app.chain(first.options(headers={"trace": "1"}).task()).enqueue()
    await run(app)
    assert await states(inspector, info) == {"first": "failed"}


async def test_sealed_results_are_opened(redis_url: str) -> None:
    seen: list[str] = []
    async with App(redis_url, burst=True, codecs=[Zlib()]) as app:

        @app.task("first")
        async def first() -> str:
            return "x" * 1000

        @app.task("second")
        async def second(text: str) -> None:
            seen.append(text)

        flow = app.flow("import")
        flow.add(second.task(flow.add(first.task()).result))
        await flow.enqueue()
        await app.server().run()
    assert seen == ["x" * 1000]


async def test_client_middleware_is_called_for_each_step(
    app: App, show: Show, notes: Notes
) -> None:
    @app.use_client
    async def stamp(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
        notes.lines.append(f"enqueue {task.payload!r}")
        return await call_next(task, options)

    await app.chain(show.task(1), show.task(2)).enqueue()
    await run(app)
    assert notes.lines == ["enqueue b'1'", "enqueue b'2'", "show 1", "show 2"]


async def test_a_flow_is_enqueued_once_however_often_that_is_tried(
    app: App, show: Show, notes: Notes
) -> None:
    flow = app.chain(show.task(1))
    assert await flow.enqueue() == await flow.enqueue()
    await run(app)
    await flow.enqueue()
    await run(app)
    assert notes.lines == ["show 1"]


async def test_a_plain_function_enqueues_a_flow(app: App, show: Show, notes: Notes) -> None:
    @app.task("start")
    def start() -> None:
        app.chain(show.task(1)).enqueue_sync()

    await start.enqueue()
    await run(app)
    assert notes.lines == ["show 1"]


# -- gates -----------------------------------------------------------------------------------------


async def test_a_gate_waits_for_its_signal(
    app: App,
    client: Client,
    show: Show,
    notes: Notes,
    inspector: Inspector,
) -> None:
    flow = app.flow("import")
    first = flow.add(show.task(1))
    gate = flow.gate("approval", returns=str, after=first)
    flow.add(show.task(gate.result), name="last")
    info = await flow.enqueue()
    await run(app)
    assert notes.lines == ["show 1"]
    assert await states(inspector, info) == {
        "show": "succeeded",
        "approval": "running",
        "last": "waiting",
    }
    await client.signal(info, "approval", "yes")
    await run(app)
    assert notes.lines == ["show 1", "show yes"]


async def test_a_signal_that_comes_early_is_kept(
    app: App, client: Client, show: Show, notes: Notes
) -> None:
    flow = app.flow("import")
    gate = flow.gate("approval", after=flow.add(show.task(1)))
    flow.add(show.task(2), after=gate)
    info = await flow.enqueue()
    await client.signal(info.id, "approval", queue=info.queue)
    await run(app)
    assert notes.lines == ["show 1", "show 2"]


async def test_a_gate_takes_one_signal(app: App, client: Client, show: Show) -> None:
    flow = app.flow("import")
    flow.gate("first")
    flow.gate("later", after=flow.add(show.task(1)))
    info = await flow.enqueue()
    for gate, reason in (("first", "has ended"), ("later", "has its signal")):
        await client.signal(info, gate)
        with pytest.raises(FlowStateError, match=f"'{gate}' {reason}"):
            await client.signal(info, gate)


async def test_a_signal_needs_a_gate_of_a_flow(app: App, client: Client, show: Show) -> None:
    flow = app.flow("import")
    flow.add(show.task(1))
    flow.gate("gate")
    info = await flow.enqueue()
    with pytest.raises(StepNotFoundError, match="it has 'gate'"):
        await client.signal(info, "show")
    with pytest.raises(FlowNotFoundError):
        await client.signal("gone", "gate")


# -- operators -------------------------------------------------------------------------------------


async def test_a_cancelled_flow_runs_no_more(
    app: App, show: Show, notes: Notes, inspector: Inspector
) -> None:
    info = await app.chain(show.task(1), show.task(2)).enqueue()
    cancelled = await inspector.cancel_flow("default", info.id)
    assert (cancelled.state, cancelled.counts) == ("cancelled", {"skipped": 2})
    await run(app)
    assert notes.lines == []
    with pytest.raises(FlowStateError, match="it is cancelled"):
        await inspector.cancel_flow("default", info.id)


@pytest.mark.parametrize(("action", "steps"), [("cancel_flow", []), ("skip_step", ["sleep"])])
async def test_a_step_that_runs_in_vain_is_stopped_for_good(
    action: str, steps: list[str], app: App, inspector: Inspector
) -> None:
    began = asyncio.Event()

    @app.task("sleep", max_retry=3)
    async def sleep() -> None:
        began.set()
        await anyio.sleep_forever()

    info = await app.chain(sleep.task()).enqueue()
    (step,) = info.steps
    async with app.server(burst=False).running():
        await began.wait()
        await getattr(inspector, action)("default", info.id, *steps)
        await wait_until(lambda: is_gone(inspector, step.task_id))


async def test_a_cancelled_flow_can_be_retried(
    app: App, show: Show, notes: Notes, inspector: Inspector
) -> None:
    info = await app.chain(show.task(1), show.task(2)).enqueue()
    await inspector.cancel_flow("default", info.id)
    await inspector.retry_flow("default", info.id)
    await run(app)
    assert notes.lines == ["show 1", "show 2"]
    assert (await inspector.flow("default", info.id)).state == "succeeded"


async def test_a_retry_repeats_only_what_has_not_succeeded(
    app: App, show: Show, notes: Notes, inspector: Inspector
) -> None:
    broken = True

    @app.task("repair", max_retry=0)
    async def repair() -> str:
        if broken:
            raise ValueError("boom")
        return "repaired"

    flow = app.flow("import")
    flow.add(show.task("first"), name="first")
    second = flow.add(repair.task(), after=flow.all)
    flow.add(show.task(second.result), name="third")
    info = await flow.enqueue()
    await run(app)
    broken = False
    again = await inspector.retry_flow("default", info.id)
    assert again.step("repair").task_id == f"{info.id}:repair:1"
    await run(app)
    assert notes.lines == ["show first", "show repaired"]
    ended = await inspector.flow("default", info.id)
    assert (ended.state, ended.step("repair").error) == ("succeeded", None)
    with pytest.raises(FlowStateError, match="it is succeeded"):
        await inspector.retry_flow("default", info.id)


@pytest.mark.parametrize("step", ["first", "second"])
async def test_a_step_that_is_skipped_counts_as_succeeded(
    app: App, show: Show, notes: Notes, inspector: Inspector, step: str
) -> None:
    flow = app.flow("import")
    first = flow.add(show.task("a"), name="first")
    second = flow.add(show.task("b"), name="second", after=first)
    flow.add(show.task(second.result), name="third")
    info = await flow.enqueue()
    await inspector.skip_step("default", info.id, step)
    await run(app)
    last = {"first": ["show b", "show None"], "second": ["show a", "show None"]}
    assert notes.lines == last[step]
    with pytest.raises(FlowStateError):
        await inspector.skip_step("default", info.id, step)


async def test_flows_are_listed(app: App, show: Show, inspector: Inspector) -> None:
    info = await app.chain(show.task(1)).enqueue()
    assert [flow.id for flow in await inspector.flows("default")] == [info.id]
    assert await inspector.flows("default", "ended") == []
    await run(app)
    assert [flow.id for flow in await inspector.flows("default", "ended")] == [info.id]
    with pytest.raises(FlowNotFoundError):
        await inspector.flow("default", "gone")


async def test_a_flow_is_drawn(app: App, show: Show) -> None:
    flow = app.flow("import")
    first = flow.add(show.task(1), name='say "1"')
    gate = flow.gate("wait", after=first)
    flow.add(show.task(2), after=[first, gate], when="failed", name="alarm")
    text = (await flow.enqueue()).mermaid()
    assert text.splitlines()[:7] == [
        "flowchart TD",
        '    s0["say #34;1#34;"]:::running',
        '    s1{{"wait"}}:::waiting',
        '    s2["alarm"]:::waiting',
        "    s0 --> s1",
        "    s0 -. failed .-> s2",
        "    s1 -. failed .-> s2",
    ]


# -- what is refused -------------------------------------------------------------------------------


def refused(app: App, show: Show) -> Sequence[object]:
    flow, other = app.flow("a"), app.flow("b")
    step, foreign = flow.add(show.task(1), name="taken"), other.add(show.task(1))
    return [
        lambda: flow.add(show.task(1), name="taken"),
        lambda: flow.add(show.task(1), after=foreign),
        lambda: flow.add(show.task(foreign.result)),
        lambda: flow.add(show.task(step.result), when="ended"),
        lambda: flow.add(show.task(1), when="sometimes"),  # type: ignore[call-overload]
        lambda: flow.add(show.task(1), when="failed"),
        lambda: flow.add(show.task(1), after=7),  # type: ignore[call-overload]
        lambda: flow.add("x"),  # type: ignore[call-overload]
        lambda: flow.add(Task("t", group="g")),
        lambda: flow.add(Task("t", task_id="1")),
        lambda: app.flow(""),
        lambda: app.flow("a", queue=""),
        lambda: app.flow("a", keep=3),  # type: ignore[arg-type]
    ]


@pytest.mark.parametrize("number", range(13))
async def test_what_cannot_be_is_refused(app: App, show: Show, number: int) -> None:
    with pytest.raises(OptionError):
        refused(app, show)[number]()  # type: ignore[operator]


async def test_a_flow_has_at_least_one_step_and_at_most_a_thousand(app: App, show: Show) -> None:
    flow = app.flow("import")
    with pytest.raises(OptionError, match="at least one"):
        await flow.enqueue()
    app_chain = app.chain(*[show.task(1)] * 1000)
    with pytest.raises(OptionError, match="at most 1000"):
        app_chain.add(show.task(1))


async def test_a_flow_has_a_bound_for_its_bytes(app: App, show: Show) -> None:
    with pytest.raises(OptionError, match="at most 16777216 bytes"):
        await app.chain(*[show.task("x" * 1_000_000)] * 17).enqueue()


async def test_a_call_with_a_result_is_a_step_and_nothing_else(
    app: App, client: Client, show: Show
) -> None:
    step = app.flow("import").add(show.task(1))
    with pytest.raises(OptionError, match="a step of its flow"):
        await client.enqueue(show.task(step.result))
    with pytest.raises(OptionError, match="a step of its flow"):
        await show.enqueue(step.result)


async def test_a_result_is_an_argument_as_a_whole(app: App, show: Show) -> None:
    step: Step[Any] = app.flow("import").add(show.task(1))
    with pytest.raises(
        PayloadError, match="result of the step 'show' can only be an argument as a whole"
    ):
        show.task([step.result])


async def test_the_arguments_beside_a_result_are_checked(
    app: App, add_up: TypedTask[[list[int], str], int]
) -> None:
    step = app.flow("import").add(add_up.task([1], "m"))
    with pytest.raises(PayloadError, match="Expected `str`, got `int`"):
        add_up.task(step.result, 7)  # type: ignore[arg-type]


# -- typed results ---------------------------------------------------------------------------------


async def test_the_result_of_a_step_has_its_type(app: App, fail: TypedTask[[], None]) -> None:
    @dataclass
    class Row:
        name: str

    @app.task("row")
    async def row() -> Row:
        return Row("a")

    flow = app.flow("import")
    first, second, gate = (
        flow.add(row.task()),
        flow.add(fail.task()),
        flow.gate("gate", returns=int),
    )
    last = flow.add(row.task(), after=second, name="last")
    info = await flow.enqueue()
    await app.client.signal(info, "gate", 7)
    await run(app)
    assert await app.result(first) == Row("a")
    assert await app.result(gate) == 7
    with pytest.raises(TaskFailedError, match="boom"):
        await app.result(second)
    with pytest.raises(TaskFailedError, match="upstream_failed"):
        await app.result(last)


async def test_the_result_of_a_call_has_its_type(app: App) -> None:
    @app.task("words", retention=timedelta(hours=1), task_id="1")
    async def words() -> set[str]:
        return {"a", "b"}

    await words.enqueue()
    await run(app)
    assert await app.result(words.task()) == {"a", "b"}
    assert await app.result("1") == ["a", "b"]


async def test_a_result_is_awaited_for_some_time(app: App, show: Show) -> None:
    flow = app.flow("import")
    step = flow.add(show.task(1))
    with pytest.raises(FlowNotFoundError):
        await app.result(step)
    await flow.enqueue()
    with pytest.raises(TimeoutError):
        await app.result(step, timeout=timedelta(seconds=0.05))
    with pytest.raises(OptionError, match="one with a task_id"):
        await app.result(show.task(1))
