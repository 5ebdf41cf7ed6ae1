"""How many workers a queue wants, so that an autoscaler can start and stop them."""

import math
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Final, NamedTuple

from pyasynq.core.info import QueueInfo, ServerInfo

TARGET_WAIT: Final = timedelta(seconds=30)
WINDOW_S: Final = 300.0
"""Time over which the mean run time is taken."""

CONCURRENCY: Final = 100
"""Assumed until a worker has shown its own; the default of servers."""


class Reading(NamedTuple):
    """What a queue showed at one instant.

    Attributes:
        at_s: The instant, on a monotonic clock, seconds.
        active: Number of running tasks.
        processed: Number of runs that have ended so far.
    """

    at_s: float
    active: int
    processed: int


class RunTime:
    """The mean run time of a queue's tasks, from what is known of any worker, Go's included.

    By Little's law it is the mean number of running tasks, divided by the rate at which runs end.
    Both are known only from readings, so the result is rough while few tasks run. While tasks wait
    for workers, which is when the result matters, all slots are taken and it is exact.
    """

    def __init__(self) -> None:
        """Begin without readings."""
        self._readings: deque[Reading] = deque()
        self._known_s = 0.0

    def add(self, reading: Reading) -> float:
        """Add *reading*; return the mean run time, seconds; 0 before it is known."""
        readings = self._readings
        if readings and reading.processed < readings[-1].processed:
            readings.clear()  # the queue was deleted and made again
        readings.append(reading)
        while readings[0].at_s < reading.at_s - WINDOW_S:
            readings.popleft()
        ended = reading.processed - readings[0].processed
        if ended:
            self._known_s = task_seconds(readings) / ended
        elif reading.active:  # they run for longer than the readings show
            self._known_s = max(self._known_s, reading.at_s - readings[0].at_s)
        return self._known_s


class WantedWorkers:
    """Computes the number of workers that each queue wants."""

    def __init__(self, target_wait: timedelta) -> None:
        """Want enough workers to start each task that waits within *target_wait*."""
        self._target_s = target_wait.total_seconds()
        self._run_times: dict[str, RunTime] = {}
        self._concurrency: dict[str, float] = {}

    def of_queues(
        self, infos: Sequence[QueueInfo], servers: Sequence[ServerInfo], now_s: float
    ) -> dict[str, int]:
        """Return the number for each of *infos*, read at *now_s* on a monotonic clock."""
        queues = {info.queue for info in infos}
        self._run_times = {q: self._run_times.get(q) or RunTime() for q in queues}
        self._concurrency = {q: self._concurrency_of(q, servers) for q in queues}
        return {info.queue: self._wanted(info, now_s) for info in infos}

    def _concurrency_of(self, queue: str, servers: Sequence[ServerInfo]) -> float:
        """Return the mean concurrency of the workers of *queue*, or what it was last."""
        found = [server.concurrency for server in servers if queue in server.queues]
        if found:
            return max(sum(found) / len(found), 1)
        return self._concurrency.get(queue, CONCURRENCY)

    def _wanted(self, info: QueueInfo, now_s: float) -> int:
        reading = Reading(now_s, info.active, info.processed_total)
        run_time_s = self._run_times[info.queue].add(reading)
        return wanted(
            info, run_time_s, target_s=self._target_s, concurrency=self._concurrency[info.queue]
        )


def wanted(info: QueueInfo, run_time_s: float, *, target_s: float, concurrency: float) -> int:
    """Return the number of workers that a queue wants.

    Args:
        info: The queue.
        run_time_s: Mean run time of its tasks, seconds.
        target_s: Longest time for which a task should wait, seconds.
        concurrency: Tasks that one worker runs at once.
    """
    if info.paused:  # more workers would not help
        return math.ceil(info.active / concurrency)
    slots = info.active + info.pending * run_time_s / target_s
    # Only a worker moves delayed tasks to where they can run.
    waiting = info.pending + info.scheduled + info.retry + info.aggregating
    return max(math.ceil(slots / concurrency), 1 if waiting else 0)


def task_seconds(readings: Iterable[Reading]) -> float:
    """Return the run time of all tasks between the first and the last of *readings*, seconds."""
    return sum((a.active + b.active) / 2 * (b.at_s - a.at_s) for a, b in pairwise(readings))
