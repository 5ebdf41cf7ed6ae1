"""Traces of the service, if the extra ``otel`` is installed and the environment names a collector.

Otherwise nothing more is imported, and a span does nothing.
"""

import os
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from importlib.util import find_spec
from typing import Literal, Protocol, TypeAlias

Kind: TypeAlias = Literal["server", "producer", "consumer", "client"]
Rename: TypeAlias = Callable[[str], object]


class Tracer(Protocol):
    """Makes spans."""

    def span(
        self, kind: Kind, name: str, carrier: Mapping[str, str] | None
    ) -> AbstractContextManager[Rename]:
        """Return a context manager that measures its block with a span."""
        ...

    def to_headers(self) -> dict[str, str]:
        """Return headers that name the current span as the parent of another."""
        ...


def _ignore(_name: str) -> None:
    pass


class _NoTracer:
    _NO_SPAN = nullcontext[Rename](_ignore)

    def span(
        self, kind: Kind, name: str, carrier: Mapping[str, str] | None
    ) -> AbstractContextManager[Rename]:
        del kind, name, carrier
        return self._NO_SPAN

    def to_headers(self) -> dict[str, str]:
        return {}


_tracers: list[Tracer] = [_NoTracer()]


def span(
    kind: Kind, name: str, carrier: Mapping[str, str] | None = None
) -> AbstractContextManager[Rename]:
    """Return a context manager that measures its block and yields a rename function.

    Args:
        kind: The kind of the span in OpenTelemetry's terms.
        name: The work that is done, never the member that it is done for.
        carrier: Headers that may name the parent span; None: the current span is the parent.
    """
    return _tracers[-1].span(kind, name, carrier)


def to_headers() -> dict[str, str]:
    """Return headers of W3C Trace Context that name the current span; empty without a span."""
    return _tracers[-1].to_headers()


@contextmanager
def using(tracer: Tracer) -> Generator[None]:
    """Let *tracer* make all spans until the end of the block."""
    _tracers.append(tracer)
    try:
        yield
    finally:
        _tracers.remove(tracer)


@contextmanager
def exporting() -> Generator[None]:
    """Send traces to OTEL_EXPORTER_OTLP_ENDPOINT until the end of the block, if it is possible."""
    named = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if named and find_spec("opentelemetry") and find_spec("opentelemetry.exporter"):
        with import_module("member.otel").exporting() as tracer, using(tracer):
            yield
    else:
        yield
