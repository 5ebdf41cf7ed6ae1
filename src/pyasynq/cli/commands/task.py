"""``pyasynq task``: read, move, change and enqueue tasks."""

import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import click

from pyasynq.cli import completions, options, output
from pyasynq.cli.command_group import CommandGroup
from pyasynq.cli.commands.enqueue import enqueue
from pyasynq.cli.confirm import ask_first
from pyasynq.cli.exit_codes import Exit
from pyasynq.cli.option_types import BYTES, COUNT, DURATION, HEADERS, drop_none
from pyasynq.cli.run_inspector import do_each, inspector_command, read_each
from pyasynq.cli.task_output import print_errors, print_json, print_task, print_tasks
from pyasynq.core.errors import QueueNotFoundError, TaskNotFoundError
from pyasynq.core.states import ALLOWED_STATES, FAILED, Action, TaskState

if TYPE_CHECKING:
    from pyasynq.inspector import Criteria, Inspector, TaskChanges

BulkAction: TypeAlias = Callable[..., Awaitable[int]]
"""A method of the inspector that moves all tasks at a place, such as `Inspector.run_all`."""

RUNNABLE, ARCHIVABLE, DELETABLE = (
    tuple(state.value for state in TaskState if state in ALLOWED_STATES[action])
    for action in (Action.RUN, Action.ARCHIVE, Action.DELETE)
)

FAILED_STATES = tuple(state.value for state in FAILED)


@click.group(cls=CommandGroup)
def task() -> None:
    """Show, move, change and enqueue tasks."""


# -- read ------------------------------------------------------------------------------------------


@task.command("list")
@options.place_options()
@options.page_option
@options.size_option
@inspector_command(app=True)
async def list_tasks(
    inspector: "Inspector", *, as_json: bool, where: options.TaskPlace, page: int, size: int
) -> None:
    """List tasks in a state."""
    tasks = await inspector.list_tasks(
        where.queue, where.state, page=page, size=size, group=where.group
    )
    print_tasks(tasks, where, as_json=as_json)


@task.command("find")
@options.place_options()
@options.criteria_options
@click.option("--limit", **COUNT, default=30, show_default=True, help="Largest number of tasks.")
@inspector_command(app=True)
async def find_tasks(
    inspector: "Inspector", *, as_json: bool, where: options.TaskPlace, limit: int, **values: object
) -> None:
    """List tasks in a state that meet all criteria."""
    criteria = cast("Criteria", drop_none(values))
    tasks = await inspector.find_tasks(
        where.queue, where.state, group=where.group, limit=limit, **criteria
    )
    print_tasks(tasks, where, as_json=as_json)


@task.command("errors")
@options.queue_option
@click.option(
    "-s",
    "--state",
    type=click.Choice(FAILED_STATES, case_sensitive=False),
    metavar="STATE",
    help=f"Only tasks in this state: {' or '.join(FAILED_STATES)}.",
)
@inspector_command(app=True)
async def count_errors(
    inspector: "Inspector", *, as_json: bool, queue: str, state: str | None
) -> None:
    """Count failed tasks by type and error."""
    groups = await inspector.errors(queue, state)
    print_errors(groups, queue, as_json=as_json)


@task.command("inspect")
@options.queue_option
@options.ids_option
@inspector_command(app=True)
async def inspect_tasks(
    inspector: "Inspector", *, as_json: bool, queue: str, task_ids: Sequence[str]
) -> int:
    """Show tasks."""
    code, tasks = await read_each(task_ids, functools.partial(inspector.task_info, queue))
    if as_json:
        print_json(tasks, several=len(task_ids) > 1)
        return code
    for n, it in enumerate(tasks):
        output.print_data("\n" * bool(n) + f"Queue: {it.queue}")
        print_task(it)
    return code


# -- move ------------------------------------------------------------------------------------------


