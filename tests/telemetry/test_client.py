"""Each enqueue has a producer span, whose context travels with the task."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.trace import SpanKind, StatusCode
from sqlalchemy import MetaData, create_engine
from sqlalchemy.orm import Session

from pyasynq import (
    CallNext,
    Client,
    DuplicateTaskError,
    OptionError,
    Options,
    SyncClient,
    Task,
    TaskInfo,
)
from pyasynq.outbox import Outbox
from pyasynq.telemetry import ClientTelemetry
from pyasynq.telemetry.conventions import READY_AT
from tests.support.telemetry import (
    Recorder,
    attributes_of,
    parent_id,
    traceparent_of,
)
from tests.support.waiting import Lapse

SENT = "messaging.client.sent.messages"
ANOTHER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
async def client(redis_url: str, recorder: Recorder) -> AsyncIterator[Client]:
    """Yield a client with telemetry."""
    async with Client(redis_url, middleware=[ClientTelemetry(**recorder.providers)]) as client:
        yield client


async def test_a_span_names_the_task_by_the_messaging_conventions(
    client: Client, recorder: Recorder
) -> None:
    info = await client.enqueue(Task("email:send", b"12345"), queue="low")
    assert recorder.produced.name == "enqueue email:send"
    assert attributes_of(recorder.produced) == {
        "messaging.system": "asynq",
        "messaging.operation.name": "enqueue",
        "messaging.operation.type": "send",
        "messaging.destination.name": "low",
        "messaging.message.id": info.id,
        "messaging.message.body.size": 5,
        "messaging.asynq.task.type": "email:send",
    }


async def test_the_group_of_a_task_is_named(client: Client, recorder: Recorder) -> None:
    await client.enqueue(Task("t"), group="g")
    assert attributes_of(recorder.produced)["messaging.asynq.group"] == "g"


async def test_the_context_of_the_span_is_in_the_headers(
    client: Client, recorder: Recorder
) -> None:
    info = await client.enqueue(Task("t", headers={"mine": "stays"}))
    assert info.headers["traceparent"] == traceparent_of(recorder.produced)
    assert info.headers["mine"] == "stays"


async def test_the_current_span_is_the_parent_and_baggage_travels(
    client: Client, recorder: Recorder
) -> None:
    token = context.attach(baggage.set_baggage("tenant", "a b"))
    with recorder.tracers.get_tracer("caller").start_as_current_span("call") as caller:
        info = await client.enqueue(Task("t"))
    context.detach(token)
    assert parent_id(recorder.produced) == caller.get_span_context().span_id
    assert info.headers["baggage"] == "tenant=a+b"


async def test_a_copied_context_of_another_trace_is_replaced(
    client: Client, recorder: Recorder
) -> None:
    copied = {"traceparent": ANOTHER, "tracestate": "vendor=1", "baggage": "tenant=b"}
    info = await client.enqueue(Task("t", headers=copied))
    assert info.headers["traceparent"] == traceparent_of(recorder.produced)
    assert (info.headers["tracestate"], info.headers["baggage"]) == ("", "")


async def test_a_given_context_stays_if_nothing_is_traced(redis_url: str) -> None:
    off = ClientTelemetry(trace.NoOpTracerProvider())
    async with Client(redis_url, middleware=[off]) as client:
        info = await client.enqueue(Task("t", headers={"traceparent": ANOTHER}))
    assert info.headers["traceparent"] == ANOTHER


async def test_each_task_of_a_batch_has_a_span_of_its_own_in_the_callers_trace(
    client: Client, recorder: Recorder
) -> None:
    with recorder.tracers.get_tracer("caller").start_as_current_span("call") as caller:
        infos = await client.enqueue_many([Task("t") for _ in range(300)])
    spans = recorder.spans(SpanKind.PRODUCER)
    sent = [info.headers["traceparent"] for info in infos if isinstance(info, TaskInfo)]
    assert sorted(sent) == sorted(traceparent_of(span) for span in spans)
    assert len(set(sent)) == 300
    assert {parent_id(span) for span in spans} == {caller.get_span_context().span_id}


async def test_enqueues_are_counted(client: Client, recorder: Recorder) -> None:
    await client.enqueue_many([Task("t", queue="q"), Task("t", queue="q"), Task("t")])
    counts = {p.attributes["messaging.destination.name"]: p.value for p in recorder.points(SENT)}
    assert counts == {"q": 2, "default": 1}


async def test_an_error_is_recorded(client: Client, recorder: Recorder) -> None:
    with pytest.raises(OptionError):
        await client.enqueue(Task("t", b"x" * 2**21))
    span = recorder.produced
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description is not None
    assert "payload" in span.status.description
    assert [event.name for event in span.events] == ["exception"]
    (point,) = recorder.points(SENT)
    assert (point.attributes["error.type"], point.value) == ("OptionError", 1)


async def test_a_cancelled_enqueue_does_not_count_as_one_that_succeeded(
    redis_url: str, recorder: Recorder
) -> None:
    async def cancel(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
        raise asyncio.CancelledError

    middleware = [ClientTelemetry(**recorder.providers), cancel]
    async with Client(redis_url, middleware=middleware) as client:
        with pytest.raises(asyncio.CancelledError):
            await client.enqueue(Task("t"))
    (point,) = recorder.points(SENT)
    assert point.attributes["error.type"] == "CancelledError"
    assert recorder.produced.status.status_code is StatusCode.ERROR


async def test_a_task_that_another_one_replaces_is_no_failure(
    client: Client, recorder: Recorder
) -> None:
    await client.enqueue(Task("t"), unique=timedelta(hours=1))
    with pytest.raises(DuplicateTaskError):
        await client.enqueue(Task("t"), unique=timedelta(hours=1))
    _, span = recorder.spans(SpanKind.PRODUCER)
    assert span.status.status_code is StatusCode.UNSET
    assert attributes_of(span)["error.type"] == "DuplicateTaskError"


async def test_the_queue_that_an_inner_middleware_chooses_is_named(
    redis_url: str, recorder: Recorder
) -> None:
    async def route(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
        return await call_next(task, options.merge(queue="slow"))

    middleware = [ClientTelemetry(**recorder.providers), route]
    async with Client(redis_url, middleware=middleware) as client:
        await client.enqueue(Task("t"))
    (point,) = recorder.points(SENT)
    assert attributes_of(recorder.produced)["messaging.destination.name"] == "slow"
    assert point.attributes["messaging.destination.name"] == "slow"


async def test_the_headers_say_from_when_a_task_can_run(client: Client, lapse: Lapse) -> None:
    now = await client.enqueue(Task("t"))
    late = await client.enqueue(Task("t"), process_in=timedelta(hours=1))
    at = datetime(2090, 1, 1, tzinfo=UTC)
    later = await client.enqueue(Task("t"), process_at=at)
    past = await client.enqueue(Task("t"), process_at=datetime(2020, 1, 1, tzinfo=UTC))
    assert all(re.fullmatch(r"\d{13}", it.headers[READY_AT]) for it in (now, late, later, past))
    assert int(now.headers[READY_AT]) / 1000 in lapse
    assert int(past.headers[READY_AT]) / 1000 in lapse
    assert int(late.headers[READY_AT]) / 1000 - 3600 in lapse
    assert int(later.headers[READY_AT]) == at.timestamp() * 1000


def test_a_client_without_a_loop_takes_the_callers_span_as_parent(
    redis_url: str, recorder: Recorder
) -> None:
    with SyncClient(redis_url, middleware=[ClientTelemetry(**recorder.providers)]) as client:
        with recorder.tracers.get_tracer("caller").start_as_current_span("call") as caller:
            client.enqueue(Task("t"))
    assert parent_id(recorder.produced) == caller.get_span_context().span_id


def test_an_outbox_traces_what_it_writes(recorder: Recorder) -> None:
    metadata = MetaData()
    outbox = Outbox(metadata, middleware=[ClientTelemetry(**recorder.providers)])
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        task_id = outbox.add(session, Task("t"))
    engine.dispose()
    assert attributes_of(recorder.produced)["messaging.message.id"] == task_id
