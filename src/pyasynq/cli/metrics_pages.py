"""The pages with metrics in the format of Prometheus."""

import asyncio
import os
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
    """Return the page with the metrics of *registry*; a *collector* first reads the broker."""
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


def name_files(file_name: str) -> None:
    """Name the metric files of this process, a child, after a number that is used again.

    prometheus-client keeps the counters of ended processes, and names files after the process id.
    There would be more files for each process that is replaced, and each scrape reads all of them.
    A process that gets the number of an ended one counts on from its values.

    Args:
        file_name: Number that no other child of this supervisor has now.
    """
    from prometheus_client import values

    name, own = _process_name(os.getppid(), file_name), os.getpid()
    untyped: Any = values
    # A process that a handler forks must not write into the files of its parent.
    untyped.ValueClass = untyped.MultiProcessValue(
        lambda: name if os.getpid() == own else os.getpid()
    )


def _process_name(supervisor: int, number: object) -> str:
    # With the supervisor's id, because several supervisors may share PROMETHEUS_MULTIPROC_DIR.
    return f"{supervisor}-{number}"


def forget_process(folder: Path, number: int) -> None:
    """Remove the gauges of this supervisor's process *number*, which has ended, from *folder*."""
    from prometheus_client import multiprocess

    untyped: Any = multiprocess
    untyped.mark_process_dead(_process_name(os.getpid(), number), str(folder))
