"""Traces of what the service does, for those who install the extra ``otel`` and name a collector.

For all others nothing more is imported, and a span is nothing.
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
        """Return the block that a span measures."""
        ...

    def to_headers(self) -> dict[str, str]:
        """Return what leads to the present span from elsewhere."""
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
    """Return the block that a span measures; entering it returns what gives it another name.

    Args:
        kind: What it is to those before and after it.
        name: What is done, never to whom.
        carrier: Headers that may lead to the span that asked for it; without them that is the
            present one.
    """
    return _tracers[-1].span(kind, name, carrier)


def to_headers() -> dict[str, str]:
    """Return the headers of W3C Trace Context that lead to the present span; empty for none."""
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
    """Send traces to OTEL_EXPORTER_OTLP_ENDPOINT until the end of the block, if that can be."""
    named = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if named and find_spec("opentelemetry") and find_spec("opentelemetry.exporter"):
        with import_module("member.otel").exported() as tracer, using(tracer):
            yield
    else:
        yield
