"""celery: ``-P threads``, Redis list through kombu."""

from celery import Celery

from benchmarks.tally import record_task

PREFETCH_FOR_SHORT_TASKS = 64
"""The recommendation of its guide for many short tasks; the default is 4."""


class _Celery:
    """Results, events, gossip, mingle and heartbeat are off."""

    def __init__(self, redis: str) -> None:
        self._app = Celery("benchmarks", broker=f"redis://{redis}")
        self._app.conf.update(
            task_ignore_result=True,
            worker_prefetch_multiplier=PREFETCH_FOR_SHORT_TASKS,
            broker_pool_limit=100,
            broker_connection_retry_on_startup=True,
            worker_redirect_stdouts=False,
        )
        self._handle = self._app.task(name="handle")(_handle)

    def enqueue(self, payload: str) -> None:
        self._handle.delay(payload)

    def work(self, concurrency: int) -> None:
        self._app.worker_main(
            [
                "--quiet",
                "worker",
                "--pool=threads",
                f"--concurrency={concurrency}",
                "--without-gossip",
                "--without-mingle",
                "--without-heartbeat",
                "--loglevel=ERROR",
            ]
        )


def _handle(payload: str) -> None:
    record_task(payload)


connect = _Celery
