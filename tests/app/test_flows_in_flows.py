"""A flow may be a step of another one."""

from datetime import timedelta

import pytest

from pyasynq import (
    App,
    Client,
    Flow,
    FlowNotFoundError,
    Inspector,
    OptionError,
    Outcome,
    Task,
    TypedTask,
)
from pyasynq.app.flow import AppFlow
from pyasynq.core.flow import MAX_DEPTH
from pyasynq.core.flow_info import FlowInfo


class Notes:
    """What the tasks of a test have noted."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.failing = False


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def note(app: App, notes: Notes) -> TypedTask[[str], str]:
    @app.task("note", max_retry=0)
    async def note(text: str) -> str:
        if notes.failing:
            msg = "as the test wants it"
            raise ValueError(msg)
        notes.lines.append(text)
        return text

    return note


@pytest.fixture
def join(app: App, notes: Notes) -> TypedTask[[list[str]], None]:
    @app.task("join", queue="low")
    async def join(texts: list[str]) -> None:
        notes.lines.append("+".join(texts))

    return join


async def run(app: App) -> None:
    await app.server(queues={"default": 1, "low": 1}).run()


async def inner_of(inspector: Inspector, outer: FlowInfo, step: str = "inner") -> FlowInfo:
    known = (await inspector.flow(outer.queue, outer.id)).step(step)
    return await inspector.flow(known.queue, known.flow_id or "")


Note = TypedTask[[str], str]


def around(app: App, note: Note, inner: Flow) -> AppFlow:
    """Return a flow with a step before *inner*, and one after it."""
    outer = app.flow("outer")
    step = outer.add(inner, after=outer.add(note.task("before"), name="before"))
    outer.add(note.task("after"), after=step, name="after")
    return outer


# -- in order --------------------------------------------------------------------------------------


async def test_the_steps_after_a_flow_run_when_all_of_it_has_ended(
    app: App, note: Note, join: TypedTask[[list[str]], None], notes: Notes, inspector: Inspector
) -> None:
    inner = app.flow("inner", queue="low")
    many = inner.map([note.task("1"), note.task("2")])
    inner.add(join.task(many.results))
    info = await around(app, note, inner).enqueue()
    await run(app)
    assert notes.lines[0] == "before"
    assert sorted(notes.lines[1:3]) == ["1", "2"]
    assert notes.lines[3:] == ["1+2", "after"]
    found = await inspector.flow("default", info.id)
    assert (found.state, found.step("inner").queue) == ("succeeded", "low")
    assert (await inner_of(inspector, info)).name == "inner"


async def test_results_of_the_steps_of_an_inner_flow_are_read_as_those_of_others(
    app: App, note: Note
) -> None:
    inner = app.flow("inner")
    step = inner.add(note.task("inside"))
    outer = around(app, note, inner)
    await outer.enqueue()
    await run(app)
    assert await app.result(step) == "inside"
    assert inner.step is not None
    assert await app.result(inner.step) is None


async def test_the_result_of_a_step_whose_flow_was_not_opened_is_not_found(
    app: App, note: Note, notes: Notes
) -> None:
    inner = app.flow("inner")
    step = inner.add(note.task("inside"))
    await around(app, note, inner).enqueue()
    notes.failing = True
    await run(app)
    with pytest.raises(FlowNotFoundError):
        await app.result(step)


async def test_the_result_of_a_step_is_awaited_before_its_flow_is_opened(
    app: App, note: Note
) -> None:
    inner = app.flow("inner")
    step = inner.add(note.task("inside"))
    await around(app, note, inner).enqueue()
    with pytest.raises(TimeoutError):
        await app.result(step, timeout=timedelta(seconds=0.01))


async def test_a_flow_waits_for_a_gate_in_another(
    app: App, note: Note, notes: Notes, inspector: Inspector
) -> None:
    inner = app.flow("inner", queue="low")
    gate = inner.gate("approval")
    inner.add(note.task("inside"), after=gate)
    info = await around(app, note, inner).enqueue()
    await run(app)
    assert notes.lines == ["before"]
    await app.client.signal(await inner_of(inspector, info), "approval")
    await run(app)
    assert notes.lines == ["before", "inside", "after"]


async def test_a_chain_may_have_a_flow_in_it(app: App, note: Note, notes: Notes) -> None:
    inner = app.chain(note.task("2"), note.task("3"), name="inner")
    await app.chain(note.task("1"), inner, note.task("4")).enqueue()
    await run(app)
    assert notes.lines == ["1", "2", "3", "4"]


async def test_flows_in_one_another_travel_in_one_task(
    app: App, note: Note, notes: Notes, client: Client, inspector: Inspector
) -> None:
    inner = app.chain(note.task("1"), note.task("2"), name="inner")
    task = around(app, note, around(app, note, inner)).task()
    await client.enqueue_many([task, task])
    await run(app)
    assert sorted(notes.lines) == sorted(["before", "before", "1", "2", "after", "after"] * 2)
    ended = await inspector.flows("default", "ended")
    assert (len(ended), {it.state for it in ended}) == (6, {"succeeded"})


async def test_a_step_that_fails_a_flow_can_be_followed(app: App, note: Note, notes: Notes) -> None:
    @app.task("fail", max_retry=0)
    async def fail() -> None:
        msg = "as the test wants it"
        raise ValueError(msg)

    outer = app.flow("outer")
    step = outer.add(app.chain(fail.task(), name="inner"))
    outer.add(note.task("failed"), after=step, when="failed")
    outer.add(note.task("ended"), after=step, when="ended")
    outer.add(note.task("never"), after=step, name="never")
    await outer.enqueue()
    await run(app)
    assert sorted(notes.lines) == ["ended", "failed"]


async def test_a_retry_repeats_only_what_has_failed(
    app: App, note: Note, notes: Notes, inspector: Inspector
) -> None:
    tries: list[int] = []

    @app.task("fix", max_retry=0)
    async def fix() -> None:
        tries.append(1)
        if len(tries) == 1:
            msg = "as the test wants it"
            raise ValueError(msg)
        notes.lines.append("fixed")

    inner = app.chain(note.task("1"), fix.task(), note.task("2"), name="inner")
    info = await around(app, note, inner).enqueue()
    await run(app)
    assert notes.lines == ["before", "1"]
    await inspector.retry_flow("default", info.id)
    await run(app)
    assert notes.lines == ["before", "1", "fixed", "2", "after"]


async def test_only_one_flow_of_a_name_runs_also_as_a_step(
    app: App, note: Note, notes: Notes, inspector: Inspector
) -> None:
    alone = app.flow("inner", unique_for=timedelta(hours=1))
    alone.gate("approval")
    await alone.enqueue()
    inner = app.flow("inner", unique_for=timedelta(hours=1))
    inner.add(note.task("inside"))
    info = await around(app, note, inner).enqueue()
    await run(app)
    step = (await inspector.flow("default", info.id)).step("inner")
    assert (step.state, notes.lines) == ("failed", ["before"])
    assert "has this name, and runs" in (step.error or "")


async def test_hooks_follow_the_task_that_opens_a_flow_but_the_step_goes_on(
    app: App, note: Note, notes: Notes
) -> None:
    @app.task("told")
    async def told(outcome: Outcome, /) -> None:
        notes.lines.append(f"told of {outcome.type}")

    app.when("succeeded", "pyasynq:flow", told)
    await around(app, note, app.chain(note.task("1"), name="inner")).enqueue()
    await run(app)
    assert sorted(notes.lines) == ["1", "after", "before", "told of pyasynq:flow"]


# -- what is refused -------------------------------------------------------------------------------


def one(**options: object) -> Flow:
    flow = Flow("one", **options)  # type: ignore[arg-type]
    flow.add(Task("t"))
    return flow


def deep(depth: int) -> Flow:
    flow = one()
    for _ in range(depth - 1):
        outer = one()
        outer.add(flow)
        flow = outer
    return flow


def test_flows_in_one_another_have_a_bound() -> None:
    flow = deep(MAX_DEPTH)
    assert flow.draft.depth == MAX_DEPTH
    with pytest.raises(OptionError, match="at most 5 flows in one another"):
        one().add(flow)


def test_a_flow_is_no_step_of_itself() -> None:
    flow = one()
    with pytest.raises(OptionError, match="a flow of its own"):
        flow.add(flow)


def test_a_flow_is_one_step_of_one_flow() -> None:
    flow = one()
    one().add(flow)
    with pytest.raises(OptionError, match="make another one for each step"):
        one().add(flow)


def test_a_flow_that_is_a_step_gets_no_more_steps() -> None:
    outer, flow = one(), one()
    outer.add(flow)
    with pytest.raises(OptionError, match="before its flow becomes a step of another"):
        flow.add(Task("t"))
    with pytest.raises(OptionError, match="before its flow becomes a step of another"):
        flow.add(outer)


def test_a_flow_with_an_id_is_no_step() -> None:
    with pytest.raises(OptionError, match="gets an id from that"):
        one().add(one(id="7"))


def test_a_flow_without_steps_is_no_step() -> None:
    with pytest.raises(OptionError, match="at least one"):
        one().add(Flow("empty"))


def test_the_name_of_the_step_is_that_of_the_flow() -> None:
    outer = Flow("outer")
    assert [outer.add(one()).name for _ in range(2)] == ["one", "one-2"]
    assert outer.add(one(), name="other").name == "other"


async def test_a_flow_has_no_result(note: Note) -> None:
    outer = Flow("outer")
    step = outer.add(one())
    with pytest.raises(OptionError, match="a flow has none"):
        outer.add(note.task(step.result))  # type: ignore[arg-type]


async def test_steps_of_two_flows_use_no_results_of_each_other(app: App, note: Note) -> None:
    inner, outer = app.flow("inner"), app.flow("outer")
    first = outer.add(note.task("1"))
    with pytest.raises(OptionError, match="results of the same flow"):
        inner.add(note.task(first.result))
    within = inner.add(note.task("2"))
    outer.add(inner)
    with pytest.raises(OptionError, match="results of the same flow"):
        outer.add(note.task(within.result))
    with pytest.raises(OptionError, match="steps of the same flow"):
        outer.add(note.task("3"), after=within)


async def test_a_flow_that_is_a_step_is_enqueued_with_the_other_one(app: App, note: Note) -> None:
    inner = app.chain(note.task("1"), name="inner")
    around(app, note, inner)
    with pytest.raises(OptionError, match="the flow 'outer', of which it is a step"):
        await inner.enqueue()
