"""Metrics of a worker's tasks: their outcomes and durations."""

import os
import time
from collections.abc import Collection, Sequence
from typing import Final

import msgspec
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from pyasynq.server import ActiveTask, AsyncHandler
from pyasynq.server.run.outcomes import outcome_of

BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
"""Upper ends of the histogram's buckets, seconds; the last is the usual timeout."""

MULTIPROCESS: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable with the folder in which prometheus-client then keeps its values."""

MOST_KINDS: Final = 1000
OTHER: Final = "(other)"


class _Series(msgspec.Struct):
    """The series of one queue and type."""

    queue: str
    type: str
    running: Gauge
    seconds: Histogram
    tasks: set[ActiveTask]
    outcomes: dict[str, Counter] = {}


class TaskMetrics:
    """Middleware that counts and times the runs of tasks, by queue and type.

    ``pyasynq_tasks_total`` (counter; queue, type, outcome), ``pyasynq_task_duration_seconds``
    (histogram; queue, type), ``pyasynq_tasks_running`` (gauge; queue, type), and
    ``pyasynq_tasks_overdue`` (gauge; queue, type): running tasks that are past their time limit.
    Outcomes: succeeded, failed, archived (`SkipRetry`, or a payload that does not fit), revoked,
    snoozed, unknown (the type has no handler), and stopped (canceled, timed out, or interrupted by
    a shutdown). Types after the first 1,000 are counted together.

    Differs:
        The reference has no metrics of workers.
    """

    def __init__(
        self, registry: CollectorRegistry = REGISTRY, *, buckets: Sequence[float] = BUCKETS
    ) -> None:
        """Register the series in *registry*; *buckets* are upper ends, in seconds."""
        kinds = ("queue", "type")
        self._total = Counter(
            "pyasynq_tasks", "Runs that ended", (*kinds, "outcome"), registry=registry
        )
        self._seconds = Histogram(
            "pyasynq_task_duration_seconds",
            "Time from start to end of a run",
            kinds,
            buckets=buckets,
            registry=registry,
        )
        self._running = Gauge(
            "pyasynq_tasks_running",
            "Running tasks",
            kinds,
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._overdue = Gauge(
            "pyasynq_tasks_overdue",
            "Running tasks that are past their time limit",
            kinds,
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._series: dict[tuple[str, str], _Series] = {}

    async def __call__(self, task: ActiveTask, call_next: AsyncHandler) -> object:
        """Run *task* and count it."""
        series = self._series.get((task.queue, task.type)) or self._new(task)
        series.running.inc()
        series.tasks.add(task)
        started = time.perf_counter()
        outcome = "succeeded"
        try:
            return await call_next(task)
        except BaseException as error:
            outcome = outcome_of(task, error)
            raise
        finally:
            series.running.dec()
            series.tasks.discard(task)
            series.seconds.observe(time.perf_counter() - started)
            (series.outcomes.get(outcome) or self._ended(series, outcome)).inc()

    def refresh(self) -> None:
        """Update the gauge of overdue runs; with files no scrape computes it."""
        for series in self._series.values():
            self._overdue.labels(series.queue, series.type).set(_overdue(series.tasks))

    def _ended(self, series: _Series, outcome: str) -> Counter:
        # Cached: finding a series by its labels costs as much as everything else here.
        counter = self._total.labels(series.queue, series.type, outcome)
        return series.outcomes.setdefault(outcome, counter)

    def _new(self, task: ActiveTask) -> _Series:
        type = task.type if len(self._series) < MOST_KINDS else OTHER
        if known := self._series.get((task.queue, type)):
            return known
        series = _Series(
            task.queue,
            type,
            self._running.labels(task.queue, type),
            self._seconds.labels(task.queue, type),
            running := set[ActiveTask](),
        )
        if (
            MULTIPROCESS not in os.environ
        ):  # else other processes read it from a file, see `refresh`
            overdue = self._overdue.labels(task.queue, type)
            overdue.set_function(lambda: _overdue(running))
        self._series[task.queue, type] = series
        return series


def _overdue(running: Collection[ActiveTask]) -> int:
    # Use a copy, which list() makes atomically: a scrape may come from another thread.
    return sum(task.overdue for task in list(running))
