"""A span and a count for each enqueue, and the context of the trace in the task's headers."""

import time
from typing import Final

from opentelemetry import metrics, propagate, trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Link, Span, SpanKind, StatusCode, TracerProvider
from opentelemetry.util.types import AttributeValue

from pyasynq.client import CallNext
from pyasynq.client.middleware import combined_tasks
from pyasynq.core.errors import DuplicateTaskError, TaskIDConflictError
from pyasynq.core.extension_errors import NotEnqueuedError
from pyasynq.core.info import TaskInfo
from pyasynq.core.options import DEFAULT_QUEUE, Options
from pyasynq.core.task import Task
from pyasynq.core.verdict import error_text
from pyasynq.telemetry import conventions as names

ANOTHER_DOES_IT: Final = (DuplicateTaskError, TaskIDConflictError, NotEnqueuedError)
"""Errors after which another task does the work; their span is not marked as failed."""


class ClientTelemetry:
    """Client middleware: a producer span for each enqueued task, and a count.

    The context of the span travels in the task's headers, in the form of the global propagator of
    OpenTelemetry: by default W3C Trace Context and Baggage. The span of a group's combined task has
    links to the spans of the tasks that it replaces. Counter ``messaging.client.sent.messages``:
    enqueues; those that failed have ``error.type``.

    Differs:
        The reference writes no headers of its own. ``pyasynq:ready-at`` has the instant from which
        the task can run, so that a worker can measure how long it waited.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        """Use the providers; None for the global ones of OpenTelemetry."""
        self._tracer = trace.get_tracer(names.SCOPE, names.VERSION, tracer_provider)
        meter = metrics.get_meter(names.SCOPE, names.VERSION, meter_provider)
        self._sent = meter.create_counter(names.SENT, "{message}", "Enqueued tasks")

    async def __call__(self, task: Task, options: Options, call_next: CallNext) -> TaskInfo:
        """Enqueue *task* within a span."""
        counted: dict[str, AttributeValue] = {
            names.SYSTEM: names.ASYNQ,
            names.OPERATION: "enqueue",
            names.QUEUE: options.queue or DEFAULT_QUEUE,
            names.TYPE: task.type,
        }
        with self._tracer.start_as_current_span(
            f"enqueue {task.type}",
            kind=SpanKind.PRODUCER,
            attributes=counted | _details(task, options),
            links=_links(),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            headers = _context_headers(task, options) | {names.READY_AT: _ready_at(options)}
            try:
                info = await call_next(task, options.merge(headers=headers))
            except BaseException as error:  # a cancelled enqueue is not one that succeeded
                counted[names.ERROR] = type(error).__qualname__
                _record(span, error)
                raise
            else:
                counted[names.QUEUE] = info.queue  # a middleware may have changed it
                span.set_attributes({names.QUEUE: info.queue, names.ID: info.id})
                return info
            finally:
                self._sent.add(1, counted)


def _details(task: Task, options: Options) -> dict[str, AttributeValue]:
    details: dict[str, AttributeValue] = {
        names.OPERATION_TYPE: "send",
        names.SIZE: len(task.payload or b""),
    }
    if options.group:
        details[names.GROUP] = options.group
    return details


def _links() -> list[Link]:
    """Return links to the spans of the tasks that the enqueued one replaces."""
    contexts = (propagate.extract(task.headers) for task in combined_tasks.get())
    spans = (trace.get_current_span(context).get_span_context() for context in contexts)
    return [Link(span) for span in spans if span.is_valid]


def _context_headers(task: Task, options: Options) -> dict[str, str]:
    """Return the headers with the current context; they replace what the task has of another."""
    headers: dict[str, str] = {}
    propagate.inject(headers)
    if not headers:
        return {}
    given = {*task.headers, *options.headers}
    return dict.fromkeys(given & propagate.get_global_textmap().fields, "") | headers


def _ready_at(options: Options) -> str:
    now_s = ready_s = time.time()
    if options.process_at is not None:
        ready_s = options.process_at.timestamp()
    elif options.process_in is not None:
        ready_s += options.process_in.total_seconds()
    return str(int(max(now_s, ready_s) * 1000))


def _record(span: Span, error: BaseException) -> None:
    span.set_attribute(names.ERROR, type(error).__qualname__)
    if not isinstance(error, ANOTHER_DOES_IT):
        span.record_exception(error)
        span.set_status(StatusCode.ERROR, error_text(error))
