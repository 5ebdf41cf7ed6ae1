"""rq: one task at a time, Redis list; here without a fork for each task."""

from collections.abc import Sequence

from redis import Redis
from rq import Queue, SimpleWorker

from benchmarks.tally import record_task

NOT_KEPT = 0


class Rq:
    """Results are off; uses the worker that does not fork, the fastest one."""

    def __init__(self, redis: str) -> None:
        self._redis = Redis.from_url(f"redis://{redis}")
        self._queue = Queue(connection=self._redis)

    def enqueue(self, payload: str) -> None:
        self._queue.enqueue(handle, payload, result_ttl=NOT_KEPT)

    def enqueue_many(self, payloads: Sequence[str]) -> None:
        self._queue.enqueue_many(
            [Queue.prepare_data(handle, (payload,), result_ttl=NOT_KEPT) for payload in payloads]
        )

    def work(self, _: int) -> None:
        worker = SimpleWorker([self._queue], connection=self._redis)
        worker.work(logging_level="WARNING")


def handle(payload: str) -> None:
    """Record the task. The name is public, because rq finds handlers by module and name."""
    record_task(payload)


connect = Rq
