"""Metrics of queues, under the reference's names.

Source:
    Protocol section 11.1 (asynq v0.26.0 ``x/metrics/metrics.go``).
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from pyasynq.core.errors import PyasynqError
from pyasynq.core.info import QueueInfo, ServerInfo
from pyasynq.core.options import SECOND, check_time
from pyasynq.core.states import TaskState
from pyasynq.metrics.wanted import TARGET_WAIT, WantedWorkers
from pyasynq.runtime.clock import Clock
from pyasynq.runtime.loggers import get_logger

log: Final = get_logger("pyasynq.metrics")

MEMORY_INTERVAL: Final = timedelta(minutes=1)
AT_ONCE: Final = 16
"""Queues that are read at the same time."""


class QueueReader(Protocol):
    """The methods of an `Inspector` that are used here."""

    async def queues(self) -> Sequence[str]:
        """Return the names of all queues."""
        ...

    async def queue_info(self, queue: str, *, memory: bool = True) -> QueueInfo:
        """Return the counts of *queue*; without *memory* its memory is not estimated."""
        ...

    async def servers(self) -> Sequence[ServerInfo]:
        """Return the servers that have reported in the last seconds."""
        ...


class QueueCollector:
    """Reads all queues for Prometheus: `read` asks the broker, `collect` returns the answers.

    The series of asynq's ``x/metrics`` have its names and types: ``asynq_tasks_enqueued_total``
    (gauge; queue, state), ``asynq_queue_size``, ``asynq_queue_latency_seconds``,
    ``asynq_queue_memory_usage_approx_bytes``, ``asynq_queue_paused_total`` (gauges; queue),
    ``asynq_tasks_processed_total``, ``asynq_tasks_failed_total`` (counters; queue).

    Differs:
        There are also the state aggregating and ``asynq_queue_groups`` (gauge; queue). If a queue
        cannot be read, only its own series are missing, and its ``asynq_queue_readable`` (gauge;
        queue) is 0. Memory is sampled at intervals, not at every scrape (D60).
        ``pyasynq_wanted_workers`` (gauge; queue) is for autoscalers: the number of workers that run
        what is active and start what is pending within the target wait.
    """

    def __init__(
        self,
        inspector: QueueReader,
        *,
        memory_interval: timedelta = MEMORY_INTERVAL,
        target_wait: timedelta = TARGET_WAIT,
        clock: Clock | None = None,
    ) -> None:
        """Ask *inspector*.

        Args:
            inspector: An `Inspector`; it stays yours to close.
            memory_interval: Time between two estimates of a queue's memory; zero for each read.
            target_wait: How long a task should wait at most for a worker, at least 1 s.
            clock: Tells the time; a test may pass its own.

        Raises:
            OptionError: If *target_wait* is not allowed.
        """
        self._inspector = inspector
        self._wanted = WantedWorkers(check_time("target_wait", target_wait, SECOND))
        self._memory_interval_s = memory_interval.total_seconds()
        self._clock = clock or Clock()
        self._memory: dict[str, tuple[float, int]] = {}
        self._families: Sequence[Metric] = ()

    async def read(self) -> None:
        """Read every queue.

        Raises:
            BrokerError: If the names of the queues, or the servers, cannot be read.
        """
        queues = sorted(await self._inspector.queues())
        limit = asyncio.Semaphore(AT_ONCE)
        infos = await asyncio.gather(*(self._info(queue, limit) for queue in queues))
        readable = {queue: info is not None for queue, info in zip(queues, infos, strict=True)}
        found = [info for info in infos if info is not None]
        self._memory = {queue: self._memory[queue] for queue in queues if queue in self._memory}
        memory = {queue: used for queue, (_, used) in self._memory.items()}
        wanted = self._wanted.of_queues(
            found, await self._inspector.servers(), self._clock.monotonic()
        )
        self._families = [
            *_families(found, memory),
            _gauge("readable", "1 if read", readable),
            _gauge("wanted_workers", "Workers that the queue needs", wanted, prefix="pyasynq"),
        ]

    def collect(self) -> Iterable[Metric]:
        """Return the metrics of the last `read`; prometheus_client calls this."""
        return self._families

    async def _info(self, queue: str, limit: asyncio.Semaphore) -> QueueInfo | None:
        """Return the counts of *queue*; None if it cannot be read."""
        now = self._clock.monotonic()
        sampled = self._memory.get(queue)
        sample = sampled is None or now - sampled[0] >= self._memory_interval_s
        try:
            async with limit:
                info = await self._inspector.queue_info(queue, memory=sample)
        except PyasynqError as error:
            log.warning("queue %r cannot be read: %s", queue, error)
            return None
        if sample:
            self._memory[queue] = (now, info.memory_usage)
        return info


def _families(infos: Sequence[QueueInfo], memory: dict[str, int]) -> Iterator[Metric]:
    yield _tasks(infos)
    yield _gauge("size", "Tasks in all states", {i.queue: i.size for i in infos})
    latency = {i.queue: i.latency.total_seconds() for i in infos}
    yield _gauge("latency_seconds", "How long the next task to run has been pending", latency)
    used = {i.queue: memory[i.queue] for i in infos if i.queue in memory}
    yield _gauge("memory_usage_approx_bytes", "Bytes in the broker, estimated from samples", used)
    yield _gauge("paused_total", "1 if the queue is paused", {i.queue: i.paused for i in infos})
    yield _gauge("groups", "Groups with waiting tasks", {i.queue: i.groups for i in infos})
    processed = {i.queue: i.processed_total for i in infos}
    yield _counter("processed", "Runs that ended, failures included", processed)
    yield _counter("failed", "Runs that failed", {i.queue: i.failed_total for i in infos})


def _tasks(infos: Sequence[QueueInfo]) -> Metric:
    family = GaugeMetricFamily(
        "asynq_tasks_enqueued_total", "Tasks in a state", labels=("queue", "state")
    )
    for info in infos:
        for state in TaskState:
            family.add_metric((info.queue, state.value), getattr(info, state.value))
    return family


def _gauge(
    name: str, text: str, values: Mapping[str, float], *, prefix: str = "asynq_queue"
) -> Metric:
    family = GaugeMetricFamily(f"{prefix}_{name}", text, labels=("queue",))
    for queue, value in values.items():
        family.add_metric((queue,), value)
    return family


def _counter(name: str, text: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(f"asynq_tasks_{name}", text, labels=("queue",))
    for queue, value in values.items():
        family.add_metric((queue,), value)
    return family
