"""huey: threads, Redis list."""

from huey import Huey, RedisHuey
from redis import ConnectionPool

from benchmarks.tally import record_task


class HueyPeer:
    """Periodic tasks are off; a thread for each slot."""

    def __init__(self, huey: Huey) -> None:
        self._huey = huey
        self._handle = self._huey.task(name="handle")(_handle)

    def enqueue(self, payload: str) -> None:
        self._handle(payload)

    def work(self, concurrency: int) -> None:
        self._huey.create_consumer(workers=concurrency, periodic=False).run()


def _handle(payload: str) -> None:
    record_task(payload)


def connect(redis: str) -> HueyPeer:
    """Return huey on a Redis: no results, a blocking connection for each slot."""
    connections = ConnectionPool.from_url(f"redis://{redis}", max_connections=2_000)
    return HueyPeer(RedisHuey("benchmarks", connection_pool=connections, results=False))
