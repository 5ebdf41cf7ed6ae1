"""What is asked before something is done, and how it is done."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Generic, TypeVar

from pyasynq.core.info import TaskInfo
from pyasynq.operations import details
from pyasynq.operations.permissions import Permission
from pyasynq.operations.services import Services
from pyasynq.terminal import texts

T = TypeVar("T")

ABOUT: Final = {
    Permission.TASK_RUN: "A pending task runs as soon as a worker is free.",
    Permission.TASK_ARCHIVE: "An archived task runs no more until somebody runs it.",
    Permission.TASK_DELETE: "A deleted task is gone, with its unique lock: this cannot be undone.",
    Permission.TASK_CANCEL: "Its worker is asked to stop it; a run that was stopped has failed.",
    Permission.TASK_DUPLICATE: "A copy is enqueued, to run at once; the original stays.",
}
"""What happens to tasks."""

ASK: Final = {
    Permission.TASK_RUN: "Run {} now?",
    Permission.TASK_ARCHIVE: "Archive {}?",
    Permission.TASK_DELETE: "Delete {}?",
    Permission.TASK_CANCEL: "Cancel {}?",
    Permission.TASK_RESCHEDULE: "Reschedule {}?",
    Permission.TASK_DUPLICATE: "Duplicate {}?",
    Permission.TASK_UPDATE: "Change the payload of {}?",
}
DONE: Final = {
    Permission.TASK_RUN: "pending now: {}",
    Permission.TASK_ARCHIVE: "archived: {}",
    Permission.TASK_DELETE: "deleted: {}",
    Permission.TASK_CANCEL: "asked to stop: {}",
    Permission.TASK_RESCHEDULE: "rescheduled: {}",
    Permission.TASK_DUPLICATE: "duplicated: {}",
    Permission.TASK_UPDATE: "changed: {}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(Generic[T]):
    """Something that is done if the answer to a question is yes.

    Attributes:
        action: Its name in the audit.
        items: What it is done to.
        call: Does it to one of them.
        name: Names one of them.
        question: The question.
        more: More about what happens.
        done: What is said afterwards; ``{}`` stands for what was changed.
        detail: More about it, for the audit.
    """

    action: str
    items: Sequence[T]
    call: Callable[[T], Awaitable[object]]
    name: Callable[[T], str]
    question: str
    more: str = ""
    done: str
    detail: str = ""


def for_tasks(services: Services, verb: str, chosen: Sequence[TaskInfo]) -> Request[TaskInfo]:
    """Return the request to do *verb* to the *chosen* tasks.

    It is ``run``, ``archive``, ``delete``, ``cancel`` or ``duplicate``.
    """
    inspector, client = services.inspector, services.client
    calls: dict[str, Callable[[TaskInfo], Awaitable[object]]] = {
        "run": lambda task: inspector.run_task(task.queue, task.id),
        "archive": lambda task: inspector.archive_task(task.queue, task.id),
        "delete": lambda task: inspector.delete_task(task.queue, task.id),
        "cancel": lambda task: inspector.cancel(task.id),
        "duplicate": lambda task: details.duplicate(inspector, client, task.queue, task.id),
    }
    action = Permission(f"task.{verb}")
    return _for_tasks(action, calls[verb], chosen, ABOUT[action])


def to_reschedule(
    services: Services, chosen: Sequence[TaskInfo], at: datetime
) -> Request[TaskInfo]:
    """Return the request to make the *chosen* tasks due *at* another time."""
    inspector = services.inspector
    return _for_tasks(
        Permission.TASK_RESCHEDULE,
        lambda task: inspector.reschedule(task.queue, task.id, at),
        chosen,
        about_time(at),
    )


def to_update(services: Services, task: TaskInfo, payload: bytes, more: str) -> Request[TaskInfo]:
    """Return the request to give *task* another *payload*, with *more* about what that means."""
    inspector = services.inspector
    return _for_tasks(
        Permission.TASK_UPDATE,
        lambda task: inspector.update_task(task.queue, task.id, payload=payload),
        [task],
        more,
        detail="payload",
    )


def about_time(at: datetime) -> str:
    """Say when tasks that are rescheduled will be due."""
    when = f"{texts.instant(at)}, {texts.ago(at, datetime.now(UTC))}"
    return f"A scheduled task, or one in retry, becomes due at {when}."


def _for_tasks(
    action: Permission,
    call: Callable[[TaskInfo], Awaitable[object]],
    chosen: Sequence[TaskInfo],
    more: str,
    *,
    detail: str = "",
) -> Request[TaskInfo]:
    what = texts.tasks(len(chosen))
    if len(chosen) == 1:
        what = f"{chosen[0].type} {chosen[0].id}"
    return Request(
        action=action.value,
        items=chosen,
        call=call,
        name=lambda task: f"{task.queue}/{task.id}",
        question=ASK[action].replace("{}", what),
        more=more,
        done=DONE[action],
        detail=detail,
    )
