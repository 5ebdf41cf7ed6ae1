"""OpenTelemetry spans; needs the extra ``otel``."""

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from threading import Timer

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from member.errors import MemberError
from member.tracing import Kind, Rename

_PATIENCE_S = 2.0
_W3C = TraceContextTextMapPropagator()


class OtelTracer:
    """Makes OpenTelemetry spans."""

    def __init__(self, provider: TracerProvider) -> None:
        """Make spans with *provider*."""
        self._tracer = provider.get_tracer("member")

    @contextmanager
    def span(self, kind: Kind, name: str, carrier: Mapping[str, str] | None) -> Generator[Rename]:
        """Measure the block with a span; yield a function that renames it."""
        parent = None if carrier is None else _W3C.extract(carrier)
        with self._tracer.start_as_current_span(
            name,
            context=parent,
            kind=SpanKind[kind.upper()],
            record_exception=False,
            set_status_on_exception=False,
        ) as begun:
            try:
                yield begun.update_name
            except Exception as error:
                _mark(begun, kind, error)
                raise

    def to_headers(self) -> dict[str, str]:
        """Return headers that name the current span as the parent of another."""
        headers: dict[str, str] = {}
        _W3C.inject(headers)
        return headers


def _mark(span: Span, kind: Kind, error: Exception) -> None:
    """Record in *span* why it failed; a refused caller is no failure of the service."""
    span.set_attribute("error.type", type(error).__name__)
    if kind == "server" and isinstance(error, MemberError):
        return
    span.record_exception(error)
    span.set_status(Status(StatusCode.ERROR))


@contextmanager
def exporting() -> Generator[OtelTracer]:
    """Send spans over OTLP, as the environment says, until the end of the block."""
    name = os.environ.get("OTEL_SERVICE_NAME", "member")
    provider = TracerProvider(
        resource=Resource.create({SERVICE_NAME: name}), shutdown_on_exit=False
    )
    exporter = OTLPSpanExporter()
    provider.add_span_processor(BatchSpanProcessor(exporter))
    try:
        yield OtelTracer(provider)
    finally:
        # A collector that is away must not delay the end: the exporter would retry for long.
        give_up = Timer(_PATIENCE_S, exporter.shutdown)
        give_up.start()
        provider.shutdown()
        give_up.cancel()
