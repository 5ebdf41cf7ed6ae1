"""huey: threads, Redis list."""

from huey import RedisHuey
from redis import ConnectionPool

from benchmarks.tally import record_task


class Huey:
    """Results and periodic tasks are off; a thread and a blocking connection for each slot."""

    def __init__(self, redis: str) -> None:
        connections = ConnectionPool.from_url(f"redis://{redis}", max_connections=2_000)
        self._huey = RedisHuey("benchmarks", connection_pool=connections, results=False)
        self._handle = self._huey.task(name="handle")(_handle)

    def enqueue(self, payload: str) -> None:
        self._handle(payload)

    def work(self, concurrency: int) -> None:
        self._huey.create_consumer(workers=concurrency, periodic=False).run()


def _handle(payload: str) -> None:
    record_task(payload)


connect = Huey
