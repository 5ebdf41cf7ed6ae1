"""Enqueue tasks once the transaction that they belong to is committed."""

import functools
from typing import Unpack

from django.db import transaction

from pyasynq.client.ids import new_ids
from pyasynq.core.options import EnqueueOptions, check_all, merge
from pyasynq.core.task import Task, check_task
from pyasynq.integrations.django.project import project_app


def enqueue(task: Task, *, using: str | None = None, **options: Unpack[EnqueueOptions]) -> str:
    """Enqueue *task* after the commit of the current transaction; return the id that it gets.

    Without a transaction it is enqueued at once. After a rollback, also of a savepoint around the
    call, it is not. *process_in* counts from the commit. If the program dies, or the broker is
    away, between the commit and the enqueueing, the task is lost: see `Outbox.add`. In async code
    use ``await sync_to_async(enqueue)(task)``.

    Args:
        task: The task.
        using: Alias of the database; None for the default one.
        **options: See `EnqueueOptions`.

    Raises:
        OptionError: If an option is not allowed, or *task* is not a Task.
        PyasynqError: Those of `Client.enqueue`, from here if there is no transaction, or else from
            the end of the transaction, which is committed then.
    """
    check_task(task)
    (new_id,) = new_ids(1)
    task_id = merge(task.options, check_all(options)).task_id or new_id
    options["task_id"] = task_id
    transaction.on_commit(functools.partial(_enqueue_now, task, options), using=using)
    return task_id


def _enqueue_now(task: Task, options: EnqueueOptions) -> None:
    project_app().sync_client.enqueue(task, **options)
