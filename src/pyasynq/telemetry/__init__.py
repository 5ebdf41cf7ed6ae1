"""Traces and metrics for OpenTelemetry: a span for each enqueue, and one for each run.

Needs the extra ``otel``: ``pip install '.[otel]'`` in a checkout.
"""

try:
    from pyasynq.telemetry.app import instrument
    from pyasynq.telemetry.client import ClientTelemetry
    from pyasynq.telemetry.server import ServerTelemetry
except ModuleNotFoundError as _error:
    _error.add_note("install the extra otel: pip install 'pyasynq[otel]'")
    raise

__all__ = ["ClientTelemetry", "ServerTelemetry", "instrument"]
