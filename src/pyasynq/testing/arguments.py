"""The arguments of the kit's methods."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

from pyasynq.app import TypedTask
from pyasynq.core.errors import OptionError, as_timedelta
from pyasynq.core.options import MAX_RETRY
from pyasynq.core.task import Task, check_task


def build_call(
    task: "TypedTask[..., Any] | Task", args: tuple[object, ...], kwargs: Mapping[str, object]
) -> tuple[Task, int]:
    """Return the task of a call, and the retries that it has spent.

    Raises:
        OptionError: If *task* is neither a typed task nor a `Task`, or *retried* is no number.
        PayloadError: If an argument is not of its type.
        TypeError: If they are not the arguments of the task.
    """
    given = dict(kwargs)
    retried: object = 0
    if not isinstance(task, TypedTask) or "retried" not in task.parameters:
        retried = given.pop("retried", 0)
    if not isinstance(retried, int) or not 0 <= retried <= MAX_RETRY:
        raise OptionError("retried", retried, f"a whole number from 0 to {MAX_RETRY}")
    if isinstance(task, TypedTask):
        return task.task(*args, **given), retried
    check_task(task)
    if args or given:
        msg = f"{task!r} has its payload already: perform takes no more arguments for it"
        raise TypeError(msg)
    return task, retried


def span_of(by: timedelta | None, span: Mapping[str, float]) -> timedelta:
    """Return the time that `advance` was called with.

    Raises:
        OptionError: If *by* is not a timedelta, or *span* is given, too.
        TypeError: If *span* is not what a timedelta takes.
    """
    if by is None:
        return timedelta(**span)
    if not isinstance(by, timedelta) or span:  # pyright: ignore[reportUnnecessaryIsInstance]
        allowed = "left out when a unit is given" if span else as_timedelta(by)
        raise OptionError("by", cast("object", by), allowed)
    return by
