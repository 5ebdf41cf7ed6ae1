"""taskito: threads, a scheduler in Rust, SQLite; it syncs at checkpoints only."""

import contextlib
import os
import sys
from collections.abc import Sequence

from taskito import Queue

from benchmarks.tally import record_task

POLL_INTERVAL_MS = 10


class Taskito:
    """It takes as many tasks at once as it has threads (the default is one); log lines are off."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._open(concurrency=1)

    def _open(self, concurrency: int) -> None:
        self._queue = Queue(
            self._file,
            workers=concurrency,
            scheduler_batch_size=concurrency,
            scheduler_poll_interval_ms=POLL_INTERVAL_MS,
            push_dispatch=True,
        )
        self._handle = self._queue.task(name="handle")(_handle)

    def enqueue(self, payload: str) -> None:
        self._handle.delay(payload)

    def enqueue_many(self, payloads: Sequence[str]) -> None:
        self._queue.enqueue_many("handle", [(payload,) for payload in payloads])

    def work(self, concurrency: int) -> None:
        os.environ["TASKITO_LOG_LEVEL"] = "WARNING"
        self._open(concurrency)
        with contextlib.redirect_stdout(sys.stderr):  # our stdout is for answers alone
            self._queue.run_worker()


def _handle(payload: str) -> None:
    record_task(payload)


connect = Taskito
