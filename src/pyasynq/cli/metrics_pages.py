"""The pages with metrics in the format of Prometheus."""

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


def make_page(
    registry: "CollectorRegistry", collector: "QueueCollector | None" = None
) -> http.Page:
    """Return the page with the metrics of *registry*; a *collector* first reads Redis."""
    from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

    async def metrics() -> http.Answer:
        if collector is not None:
            await collector.read()
        return http.Answer("200 OK", CONTENT_TYPE_LATEST, generate_latest(registry))

    return metrics


def make_child_page(task_metrics: "TaskMetrics") -> http.Page:
    """Return the page that makes a child write its metrics to the files of the supervisor."""

    async def refresh() -> http.Answer:
        task_metrics.refresh()
        return http.Answer("200 OK", "text/plain", b"")

    return refresh


def make_page_of_all(folder: Path, files: Callable[[], Iterable[Path]]) -> http.Page:
    """Return the page with the metrics of all children.

    Args:
        folder: Where the children write their metrics.
        files: Returns the Unix sockets in which the children serve `make_child_page`.
    """
    from prometheus_client import CollectorRegistry, multiprocess

    registry = CollectorRegistry()
    untyped: Any = multiprocess
    untyped.MultiProcessCollector(registry, str(folder))
    all_metrics = make_page(registry)

    async def metrics() -> http.Answer:
        refreshing = (http.ask(file, PATH) for file in files())
        await asyncio.gather(*refreshing, return_exceptions=True)  # skip dead children
        return await all_metrics()

    return metrics


def forget_process(folder: Path, pid: int) -> None:
    """Remove the gauges of the process *pid*, which has ended, from *folder*."""
    from prometheus_client import multiprocess

    untyped: Any = multiprocess
    untyped.mark_process_dead(pid, str(folder))
