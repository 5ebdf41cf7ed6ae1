"""Providers of OpenTelemetry that keep what they get, for tests to look at."""

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, SpanKind


class Recorder:
    """A tracer provider and a meter provider, and what they have recorded.

    Attributes:
        tracers: Makes spans.
        meters: Makes instruments.
    """

    def __init__(self) -> None:
        """Begin with nothing recorded."""
        self._exporter = InMemorySpanExporter()
        self.tracers: TracerProvider = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._reader = InMemoryMetricReader()
        self.meters: MeterProvider = MeterProvider([self._reader], shutdown_on_exit=False)

    @property
    def providers(self) -> Mapping[str, Any]:
        """The providers as keyword arguments."""
        return {"tracer_provider": self.tracers, "meter_provider": self.meters}

    def spans(self, kind: SpanKind) -> Sequence[ReadableSpan]:
        """Return the spans of *kind* that have ended, in the order of their start."""
        spans = [span for span in self._exporter.get_finished_spans() if span.kind is kind]
        return sorted(spans, key=lambda span: span.start_time or 0)

    @property
    def produced(self) -> ReadableSpan:
        """The one producer span."""
        (span,) = self.spans(SpanKind.PRODUCER)
        return span

    @property
    def consumed(self) -> ReadableSpan:
        """The one consumer span."""
        (span,) = self.spans(SpanKind.CONSUMER)
        return span

    def points(self, name: str) -> Sequence[Any]:
        """Return the data points of the instrument *name*; none if nothing was measured."""
        data = self._reader.get_metrics_data()
        resources = [] if data is None else data.resource_metrics
        return [
            point
            for resource in resources
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


def context_of(span: ReadableSpan) -> SpanContext:
    """Return the context of *span*."""
    assert span.context is not None
    return span.context


def parent_id(span: ReadableSpan) -> int | None:
    """Return the id of the span's parent, if it has one."""
    return span.parent.span_id if span.parent else None


def attributes_of(span: ReadableSpan) -> dict[str, object]:
    """Return the attributes of *span*."""
    return dict(span.attributes or {})


def traceparent_of(span: ReadableSpan) -> str:
    """Return the header by which *span* is the parent of others."""
    context = context_of(span)
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
