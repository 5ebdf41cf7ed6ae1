"""Each run has a consumer span in the trace of its producer, and is counted and timed."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry.trace import SpanKind, StatusCode

from pyasynq import (
    ActiveTask,
    App,
    Client,
    HandlerNotFoundError,
    Mux,
    RevokeTask,
    Server,
    SkipRetry,
    Snooze,
    Task,
    TypedTask,
)
from pyasynq.server import AsyncHandler
from pyasynq.telemetry import ClientTelemetry, ServerTelemetry, instrument
from pyasynq.telemetry.conventions import READY_AT
from tests.server.handlers import Handler, run_burst, wait_until_cancelled
from tests.support.telemetry import (
    Recorder,
    attributes_of,
    context_of,
    parent_id,
    traceparent_of,
)
from tests.support.waiting import Lapse, wait_until

CONSUMED = "messaging.client.consumed.messages"
RUN_TIME = "messaging.process.duration"
WAIT = "messaging.asynq.wait.duration"
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


def traced(recorder: Recorder, handler: Callable[[ActiveTask], object] | None = None) -> Mux:
    """Return a mux with telemetry around *handler*, which handles type ``t``."""
    mux = Mux()
    mux.use(ServerTelemetry(**recorder.providers))
    mux.handle("t")(handler or Handler())
    return mux


async def enqueue(redis_url: str, recorder: Recorder, *tasks: Task) -> None:
    """Enqueue *tasks* with telemetry."""
    async with Client(redis_url, middleware=[ClientTelemetry(**recorder.providers)]) as client:
        await client.enqueue_many(tasks)


async def work(redis_url: str, mux: Mux, queue: str = "default") -> None:
    """Run all tasks of *queue* with *mux*."""
    await run_burst(Server(redis_url, burst=True, queues={queue: 1}), mux)


async def test_a_run_is_a_child_of_its_enqueue(redis_url: str, recorder: Recorder) -> None:
    await enqueue(redis_url, recorder, Task("t"))
    await work(redis_url, traced(recorder))
    assert parent_id(recorder.consumed) == context_of(recorder.produced).span_id
    assert context_of(recorder.consumed).trace_id == context_of(recorder.produced).trace_id


async def test_a_span_names_the_run_by_the_messaging_conventions(
    redis_url: str, recorder: Recorder
) -> None:
    handler = Handler()
    await enqueue(redis_url, recorder, Task("t", b"123", queue="low", max_retry=7))
    await work(redis_url, traced(recorder, handler), "low")
    assert recorder.consumed.name == "process t"
    assert attributes_of(recorder.consumed) == {
        "messaging.system": "asynq",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "low",
        "messaging.message.id": handler.ids[0],
        "messaging.message.body.size": 3,
        "messaging.asynq.task.type": "t",
        "messaging.asynq.task.try": 1,
        "messaging.asynq.task.max_retry": 7,
        "messaging.asynq.outcome": "succeeded",
    }


async def test_a_task_without_a_context_begins_a_trace(redis_url: str, recorder: Recorder) -> None:
    async with Client(redis_url) as client:
        await client.enqueue(Task("t", headers={"traceparent": "nonsense", READY_AT: "nonsense"}))
    with recorder.tracers.get_tracer("worker").start_as_current_span("start of the worker"):
        await work(redis_url, traced(recorder))
    assert parent_id(recorder.consumed) is None
    assert recorder.points(WAIT) == []


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "plain"])
async def test_handlers_run_in_the_context_of_the_span_with_the_baggage(
    redis_url: str, recorder: Recorder, *, is_async: bool
) -> None:
    seen: list[object] = []

    def note(_task: ActiveTask) -> None:
        seen.append(trace.get_current_span().get_span_context())
        seen.append(baggage.get_baggage("tenant"))

    async def note_async(task: ActiveTask) -> None:
        note(task)

    async with Client(redis_url) as client:
        await client.enqueue(Task("t", headers={"baggage": "tenant=acme"}))
    await work(redis_url, traced(recorder, note_async if is_async else note))
    assert seen == [context_of(recorder.consumed), "acme"]


async def test_middleware_outside_has_no_span_afterwards(
    redis_url: str, recorder: Recorder
) -> None:
    mux, seen = Mux(), list[bool]()

    @mux.use
    async def outer(task: ActiveTask, call_next: AsyncHandler) -> None:
        await call_next(task)
        seen.append(trace.get_current_span().get_span_context().is_valid)

    mux.use(ServerTelemetry(**recorder.providers))
    mux.handle("t")(Handler())
    await enqueue(redis_url, recorder, Task("t"))
    await work(redis_url, mux)
    assert seen == [False]


@pytest.mark.parametrize(
    ("error", "outcome", "error_type"),
    [
        (ValueError("no"), "failed", "ValueError"),
        (SkipRetry("no"), "archived", "SkipRetry"),
        (HandlerNotFoundError("t"), "unknown", "HandlerNotFoundError"),
        (SystemExit(1), "failed", "RuntimeError"),
    ],
    ids=repr,
)
async def test_a_failure_is_recorded_with_its_exception(
    redis_url: str, recorder: Recorder, error: BaseException, outcome: str, error_type: str
) -> None:
    await enqueue(redis_url, recorder, Task("t", max_retry=0))
    await work(redis_url, traced(recorder, Handler(error)))
    span = recorder.consumed
    assert attributes_of(span)["messaging.asynq.outcome"] == outcome
    assert attributes_of(span)["error.type"] == error_type
    assert span.status.status_code is StatusCode.ERROR
    (event,) = span.events
    assert event.attributes is not None
    assert "in __call__" in str(event.attributes["exception.stacktrace"])


@pytest.mark.parametrize(
    ("error", "outcome"), [(Snooze(HOUR), "snoozed"), (RevokeTask("no"), "revoked")], ids=repr
)
async def test_what_a_handler_decides_is_no_failure(
    redis_url: str, recorder: Recorder, error: Exception, outcome: str
) -> None:
    await enqueue(redis_url, recorder, Task("t"))
    await work(redis_url, traced(recorder, Handler(error)))
    span = recorder.consumed
    assert attributes_of(span)["messaging.asynq.outcome"] == outcome
    assert "error.type" not in attributes_of(span)
    assert (span.status.status_code, span.events) == (StatusCode.UNSET, ())


async def test_a_run_out_of_time_is_a_failure(redis_url: str, recorder: Recorder) -> None:
    await enqueue(redis_url, recorder, Task("t", timeout=SECOND, max_retry=0))
    await work(redis_url, traced(recorder, Handler(hold=True)))
    assert attributes_of(recorder.consumed)["messaging.asynq.outcome"] == "stopped"
    assert attributes_of(recorder.consumed)["error.type"] == "TaskTimeoutError"
    assert recorder.consumed.status.description == "context deadline exceeded"


async def test_a_run_that_a_shutdown_interrupts_is_no_failure(
    redis_url: str, recorder: Recorder
) -> None:
    await enqueue(redis_url, recorder, Task("t"))
    handler = Handler(hold=True)
    server = Server(redis_url, shutdown_timeout=timedelta(0))
    async with server.running(traced(recorder, handler)):
        await handler.wait_for_tasks()
    assert attributes_of(recorder.consumed)["messaging.asynq.outcome"] == "stopped"
    assert recorder.consumed.status.status_code is StatusCode.UNSET


async def test_the_tries_of_a_task_are_children_of_one_span(
    redis_url: str, recorder: Recorder
) -> None:
    tries = count(1)

    async def fail_once(_task: ActiveTask) -> None:
        if next(tries) == 1:
            raise ValueError

    await enqueue(redis_url, recorder, Task("t"))
    server = Server(redis_url, retry_delay=lambda *_: timedelta(0))
    async with server.running(traced(recorder, fail_once)):
        await wait_until(lambda: len(recorder.spans(SpanKind.CONSUMER)) == 2)
    first, second = recorder.spans(SpanKind.CONSUMER)
    assert parent_id(first) == parent_id(second) == context_of(recorder.produced).span_id
    assert attributes_of(second)["messaging.asynq.task.try"] == 2
    (wait,) = recorder.points(WAIT)
    assert wait.count == 1


async def test_runs_are_counted_and_timed_by_outcome(redis_url: str, recorder: Recorder) -> None:
    async def odd_ones_fail(task: ActiveTask) -> None:
        if task.payload == b"odd":
            raise RevokeTask

    await enqueue(redis_url, recorder, Task("t", b"odd"), Task("t"), Task("t"))
    await work(redis_url, traced(recorder, odd_ones_fail))
    counts = {p.attributes["messaging.asynq.outcome"]: p.value for p in recorder.points(CONSUMED)}
    times = {p.attributes["messaging.asynq.outcome"]: p.count for p in recorder.points(RUN_TIME)}
    assert counts == times == {"succeeded": 2, "revoked": 1}
    assert recorder.points(RUN_TIME)[0].explicit_bounds[-1] == 1800


async def test_the_wait_is_measured_from_when_the_task_could_run(
    redis_url: str, recorder: Recorder, lapse: Lapse
) -> None:
    async with Client(redis_url) as client:
        await client.enqueue(Task("t", headers={READY_AT: "1000000000000"}))
    await work(redis_url, traced(recorder))
    (point,) = recorder.points(WAIT)
    assert 1_000_000_000 + point.sum in lapse


async def test_a_clock_that_is_behind_makes_no_negative_wait(
    redis_url: str, recorder: Recorder
) -> None:
    async with Client(redis_url) as client:
        await client.enqueue(Task("t", headers={READY_AT: "999999999999999"}))
    await work(redis_url, traced(recorder))
    (point,) = recorder.points(WAIT)
    assert point.sum == 0


async def test_a_plain_handler_that_is_stopped_ends_its_span(
    redis_url: str, recorder: Recorder
) -> None:
    await enqueue(redis_url, recorder, Task("t", timeout=SECOND, max_retry=0))
    await work(redis_url, traced(recorder, wait_until_cancelled))
    assert recorder.consumed.end_time is not None


def app_of(redis_url: str, recorder: Recorder) -> App:
    """Return an app with telemetry."""
    app = App(redis_url, burst=True, group_grace_period=SECOND)
    instrument(app, **recorder.providers)
    return app


async def test_tasks_that_an_apps_tasks_enqueue_are_in_the_same_trace(
    redis_url: str, recorder: Recorder
) -> None:
    app = app_of(redis_url, recorder)

    @app.task("inner")
    async def inner() -> None:
        pass

    @app.task("outer")
    async def outer() -> None:
        await inner.enqueue()

    async with app:
        await outer.enqueue()
        await run_burst(app.server(), None)
    spans = [*recorder.spans(SpanKind.PRODUCER), *recorder.spans(SpanKind.CONSUMER)]
    ids = {span.name: context_of(span).span_id for span in spans}
    parents = {span.name: parent_id(span) for span in spans}
    assert parents == {
        "enqueue outer": None,
        "process outer": ids["enqueue outer"],
        "enqueue inner": ids["process outer"],
        "process inner": ids["enqueue inner"],
    }


async def test_a_combined_task_has_links_to_the_spans_of_its_parts(
    redis_url: str, recorder: Recorder
) -> None:
    app = app_of(redis_url, recorder)
    done = asyncio.Event()

    @app.task("part", group="g")
    async def part(number: int) -> None:
        raise AssertionError(number)

    @app.task("whole")
    async def whole() -> None:
        done.set()

    @app.aggregator
    def combine(_group: str, _tasks: Sequence[Task]) -> Task:
        return whole.task()

    await _run_group(app, part, done)
    *parts, combined = recorder.spans(SpanKind.PRODUCER)
    assert combined.name == "enqueue whole"
    linked = {link.context.span_id for link in combined.links}
    assert linked == {context_of(span).span_id for span in parts}
    assert len(linked) == 2
    assert parent_id(recorder.consumed) == context_of(combined).span_id


async def _run_group(app: App, part: TypedTask[..., Any], done: asyncio.Event) -> None:
    async with app, app.server(burst=False).running():
        await part.enqueue(number=1)
        await part.enqueue(number=2)
        async with asyncio.timeout(60):
            await done.wait()


async def test_the_header_of_a_producer_in_any_language_is_understood(
    redis_url: str, recorder: Recorder
) -> None:
    async with Client(redis_url) as client:
        await client.enqueue(
            Task("t", headers={"traceparent": f"00-{7:032x}-{9:016x}-01", "tracestate": "a=b"})
        )
    handler_saw: list[str] = []

    async def note(_task: ActiveTask) -> None:
        handler_saw.append(trace.get_current_span().get_span_context().trace_state.to_header())

    await work(redis_url, traced(recorder, note))
    assert (context_of(recorder.consumed).trace_id, parent_id(recorder.consumed)) == (7, 9)
    assert handler_saw == ["a=b"]
    assert traceparent_of(recorder.consumed).startswith(f"00-{7:032x}-")
