"""A span, counts and times for each run of a task."""

import re
import time
from typing import Final

from opentelemetry import context, metrics, propagate, trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Span, SpanKind, StatusCode, TracerProvider
from opentelemetry.util.types import AttributeValue

from pyasynq.core.control import TaskTimeoutError
from pyasynq.core.verdict import error_text
from pyasynq.server import ActiveTask, AsyncHandler
from pyasynq.server.run.handler_errors import as_exception
from pyasynq.server.run.outcomes import outcome_of
from pyasynq.telemetry import conventions as names

BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
"""Proposed upper ends of the histograms' buckets, seconds."""

PROBLEMS: Final = frozenset({"failed", "archived", "unknown"})
"""Outcomes that mark a span as failed; the others are deliberate."""

INSTANT_MS: Final = re.compile(r"\d{1,15}", re.ASCII)


class ServerTelemetry:
    """Middleware: a consumer span for each run, with counts and times.

    The span is a child of the producer span that the task's headers name, from Python or from Go;
    so the tries of a task are children of one span. Code of the handler runs in its context, with
    the baggage of the producer. Failures have status ERROR and the exception.

    Instruments: counter ``messaging.client.consumed.messages`` and histogram
    ``messaging.process.duration`` (seconds), both of runs by queue, type and outcome; histogram
    ``messaging.asynq.wait.duration`` (seconds) by queue and type: the time from when a task could
    run until its first try began, for tasks that `ClientTelemetry` has seen.

    Differs:
        The reference has no traces.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        """Use the providers; None for the global ones of OpenTelemetry."""
        self._tracer = trace.get_tracer(names.SCOPE, names.VERSION, tracer_provider)
        meter = metrics.get_meter(names.SCOPE, names.VERSION, meter_provider)
        self._consumed = meter.create_counter(names.CONSUMED, "{message}", "Runs that ended")
        self._run_time = meter.create_histogram(
            names.RUN_TIME,
            "s",
            "Time from start to end of a run",
            explicit_bucket_boundaries_advisory=BUCKETS,
        )
        self._wait = meter.create_histogram(
            names.WAIT,
            "s",
            "Time from when a task could run until its first try began",
            explicit_bucket_boundaries_advisory=BUCKETS,
        )

    async def __call__(self, task: ActiveTask, call_next: AsyncHandler) -> object:
        """Run *task* within a span."""
        kind: dict[str, AttributeValue] = {
            names.SYSTEM: names.ASYNQ,
            names.OPERATION: "process",
            names.QUEUE: task.queue,
            names.TYPE: task.type,
        }
        self._measure_wait(task, kind)
        parent = propagate.extract(task.headers)
        span = self._start(task, parent, kind)
        token = context.attach(trace.set_span_in_context(span, parent))
        started = time.perf_counter()
        result: dict[str, AttributeValue] = {names.OUTCOME: "succeeded"}
        try:
            return await call_next(task)
        except BaseException as error:
            result = _record(span, task, error)
            raise
        finally:
            took_s = time.perf_counter() - started
            context.detach(token)
            span.set_attributes(result)
            span.end()
            self._run_time.record(took_s, kind | result)
            self._consumed.add(1, kind | result)

    def _start(
        self, task: ActiveTask, parent: context.Context, kind: dict[str, AttributeValue]
    ) -> Span:
        details: dict[str, AttributeValue] = {
            names.OPERATION_TYPE: "process",
            names.ID: task.id,
            names.SIZE: len(task.payload),
            names.TRY: task.retried + 1,
            names.MAX_RETRY: task.max_retry,
        }
        return self._tracer.start_span(
            f"process {task.type}",
            context=parent,
            kind=SpanKind.CONSUMER,
            attributes=kind | details,
        )

    def _measure_wait(self, task: ActiveTask, kind: dict[str, AttributeValue]) -> None:
        ready_ms = task.headers.get(names.READY_AT, "")
        if task.last_failed_at is None and INSTANT_MS.fullmatch(ready_ms):
            # The clocks of two machines may differ.
            self._wait.record(max(time.time() - int(ready_ms) / 1000, 0), kind)


def _record(span: Span, task: ActiveTask, error: BaseException) -> dict[str, AttributeValue]:
    """Record in *span* how the run failed; return the attributes that say so."""
    outcome = outcome_of(task, error)
    result: dict[str, AttributeValue] = {names.OUTCOME: outcome}
    timed_out = outcome == "stopped" and task.overdue
    if outcome not in PROBLEMS and not timed_out:
        return result
    failure = TaskTimeoutError() if timed_out else as_exception(error)
    span.record_exception(error)
    span.set_status(StatusCode.ERROR, error_text(failure))
    return result | {names.ERROR: type(failure).__qualname__}
