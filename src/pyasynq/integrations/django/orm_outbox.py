"""Write tasks into the database with Django's ORM, in the transaction of the data."""

import functools
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final, Unpack

from asgiref.sync import async_to_sync
from django.db import router, transaction
from django.utils import timezone

from pyasynq.client.writer import OutboxOptions, TaskWriter
from pyasynq.core.info import TaskInfo
from pyasynq.core.options import EnqueueOptions, Options
from pyasynq.core.task import Task
from pyasynq.integrations.django.orm_listener import notify
from pyasynq.integrations.django.project import project_app
from pyasynq.outbox.rows import values_of


class Outbox:
    """The table of tasks that `manage.py pyasynq_relay` moves to their queues.

    It is that of `pyasynq.outbox.Outbox`, and made by this application's migration. Middleware and
    codecs are those of the project's app.
    """

    def __init__(self) -> None:
        """Begin without relays in this process."""
        self._wakers: set[Callable[[], None]] = set()

    def add(
        self, task: Task, *, using: str | None = None, **options: Unpack[EnqueueOptions]
    ) -> str:
        """Write *task* in the current transaction; return its task id.

        The relay enqueues it after the commit; *process_in* counts from now. If the queue has a
        task with this *task_id* by then, or the unique lock is held, the task is dropped.

        Args:
            task: The task.
            using: Alias of the database; None for that to which Django writes this table.
            **options: See `EnqueueOptions`.

        Raises:
            OptionError: If an option or the payload is not allowed, or *task* is not a Task;
                nothing was written.
            CodecError: If a codec cannot seal the payload; nothing was written.
            MiddlewareError: If a middleware waits for something, which is not possible here. If it
                waits after the task was written, roll back to remove the task.
            Exception: Any error of a middleware.
            DatabaseError: If the database refused the row.
        """
        write = functools.partial(self._write, using)
        return self._writer.pass_on_at_once(task, options, write)

    def flush(self, *, using: str | None = None) -> None:
        """Move the rows to their queues now, in this thread; for tests and scripts.

        In a ``TestCase``, these are the rows that its transaction has written.

        Raises:
            BrokerError: If a queue could not be reached; the rows of other queues were moved.
            DatabaseError: If the database could not be reached.
        """
        from pyasynq.integrations.django.orm_relay import OrmRelay

        async def move() -> None:
            async with project_app().new_client() as client:
                await OrmRelay(self, alias_of(using), client, own_thread=False).step()

        async_to_sync(move)()

    @contextmanager
    def waking(self, wake: Callable[[], None]) -> Generator[None]:
        """While the block runs, call *wake* after each commit in this process, in its thread."""
        self._wakers.add(wake)
        try:
            yield
        finally:
            self._wakers.discard(wake)

    @functools.cached_property
    def _writer(self) -> TaskWriter:
        options = project_app().server_options()
        given: OutboxOptions = {
            "middleware": options.get("client_middleware", ()),
            "codecs": options.get("codecs", ()),
        }
        return TaskWriter(given)

    def _write(self, using: str | None, task: Task, options: Options) -> TaskInfo:
        from pyasynq.integrations.django.models import OutboxTask

        row_id = str(uuid.uuid4())
        composed = self._writer.composer.compose(
            task, options, now=self._writer.clock.now(), task_id=row_id
        )
        values = values_of(composed.plan, row_id=row_id, now=timezone.now())
        values["row_id"] = values.pop("id")
        alias = alias_of(using)
        OutboxTask.objects.using(alias).create(**values)
        notify(alias)
        transaction.on_commit(self._wake, using=alias, robust=True)
        return composed.info()

    def _wake(self) -> None:
        for wake in tuple(self._wakers):
            wake()


def alias_of(using: str | None) -> str:
    """Return the alias of the database that has the outbox, if *using* names none."""
    from pyasynq.integrations.django.models import OutboxTask

    return using or router.db_for_write(OutboxTask)


outbox: Final = Outbox()