@task.command("cancel")
@click.argument(
    "task_ids",
    nargs=-1,
    required=True,
    metavar="ID...",
    shell_complete=completions.complete_running_ids,
)
@inspector_command(output=False)
async def cancel_tasks(inspector: "Inspector", *, task_ids: Sequence[str]) -> int:
    """Stop running tasks."""
    codes = [await _cancel(inspector, task_id) for task_id in task_ids]
    return next(filter(None, codes), Exit.OK)


async def _cancel(inspector: "Inspector", task_id: str) -> Exit:
    """Cancel a task if it is running; print what was done, and return the exit code."""
    state = await _find_state(inspector, task_id)
    if state == TaskState.ACTIVE:
        await inspector.cancel(task_id)
        output.print_message(f"Sent cancelation signal for task {task_id}")
        return Exit.OK
    if state is None:
        output.print_message(f"pyasynq: task {task_id} is not running: no queue has it")
        return Exit.NOT_FOUND
    output.print_message(f"pyasynq: task {task_id} is not running: it is {state}")
    return Exit.CONFLICT


async def _find_state(inspector: "Inspector", task_id: str) -> TaskState | None:
    """Return the state of a task in any queue; active if a server runs it, None if none has it."""
    for server in await inspector.servers():  # one that has lost the lease may still run the task
        if any(worker.task_id == task_id for worker in server.active_workers):
            return TaskState.ACTIVE
    states: set[TaskState] = set()
    for queue in await inspector.queues():
        with suppress(TaskNotFoundError, QueueNotFoundError):
            states.add((await inspector.task_info(queue, task_id)).state)
    return TaskState.ACTIVE if TaskState.ACTIVE in states else min(states, default=None)


@task.command("run")
@options.queue_option
@options.ids_option
@inspector_command(output=False)
async def run_tasks(inspector: "Inspector", *, queue: str, task_ids: Sequence[str]) -> int:
    """Make tasks pending."""
    return await _move_each(inspector.run_task, queue, task_ids, "task is now pending")


@task.command("archive")
@options.queue_option
@options.ids_option
@inspector_command(output=False)
async def archive_tasks(inspector: "Inspector", *, queue: str, task_ids: Sequence[str]) -> int:
    """Archive tasks."""
    return await _move_each(inspector.archive_task, queue, task_ids, "task archived")


def _ask_to_delete(values: Mapping[str, Any]) -> str:
    return f'Delete task {", ".join(values["task_ids"])} of queue "{values["queue"]}"'


@task.command("delete")
@options.queue_option
@options.ids_option
@ask_first(_ask_to_delete)
@inspector_command(output=False)
async def delete_tasks(inspector: "Inspector", *, queue: str, task_ids: Sequence[str]) -> int:
    """Delete tasks; asks first."""
    return await _move_each(inspector.delete_task, queue, task_ids, "task deleted")


async def _move_each(
    action: Callable[[str, str], Awaitable[None]], queue: str, task_ids: Sequence[str], done: str
) -> int:
    """Call *action* for each task; print *done*, with the id of the task if there are several."""
    text = done if len(task_ids) == 1 else f"{{}}: {done}"
    return await do_each(task_ids, functools.partial(action, queue), text)


@task.command("runall")
@options.place_options(RUNNABLE)
@options.criteria_options
@inspector_command()
async def run_all(
    inspector: "Inspector", *, as_json: bool, where: options.TaskPlace, **criteria: object
) -> None:
    """Make tasks in a state pending."""
    await _move_all(
        inspector,
        inspector.run_all,
        where,
        criteria,
        ("task is now pending", "tasks are now pending"),
        as_json=as_json,
    )


@task.command("archiveall")
@options.place_options(ARCHIVABLE)
@options.criteria_options
@inspector_command()
async def archive_all(
    inspector: "Inspector", *, as_json: bool, where: options.TaskPlace, **criteria: object
) -> None:
    """Archive tasks in a state."""
    await _move_all(
        inspector,
        inspector.archive_all,
        where,
        criteria,
        ("task archived", "tasks archived"),
        as_json=as_json,
    )


