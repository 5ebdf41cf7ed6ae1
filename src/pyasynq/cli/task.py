"""``pyasynq task``: look at tasks, move, change and enqueue them."""

import argparse
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pyasynq.cli import enqueue, output
from pyasynq.cli.asking import confirm
from pyasynq.cli.exits import Exit, ExitError
from pyasynq.cli.parsing import Noun
from pyasynq.cli.running import each, inspect
from pyasynq.cli.values import data, duration, headers, instant, whole
from pyasynq.core.errors import QueueNotFoundError, TaskNotFoundError
from pyasynq.core.states import ALLOWED_STATES, Action, TaskState

if TYPE_CHECKING:
    from pyasynq.core.info import TaskInfo
    from pyasynq.inspector import Criteria, Inspector, TaskChanges

Cell: TypeAlias = "Callable[[TaskInfo, datetime], object]"

RUNNABLE, ARCHIVABLE, DELETABLE = (
    tuple(state.value for state in TaskState if state in ALLOWED_STATES[order])
    for order in (Action.RUN, Action.ARCHIVE, Action.DELETE)
)

_CELLS: Final[dict[str, Cell]] = {
    "ID": lambda task, _: task.id,
    "Type": lambda task, _: task.type,
    "Payload": lambda task, _: _content(task, task.payload),
    "Process In": lambda task, now: output.until(task.next_process_at, now),
    "Next Retry": lambda task, now: output.until(task.next_process_at, now),
    "Last Error": lambda task, _: task.last_error or "",
    "Last Failed": lambda task, now: output.ago(task.last_failed_at, now),
    "Retried": lambda task, _: task.retried,
    "Max Retry": lambda task, _: task.max_retry,
    "CompletedAt": lambda task, now: output.ago(task.completed_at, now),
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


def add_to(commands: Any, _environ: Mapping[str, str]) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Add the noun to the command line."""
    noun = Noun(commands, "task", "look at tasks, move, change and enqueue them")
    noun.verb("list", show, aliases=["ls"], help="list tasks in a state").state().page()
    find = noun.verb("find", search, help="list tasks in a state that look like this").state()
    find.value("-t", "--type", help="their type")
    find.value("--payload", help="text within their payload")
    find.value("--error", help="text within their last error")
    find.value("--limit", type=whole, default=30, help="how many at most")
    noun.verb("inspect", look, help="show tasks").tasks()
    noun.verb("cancel", cancel, help="stop running tasks").words("ids", help="their ids")
    _add_moves(noun)
    _add_changes(noun)
    enqueue.add_to(noun)


def _add_moves(noun: Noun) -> None:
    noun.verb("run", run, help="make tasks pending").tasks()
    noun.verb("archive", archive, help="archive tasks").tasks()
    noun.verb("delete", delete, aliases=["remove", "rm"], help="delete tasks").tasks().asks()
    noun.verb("runall", run_all, help="make all tasks in a state pending").state(RUNNABLE)
    noun.verb("archiveall", archive_all, help="archive all tasks in a state").state(ARCHIVABLE)
    noun.verb("deleteall", delete_all, help="delete all tasks in a state").state(DELETABLE).asks()


def _add_changes(noun: Noun) -> None:
    update = noun.verb("update", change, help="change a scheduled, retry or archived task").task()
    update.value("-l", "--payload", help="its data")
    update.value("-H", "--header", action="append", help="key=value; replaces all; repeatable")
    update.value("--retry", type=whole, help="retries after the first failure")
    update.value("--timeout", type=duration, help="longest run: 30s")
    update.value("--deadline", type=instant, help="when it must have run: 2030-01-31T12:00:00Z")
    update.value("--retention", type=duration, help="time it is kept after success: 24h")
    later = noun.verb("reschedule", move, help="run a scheduled or retry task at another time")
    later.task()
    later.value("--process-at", "--process_at", type=instant, help="when: 2030-01-31T12:00:00Z")
    later.value("--process-in", "--process_in", type=duration, help="from now: 5m")


# -- look ------------------------------------------------------------------------------------------


def show(words: argparse.Namespace) -> int:
    """List the tasks in a state."""

    async def job(inspector: "Inspector") -> None:
        tasks = await inspector.list_tasks(
            words.queue, words.state, page=words.page, size=words.size, group=words.group
        )
        _show(words, tasks)

    return inspect(words, job)


def search(words: argparse.Namespace) -> int:
    """List the tasks in a state that meet all criteria."""
    criteria: Criteria = {}
    if words.type is not None:
        criteria["type"] = words.type
    if words.payload is not None:
        criteria["payload"] = data(words.payload)
    if words.error is not None:
        criteria["error"] = words.error

    async def job(inspector: "Inspector") -> None:
        tasks = await inspector.find_tasks(
            words.queue, words.state, group=words.group, limit=words.limit, **criteria
        )
        _show(words, tasks)

    return inspect(words, job)


def _show(words: argparse.Namespace, tasks: "Sequence[TaskInfo]") -> None:
    if output.is_json(words):
        output.json(tasks)
        return
    if not tasks:
        output.message(f'No {words.state} tasks in "{words.queue}" queue')
        return
    headings = (*_ALWAYS, *_COLUMNS[words.state])
    now = datetime.now(UTC)
    output.table(headings, [[_CELLS[name](task, now) for name in headings] for task in tasks])


def look(words: argparse.Namespace) -> int:
    """Show tasks."""

    async def job(inspector: "Inspector") -> int:
        tasks: list[TaskInfo] = []

        async def read(task_id: str) -> None:
            tasks.append(await inspector.task_info(words.queue, task_id))

        code = await each(words.ids, read)
        if output.is_json(words):
            _print_json(words, tasks)
            return code
        for n, task in enumerate(tasks):
            output.data("\n" * bool(n) + f"Queue: {task.queue}")
            _show_one(task)
        return code

    return inspect(words, job)


def _print_json(words: argparse.Namespace, tasks: "list[TaskInfo]") -> None:
    """Print a list, if several tasks were asked for; else the task, if there is one."""
    if len(words.ids) > 1:
        output.json(tasks)
    elif tasks:
        output.json(tasks[0])


def _show_one(task: "TaskInfo") -> None:
    facts = {
        "ID": task.id,
        "Type": task.type,
        "State": task.state.value,
        "Payload": _content(task, task.payload),
        "Headers": ", ".join(f"{key}={value}" for key, value in task.headers.items()),
        "Group": task.group,
        "Retried": f"{task.retried}/{task.max_retry}",
        "Next process time": _next(task),
        "Timeout": task.timeout and output.span(task.timeout),
        "Deadline": task.deadline and output.instant(task.deadline),
        "Completed at": task.completed_at and output.instant(task.completed_at),
        "Result": task.result and _content(task, task.result),
    }
    for name, fact in facts.items():
        if fact:
            output.data(f"{name}: {fact}")
    if task.last_error:
        output.data("\nLast Failure")
        output.data(f"Failed at: {output.instant(task.last_failed_at)}")
        output.data(f"Error message: {task.last_error}")


def _content(task: "TaskInfo", content: bytes | None) -> str:
    """Return a payload or a result, or by which codecs it is sealed: this command has none."""
    return f"sealed by {task.sealed}" if task.sealed and content else output.payload(content)


def _next(task: "TaskInfo") -> str:
    now = datetime.now(UTC)
    if task.next_process_at is None:
        return "n/a"
    if task.next_process_at <= now:
        return "now"
    return f"{output.instant(task.next_process_at)} ({output.until(task.next_process_at, now)})"


# -- move ------------------------------------------------------------------------------------------


def cancel(words: argparse.Namespace) -> int:
    """Stop running tasks."""

    async def job(inspector: "Inspector") -> int:
        codes = [await _cancel(inspector, task_id) for task_id in words.ids]
        return next(filter(None, codes), Exit.OK)

    return inspect(words, job)


async def _cancel(inspector: "Inspector", task_id: str) -> Exit:
    """Stop a task if it is running; tell what was done."""
    state = await _state(inspector, task_id)
    if state == TaskState.ACTIVE:
        await inspector.cancel(task_id)
        output.message(f"Sent cancelation signal for task {task_id}")
        return Exit.OK
    if state is None:
        output.message(f"pyasynq: task {task_id} is not running: no queue has it")
        return Exit.NOT_FOUND
    output.message(f"pyasynq: task {task_id} is not running: it is {state}")
    return Exit.CONFLICT


async def _state(inspector: "Inspector", task_id: str) -> TaskState | None:
    """Return the state of a task whose queue is not known; active if any server runs it."""
    for server in await inspector.servers():  # also one that has lost the task and runs on
        if any(worker.task_id == task_id for worker in server.active_workers):
            return TaskState.ACTIVE
    states: set[TaskState] = set()
    for queue in await inspector.queues():
        with suppress(TaskNotFoundError, QueueNotFoundError):
            states.add((await inspector.task_info(queue, task_id)).state)
    return TaskState.ACTIVE if TaskState.ACTIVE in states else min(states, default=None)


def run(words: argparse.Namespace) -> int:
    """Make tasks pending."""
    return _each(words, lambda inspector: inspector.run_task, "task is now pending")


def archive(words: argparse.Namespace) -> int:
    """Archive tasks."""
    return _each(words, lambda inspector: inspector.archive_task, "task archived")


def delete(words: argparse.Namespace) -> int:
    """Delete tasks, after a question."""
    confirm(words, f'Delete task {", ".join(words.ids)} of queue "{words.queue}"')
    return _each(words, lambda inspector: inspector.delete_task, "task deleted")


def _each(
    words: argparse.Namespace,
    order: "Callable[[Inspector], Callable[[str, str], Awaitable[None]]]",
    done: str,
) -> int:
    """Give an *order* for each task; tell that it is *done*, and for which if there are several."""
    text = done if len(words.ids) == 1 else f"{{}}: {done}"

    async def job(inspector: "Inspector") -> int:
        return await each(words.ids, functools.partial(order(inspector), words.queue), text)

    return inspect(words, job)


def run_all(words: argparse.Namespace) -> int:
    """Make all tasks in a state pending."""
    return _all(words, lambda inspector: inspector.run_all, "tasks are now pending")


def archive_all(words: argparse.Namespace) -> int:
    """Archive all tasks in a state."""
    return _all(words, lambda inspector: inspector.archive_all, "tasks archived")


def delete_all(words: argparse.Namespace) -> int:
    """Delete all tasks in a state, after a question."""
    confirm(words, f'Delete all {words.state} tasks of queue "{words.queue}"')
    return _all(words, lambda inspector: inspector.delete_all, "tasks deleted")


def _all(
    words: argparse.Namespace,
    order: "Callable[[Inspector], Callable[[str, str, str | None], Awaitable[int]]]",
    done: str,
) -> int:
    async def job(inspector: "Inspector") -> None:
        count = await order(inspector)(words.queue, words.state, words.group)
        if output.is_json(words):
            output.json({"count": count})
        else:
            output.data(f"{count} {done}")

    return inspect(words, job)


# -- change ----------------------------------------------------------------------------------------


def change(words: argparse.Namespace) -> int:
    """Change a task that waits."""
    changes = _changes(words)
    if not changes:
        raise ExitError(Exit.USAGE, "nothing to change: say what, --payload for instance")

    async def job(inspector: "Inspector") -> None:
        task = await inspector.update_task(words.queue, words.id, **changes)
        if output.is_json(words):
            output.json(task)
        else:
            output.message("task updated")

    return inspect(words, job)


def _changes(words: argparse.Namespace) -> "TaskChanges":
    changes: TaskChanges = {}
    if words.payload is not None:
        changes["payload"] = data(words.payload)
    if words.header is not None:
        changes["headers"] = headers(words.header)
    if words.retry is not None:
        changes["max_retry"] = words.retry
    for name in ("timeout", "deadline", "retention"):
        if (value := getattr(words, name)) is not None:
            changes[name] = value
    return changes


def move(words: argparse.Namespace) -> int:
    """Run a task at another time."""
    if (words.process_at is None) == (words.process_in is None):
        raise ExitError(Exit.USAGE, "say either --process-at or --process-in")
    at = words.process_at or datetime.now(UTC) + words.process_in

    async def job(inspector: "Inspector") -> None:
        await inspector.reschedule(words.queue, words.id, at)
        now = at <= datetime.now(UTC)
        output.message(f"task runs {'now' if now else output.instant(at)}")

    return inspect(words, job)
