"""Tasks of Django's own API."""

import asyncio
import time
from datetime import timedelta
from typing import Any

import pyasynq
from pyasynq.integrations.django.task_api import DjangoTask, TaskContext, task_backends
from tests.integrations.django.site.orders.models import Order


def task(**options: Any) -> Any:  # noqa: ANN401 - the decorator of either version
    """Return Django's decorator: that of Django 6, or of the package django-tasks."""

    def declare(function: Any) -> "DjangoTask[..., Any]":  # noqa: ANN401 - any function
        backend = options.get("backend", "default")
        given: dict[str, Any] = {"func": function, "backend": backend, **options}
        return task_backends[backend].task_class(**given)

    return declare


@task()
def add(a: int, b: int = 0) -> int:
    """Return the sum."""
    return a + b


@task(queue_name="mails")
async def aadd(a: int, b: int = 0) -> int:
    """Return the sum, in the event loop."""
    await asyncio.sleep(0)
    return a + b


@task()
def fail(text: str) -> None:
    """Fail."""
    raise ValueError(text)


@task(backend="retrying")
def fail_at_first(text: str) -> int:
    """Fail in the first two runs."""
    if pyasynq.current_task().retried == 0:
        raise KeyError(text)
    if pyasynq.current_task().retried == 1:
        raise pyasynq.RetryIn(timedelta(seconds=1), text)
    return pyasynq.current_task().retried


@task(backend="slow")
async def hang() -> None:
    """Hang until it is cancelled."""
    await asyncio.sleep(3600)


@task()
def return_what_is_no_json() -> object:
    """Return what no result can hold."""
    return object()


@task(takes_context=True)
def tell(context: TaskContext, word: str) -> list[object]:
    """Return what the context says."""
    result = context.task_result
    return [word, result.id, context.attempt, str(result.status), result.backend]


@task(backend="outbox")
def confirm_from_outbox(order: int) -> None:
    """Confirm an order."""
    Order.objects.filter(pk=order).update(confirmed=True)


@task()
def block(seconds: float) -> None:
    """Block a thread."""
    time.sleep(seconds)