def _ask_to_delete_all(values: Mapping[str, Any]) -> str:
    where: options.TaskPlace = values["where"]
    given = [f"--{name}" for name in options.CRITERIA if values[name] is not None]
    if not given:
        return f'Delete all {where.state} tasks of queue "{where.queue}"'
    return (
        f'Delete the {where.state} tasks of queue "{where.queue}" that meet {" and ".join(given)}'
    )


@task.command("deleteall")
@options.place_options(DELETABLE)
@options.criteria_options
@ask_first(_ask_to_delete_all)
@inspector_command()
async def delete_all(
    inspector: "Inspector", *, as_json: bool, where: options.TaskPlace, **criteria: object
) -> None:
    """Delete tasks in a state; asks first."""
    await _move_all(
        inspector,
        inspector.delete_all,
        where,
        criteria,
        ("task deleted", "tasks deleted"),
        as_json=as_json,
    )


async def _move_all(
    inspector: "Inspector",
    action: BulkAction,
    where: options.TaskPlace,
    criteria: Mapping[str, object],
    done: tuple[str, str],
    *,
    as_json: bool,
) -> None:
    """Call *action* for the tasks there that meet *criteria*; print their number and *done*.

    *done* says what was done with one task, and with many.
    """
    with output.progress_bar(done[1], await _count(inspector, where)) as progress:
        given = drop_none(criteria)
        count = await action(where.queue, where.state, where.group, progress=progress, **given)
    if as_json:
        output.print_json({"count": count})
    else:
        output.print_data(output.count(count, *done))


async def _count(inspector: "Inspector", where: options.TaskPlace) -> int:
    """Return how many tasks are there."""
    if where.state == TaskState.AGGREGATING:
        groups = await inspector.groups(where.queue)
        return sum(it.size for it in groups if it.group == where.group)
    info = await inspector.queue_info(where.queue, memory=False)
    return int(getattr(info, where.state))


# -- change ----------------------------------------------------------------------------------------


@task.command("update")
@options.queue_option
@options.id_option
@click.option("-l", "--payload", **BYTES, help="New payload.")
@click.option(
    "-H", "--header", "headers", **HEADERS, help="New header; replaces all old ones; repeatable."
)
@click.option("--retry", "max_retry", **COUNT, help="Retries after the first failure.")
@click.option("--timeout", **DURATION, help="Longest run, such as 30s.")
@options.deadline_option
@options.retention_option
@inspector_command(app=True)
async def update_task(
    inspector: "Inspector", *, as_json: bool, queue: str, task_id: str, **values: object
) -> None:
    """Change a scheduled, retry or archived task."""
    changes = cast("TaskChanges", drop_none(values))
    if not changes:
        msg = "nothing to change: give --payload, for instance"
        raise click.UsageError(msg)
    updated = await inspector.update_task(queue, task_id, **changes)
    if as_json:
        output.print_json(updated)
    else:
        output.print_message("task updated")


@task.command("reschedule")
@options.queue_option
@options.id_option
@options.process_at_option
@options.process_in_option
@inspector_command(output=False)
async def reschedule_task(
    inspector: "Inspector",
    *,
    queue: str,
    task_id: str,
    process_at: datetime | None,
    process_in: timedelta | None,
) -> None:
    """Run a scheduled or retry task at another time."""
    if (process_at is None) == (process_in is None):
        msg = "give either --process-at or --process-in"
        raise click.UsageError(msg)
    at = process_at or datetime.now(UTC) + (process_in or timedelta())
    await inspector.reschedule(queue, task_id, at)
    now = at <= datetime.now(UTC)
    output.print_message(f"task runs {'now' if now else output.format_instant(at)}")


task.add_command(enqueue)
task.add_command(list_tasks, "ls")
task.add_command(delete_tasks, "remove")
task.add_command(delete_tasks, "rm")
