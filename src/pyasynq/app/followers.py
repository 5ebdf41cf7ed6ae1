"""Typed tasks that follow other tasks."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final, cast

from pyasynq.app.typed_task import OutcomeTask, TypedTask
from pyasynq.core.control import PayloadError
from pyasynq.core.options import DEFAULT_QUEUE
from pyasynq.core.outcome import Ending, Outcome
from pyasynq.core.task import Task

_SAMPLE: Final = Outcome(
    id="1",
    queue=DEFAULT_QUEUE,
    type="type",
    payload=b"",
    outcome="archived",
    ended_at=datetime(2001, 9, 9, tzinfo=UTC),
)

FAILURES: Final[tuple[Ending, ...]] = ("archived", "expired")
"""The outcomes after which ``on_failure`` follows."""


def maker_of(task: OutcomeTask) -> Callable[[Outcome], Task]:
    """Return what makes *task* for an outcome.

    Raises:
        TypeError: If *task* is not a typed task that takes an `Outcome`.
    """
    if not isinstance(task, TypedTask):
        msg = f"only a typed task can follow another one, got {task!r}"
        raise TypeError(msg)
    follower = cast("TypedTask[[Outcome], object]", task)
    try:
        follower.task(_SAMPLE)
    except (TypeError, PayloadError) as error:
        msg = f"{task!r} must take one argument, a pyasynq.Outcome, to follow another one: {error}"
        raise TypeError(msg) from error
    return follower.task


def makers_of(
    on_success: OutcomeTask | None, on_failure: OutcomeTask | None
) -> Iterator[tuple[Ending, Callable[[Outcome], Task]]]:
    """Yield the outcomes after which these tasks follow, each with what makes the task.

    Raises:
        TypeError: If one is not a typed task that takes an `Outcome`.
    """
    if on_success is not None:
        yield "succeeded", maker_of(on_success)
    if on_failure is not None:
        make = maker_of(on_failure)
        for outcome in FAILURES:
            yield outcome, make
