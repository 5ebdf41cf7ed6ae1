"""Metrics of a worker: its slots, and how late its event loop is."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry, Gauge, Histogram

from pyasynq.server import Server

PERIOD_S: Final = 0.25
"""Time between two measurements."""

LAG_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Upper ends of the histogram's buckets, seconds; after the last one, leases have ended."""


class WorkerMetrics:
    """Measures a server four times a second.

    ``pyasynq_worker_slots`` (gauge): tasks that may run at once; of a server that takes no more
    tasks, those that still run. ``pyasynq_worker_slots_busy`` (gauge): slots in use.
    ``pyasynq_worker_slots_overdue`` (gauge): slots in use by threads that run on after the timeout
    or deadline of their task. ``pyasynq_worker_loop_lag_seconds`` (histogram): how much later than
    due the event loop ran a timer. It is no gauge, because a gauge would show one moment, or a
    maximum that one of two scrapers misses.

    Differs:
        The reference has no metrics of workers.
    """

    name = "worker metrics"

    def __init__(
        self,
        server: Server,
        registry: CollectorRegistry = REGISTRY,
        *,
        buckets: Sequence[float] = LAG_BUCKETS,
    ) -> None:
        """Register the series in *registry*; *buckets* are upper ends, in seconds."""
        self._server = server
        self._slots = _gauge("slots", "Tasks that may run at once", registry)
        self._busy = _gauge("slots_busy", "Slots in use", registry)
        self._overdue = _gauge(
            "slots_overdue", "Slots in use by threads that run on after their time", registry
        )
        self._lag = Histogram(
            "pyasynq_worker_loop_lag_seconds",
            "How much later than due the event loop ran a timer",
            buckets=buckets,
            registry=registry,
        )

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            load = self._server.load
            self._slots.set(load.slots if self._server.state == "active" else load.busy)
            self._busy.set(load.busy)
            self._overdue.set(load.overdue_threads)
            due = time.perf_counter() + PERIOD_S
            await asyncio.sleep(PERIOD_S)
            self._lag.observe(max(0.0, time.perf_counter() - due))


def _gauge(name: str, text: str, registry: CollectorRegistry) -> Gauge:
    return Gauge(f"pyasynq_worker_{name}", text, registry=registry, multiprocess_mode="livesum")
