"""Print tasks."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeAlias

from pyasynq.cli import output
from pyasynq.cli.options import TaskPlace

if TYPE_CHECKING:
    from pyasynq.core.attempts import Attempt
    from pyasynq.core.info import TaskInfo
    from pyasynq.inspector import ErrorGroup

Cell: TypeAlias = "Callable[[TaskInfo, datetime], object]"

_CELLS: Final[dict[str, Cell]] = {
    "ID": lambda task, _: task.id,
    "Type": lambda task, _: task.type,
    "Payload": lambda task, _: _content(task, task.payload),
    "Process In": lambda task, now: output.format_until(task.next_process_at, now),
    "Next Retry": lambda task, now: output.format_until(task.next_process_at, now),
    "Last Error": lambda task, _: task.last_error or "",
    "Last Failed": lambda task, now: output.format_ago(task.last_failed_at, now),
    "Retried": lambda task, _: task.retried,
    "Max Retry": lambda task, _: task.max_retry,
    "CompletedAt": lambda task, now: output.format_ago(task.completed_at, now),
    "Result": lambda task, _: _content(task, task.result),
    "Group": lambda task, _: task.group or "",
}
_ALWAYS: Final = ("ID", "Type", "Payload")
_COLUMNS: Final[dict[str, Sequence[str]]] = {
    "active": (),
    "pending": (),
    "scheduled": ("Process In",),
    "retry": ("Next Retry", "Last Error", "Last Failed", "Retried", "Max Retry"),
    "archived": ("Last Failed", "Last Error"),
    "completed": ("CompletedAt", "Result"),
    "aggregating": ("Group",),
}


def print_tasks(tasks: "Sequence[TaskInfo]", where: TaskPlace, *, as_json: bool) -> None:
    """Print the tasks at one place."""
    headings = (*_ALWAYS, *_COLUMNS[where.state])
    now = datetime.now(UTC)
    output.print_json_or_table(
        tasks,
        headings,
        [[_CELLS[name](it, now) for name in headings] for it in tasks],
        empty=f'No {where.state} tasks in "{where.queue}" queue',
        as_json=as_json,
    )


def print_json(tasks: "list[TaskInfo]", *, several: bool) -> None:
    """Print a list if the command named *several* tasks, otherwise the task, if it was found."""
    if several:
        output.print_json(tasks)
    elif tasks:
        output.print_json(tasks[0])


def print_errors(groups: "Sequence[ErrorGroup]", queue: str, *, as_json: bool) -> None:
    """Print the kinds of failures of a queue."""
    now = datetime.now(UTC)
    output.print_json_or_table(
        groups,
        ("Count", "Type", "Error", "Last Failed", "Example"),
        [
            [it.count, it.type, it.error, output.format_ago(it.last_failed_at, now), it.task_id]
            for it in groups
        ],
        empty=f'No failed tasks in "{queue}" queue',
        as_json=as_json,
    )


def print_task(task: "TaskInfo") -> None:
    """Print all facts about a task."""
    facts = {
        "ID": task.id,
        "Type": task.type,
        "State": task.state.value,
        "Payload": _content(task, task.payload),
        "Headers": ", ".join(f"{key}={value}" for key, value in task.headers.items()),
        "Group": task.group,
        "Retried": f"{task.retried}/{task.max_retry}",
        "Next process time": _format_next(task),
        "Timeout": task.timeout and output.format_span(task.timeout),
        "Deadline": task.deadline and output.format_instant(task.deadline),
        "Completed at": task.completed_at and output.format_instant(task.completed_at),
        "Result": task.result and _content(task, task.result),
    }
    for name, fact in facts.items():
        if fact:
            output.print_data(f"{name}: {fact}")
    if task.last_error:
        output.print_data("\nLast Failure")
        output.print_data(f"Failed at: {output.format_instant(task.last_failed_at)}")
        output.print_data(f"Error message: {task.last_error}")
    for attempt in task.attempts:
        _print_attempt(attempt)


def _print_attempt(attempt: "Attempt") -> None:
    """Print a failed try, with its traceback below."""
    at = output.format_instant(attempt.failed_at)
    where = f" on {attempt.worker}" if attempt.worker else ""
    output.print_data(f"\nTry {attempt.retried + 1} failed at {at}{where}: {attempt.error}")
    if attempt.traceback:
        output.print_data(attempt.traceback.rstrip())


def _content(task: "TaskInfo", content: bytes | None) -> str:
    """Return a payload or result as text, or which codecs sealed it if they are not available."""
    return f"sealed by {task.sealed}" if task.sealed and content else output.format_payload(content)


def _format_next(task: "TaskInfo") -> str:
    at, now = task.next_process_at, datetime.now(UTC)
    if at is None:
        return "n/a"
    if at <= now:
        return "now"
    return f"{output.format_instant(at)} ({output.format_until(at, now)})"
