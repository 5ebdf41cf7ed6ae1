"""The pages that Prometheus reads."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pyasynq.cli import http

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from pyasynq.metrics import QueueCollector, TaskMetrics

PATH: Final = "/metrics"
EXTRA: Final = ("prometheus_client", "metrics", "metrics need prometheus-client")


def page(registry: "CollectorRegistry", collector: "QueueCollector | None" = None) -> http.Page:
    """Return the page that shows *registry*, and asks Redis first if there is a *collector*."""
    from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

    async def metrics() -> http.Answer:
        if collector is not None:
            await collector.read()
        return http.Answer("200 OK", CONTENT_TYPE_LATEST, generate_latest(registry))

    return metrics


def page_of_child(measured: "TaskMetrics") -> http.Page:
    """Return the page at which a supervisor has a child write down its numbers."""

    async def refresh() -> http.Answer:
        measured.refresh()
        return http.Answer("200 OK", "text/plain", b"")

    return refresh


def page_of_all(folder: Path, files: Callable[[], Iterable[Path]]) -> http.Page:
    """Return the page that shows the numbers in *folder*, of children who serve in *files*."""
    from prometheus_client import CollectorRegistry, multiprocess

    registry = CollectorRegistry()
    untyped: Any = multiprocess
    untyped.MultiProcessCollector(registry, str(folder))
    shown = page(registry)

    async def metrics() -> http.Answer:
        refreshing = (http.ask(file, PATH) for file in files())
        await asyncio.gather(*refreshing, return_exceptions=True)  # who is away has no number
        return await shown()

    return metrics


def forget(folder: Path, pid: int) -> None:
    """Count no more what the process *pid*, which has ended, did at its end."""
    from prometheus_client import multiprocess

    untyped: Any = multiprocess
    untyped.mark_process_dead(pid, str(folder))
