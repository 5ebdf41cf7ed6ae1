"""If traces are on, one trace leads from a call to the mail that it causes."""

from collections.abc import Generator, Mapping, Sequence

import pytest
from grpc import aio
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode, format_span_id, format_trace_id

from member import tracing
from member.demo.smtp import SmtpSink
from member.errors import LinkUnknownError
from member.otel import OtelTracer
from member.program import running
from member.settings import Settings
from services.member.tests.browser import browse
from services.member.tests.programs import ALICE, stub_of
from tests.support.waiting import wait_until

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


@pytest.fixture
def spans() -> Generator[InMemorySpanExporter]:
    """The exporter for the spans of this test."""
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with tracing.using(OtelTracer(provider)):
        yield exporter
    provider.shutdown()


def named(spans: InMemorySpanExporter, name: str) -> Sequence[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if span.name == name]


def parents(spans: InMemorySpanExporter) -> Mapping[str, str]:
    """Return the parent's name for the name of each span."""
    done = spans.get_finished_spans()
    names = {span.context.span_id: span.name for span in done if span.context}
    return {
        span.name: names.get(span.parent.span_id, format_span_id(span.parent.span_id))
        for span in done
        if span.parent
    }


async def test_one_trace_leads_from_the_call_to_the_mail(
    spans: InMemorySpanExporter, settings: Settings, sink: tuple[SmtpSink, str]
) -> None:
    async with running(settings) as addresses, stub_of(addresses.grpc) as stub:
        await stub.CreateMember(ALICE, metadata=aio.Metadata(("traceparent", TRACEPARENT)))
        await sink[0].mails.get()
        await wait_until(lambda: named(spans, "process send verify email"))
    assert parents(spans) == {
        "member.v1.MemberService/CreateMember": PARENT,
        "enqueue send verify email": "member.v1.MemberService/CreateMember",
        "process send verify email": "enqueue send verify email",
        "send mail": "process send verify email",
    }
    done = spans.get_finished_spans()
    assert {format_trace_id(span.context.trace_id) for span in done if span.context} == {TRACE}


async def test_a_request_is_named_by_its_route(
    spans: InMemorySpanExporter, settings: Settings
) -> None:
    async with running(settings) as addresses:
        await browse(f"http://{addresses.http}/verify-email?token=T0K3N")
    (span,) = named(spans, "GET /verify-email")
    assert "T0K3N" not in span.to_json()


def test_a_refusal_is_no_failure(spans: InMemorySpanExporter) -> None:
    with pytest.raises(LinkUnknownError), tracing.span("server", "VerifyEmail"):
        raise LinkUnknownError
    (span,) = named(spans, "VerifyEmail")
    assert span.status.status_code is StatusCode.UNSET
    assert dict(span.attributes or {}) == {"error.type": "LinkUnknownError"}


def test_an_unexpected_error_is_a_failure_of_the_span(spans: InMemorySpanExporter) -> None:
    with pytest.raises(RuntimeError), tracing.span("server", "VerifyEmail"):
        raise RuntimeError
    (span,) = named(spans, "VerifyEmail")
    assert span.status.status_code is StatusCode.ERROR


def test_without_a_collector_there_are_no_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    with tracing.exporting(), tracing.span("server", "VerifyEmail"):
        assert tracing.to_headers() == {}


def test_with_a_collector_tasks_carry_the_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    with tracing.exporting(), tracing.span("server", "VerifyEmail"):
        assert tracing.to_headers()["traceparent"]
    assert tracing.to_headers() == {}
