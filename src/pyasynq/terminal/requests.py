"""What is asked before something is done, and how it is done."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from pyasynq.core.info import TaskInfo
from pyasynq.inspector import Inspector
from pyasynq.operations.permissions import Permission
from pyasynq.terminal import texts

T = TypeVar("T")

ABOUT: Final = {
    Permission.TASK_RUN: "A pending task runs as soon as a worker is free.",
    Permission.TASK_ARCHIVE: "An archived task runs no more until somebody runs it.",
    Permission.TASK_DELETE: "A deleted task is gone, with its unique lock: this cannot be undone.",
    Permission.TASK_CANCEL: "Its worker is asked to stop it; a run that was stopped has failed.",
}
"""What happens to tasks."""

ASK: Final = {
    Permission.TASK_RUN: "Run {} now?",
    Permission.TASK_ARCHIVE: "Archive {}?",
    Permission.TASK_DELETE: "Delete {}?",
    Permission.TASK_CANCEL: "Cancel {}?",
}
DONE: Final = {
    Permission.TASK_RUN: "pending now: {}",
    Permission.TASK_ARCHIVE: "archived: {}",
    Permission.TASK_DELETE: "deleted: {}",
    Permission.TASK_CANCEL: "asked to stop: {}",
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
    """

    action: str
    items: Sequence[T]
    call: Callable[[T], Awaitable[object]]
    name: Callable[[T], str]
    question: str
    more: str = ""
    done: str


def for_tasks(inspector: Inspector, verb: str, chosen: Sequence[TaskInfo]) -> Request[TaskInfo]:
    """Return the request to ``run``, ``archive``, ``delete`` or ``cancel`` the *chosen* tasks."""
    action = Permission(f"task.{verb}")
    calls: dict[str, Callable[[TaskInfo], Awaitable[object]]] = {
        "run": lambda task: inspector.run_task(task.queue, task.id),
        "archive": lambda task: inspector.archive_task(task.queue, task.id),
        "delete": lambda task: inspector.delete_task(task.queue, task.id),
        "cancel": lambda task: inspector.cancel(task.id),
    }
    what = texts.tasks(len(chosen))
    if len(chosen) == 1:
        what = f"{chosen[0].type} {chosen[0].id}"
    return Request(
        action=action.value,
        items=chosen,
        call=calls[verb],
        name=lambda task: f"{task.queue}/{task.id}",
        question=ASK[action].replace("{}", what),
        more=ABOUT[action],
        done=DONE[action],
    )
