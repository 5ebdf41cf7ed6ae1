"""Which tasks of an app a worker does not run, for the log of the worker's start."""

from collections.abc import Set
from typing import Final

from pyasynq.core.options import DEFAULT_QUEUE, Options
from pyasynq.core.queue_weights import match_queues
from pyasynq.runtime.loggers import get_logger

log: Final = get_logger("pyasynq.server")


class Coverage:
    """The queues and groups into which the declared tasks of an app go."""

    def __init__(self) -> None:
        """Begin without tasks."""
        self._queues: dict[str, set[str]] = {}
        self._grouped: set[str] = set()

    def add(self, type: str, options: Options) -> None:
        """Add the task *type* with its default *options*."""
        self.add_queue(options.queue or DEFAULT_QUEUE, type)
        if options.group:
            self._grouped.add(type)

    def add_queue(self, queue: str, type: str) -> None:
        """Note that tasks of *type* also go into *queue*."""
        self._queues.setdefault(queue, set()).add(type)

    def log_gaps(self, served: Set[str], *, combines: bool) -> None:
        """Log which tasks need another worker.

        Args:
            served: The queues, or patterns, of the worker and of the app.
            combines: Whether the worker combines groups.
        """
        for queue in self._queues.keys() - match_queues(dict.fromkeys(served, 1), self._queues):
            log.warning(
                "tasks of %s go to the queue %r, which neither the app nor this worker listens to",
                ", ".join(sorted(self._queues[queue])),
                queue,
            )
        if self._grouped and not combines:
            types = ", ".join(sorted(self._grouped))
            log.warning("tasks of %s wait in groups for a worker with an aggregator", types)
