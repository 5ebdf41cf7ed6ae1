"""Batches of an app's tasks."""

from collections.abc import Coroutine, Iterable
from datetime import timedelta
from typing import Any

from pyasynq.app.clients import Clients
from pyasynq.core.batch import KEEP, Batch, BatchInfo
from pyasynq.core.task import Task
from pyasynq.runtime.calls import Call, mark_as_async


class AppBatch(Batch):
    """A batch that the client of an app enqueues."""

    def __init__(
        self,
        clients: Clients,
        tasks: Iterable[Task],
        *,
        then: Task | None = None,
        failed: Task | None = None,
        keep: timedelta = KEEP,
    ) -> None:
        """Describe a batch; *clients* enqueue it. See `Batch`."""
        super().__init__(tasks, then=then, failed=failed, keep=keep)
        self._clients = clients

    @mark_as_async
    def enqueue(self) -> Coroutine[Any, Any, BatchInfo]:
        """Enqueue all its tasks, or none; await it. See `Client.enqueue_batch`."""
        return Call(self._enqueue(), "enqueue", "a batch")

    async def _enqueue(self) -> BatchInfo:
        return await self._clients.current().enqueue_batch(self)

    def enqueue_sync(self) -> BatchInfo:
        """Enqueue it from code without ``await``; see `TypedTask.enqueue_sync`."""
        return self._clients.enqueue_batch_sync(self)


class BatchMethods:
    """The part of an app that makes batches.

    Attributes:
        clients: The open clients.
    """

    clients: Clients

    def batch(
        self,
        tasks: Iterable[Task],
        *,
        then: Task | None = None,
        failed: Task | None = None,
        keep: timedelta = KEEP,
    ) -> AppBatch:
        """Return a batch, for `AppBatch.enqueue`; see `Batch`.

        Args:
            tasks: Its members: any number of tasks for one queue, also from a generator.
            then: Follows if no member has failed.
            failed: Follows if at least one has failed.
            keep: How long it can be read once it has ended.

        Raises:
            OptionError: If one of them is not allowed.
        """
        return AppBatch(self.clients, tasks, then=then, failed=failed, keep=keep)
