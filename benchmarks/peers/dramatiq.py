"""dramatiq: threads, Redis list."""

import threading

import dramatiq
import dramatiq.worker
from dramatiq.brokers.redis import RedisBroker
from redis import ConnectionPool, Redis

from benchmarks.tally import record_task

PREFETCH = 200
"""Its environment variable ``dramatiq_queue_prefetch``; the default is twice the threads."""


class Dramatiq:
    """One process; a thread for each slot; its default middleware."""

    def __init__(self, redis: str) -> None:
        connections = ConnectionPool.from_url(f"redis://{redis}", max_connections=2_000)
        self._broker = RedisBroker(client=Redis(connection_pool=connections))
        self._handle = dramatiq.actor(actor_name="handle", broker=self._broker)(_handle)

    def enqueue(self, payload: str) -> None:
        self._handle.send(payload)

    def work(self, concurrency: int) -> None:
        dramatiq.worker.QUEUE_PREFETCH = max(PREFETCH, 2 * concurrency)
        dramatiq.Worker(self._broker, worker_threads=concurrency).start()
        threading.Event().wait()


def _handle(payload: str) -> None:
    record_task(payload)


connect = Dramatiq
