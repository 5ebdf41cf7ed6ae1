"""Add telemetry to an app."""

from typing import Protocol

from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from pyasynq.client import ClientMiddleware
from pyasynq.server import Middleware
from pyasynq.telemetry.client import ClientTelemetry
from pyasynq.telemetry.server import ServerTelemetry


class Instrumentable(Protocol):
    """The methods of an `App` that are used here."""

    def use(self, middleware: Middleware) -> Middleware:
        """Wrap every handler in *middleware*."""
        ...

    def use_client(self, middleware: ClientMiddleware) -> ClientMiddleware:
        """Call *middleware* around every task that is enqueued."""
        ...


def instrument(
    app: Instrumentable,
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> None:
    """Trace and measure the tasks that *app* enqueues and runs; call this once, and first.

    Middleware that the app has already stays outside of the spans.

    Args:
        app: An `App`.
        tracer_provider: Makes the spans; None for the global provider of OpenTelemetry.
        meter_provider: Makes the metrics; None for the global provider of OpenTelemetry.
    """
    app.use_client(ClientTelemetry(tracer_provider, meter_provider))
    app.use(ServerTelemetry(tracer_provider, meter_provider))
