"""``pyasynq task``: look at tasks, move, change and enqueue them."""

import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol, cast

import click

from pyasynq.cli import completions, output
from pyasynq.cli.command_group import CommandGroup
from pyasynq.cli.commands.enqueue import enqueue
from pyasynq.cli.confirm import confirm
from pyasynq.cli.exit_codes import Exit
from pyasynq.cli.option_types import BYTES, DURATION, HEADERS, INSTANT
from pyasynq.cli.options import (
    TaskPlace,
    app_option,
    id_option,
    ids_option,
    output_option,
    page_option,
    place_options,
    queue_option,
    size_option,
    yes_option,
)
from pyasynq.cli.progress import progress_bar
from pyasynq.cli.redis_options import RedisOptions, redis_options
from pyasynq.cli.run_inspector import each, inspect
from pyasynq.cli.task_output import print_json, print_task, print_tasks
from pyasynq.core.errors import QueueNotFoundError, TaskNotFoundError
from pyasynq.core.states import ALLOWED_STATES, Action, TaskState

if TYPE_CHECKING:
    from pyasynq.core.info import TaskInfo
    from pyasynq.inspector import Criteria, Inspector, TaskChanges

RUNNABLE, ARCHIVABLE, DELETABLE = (
    tuple(state.value for state in TaskState if state in ALLOWED_STATES[order])
    for order in (Action.RUN, Action.ARCHIVE, Action.DELETE)
)


class BulkAction(Protocol):
    """Does something to all tasks in a state, and returns how many there were."""

    async def __call__(
        self, queue: str, state: str, group: str | None, *, progress: Callable[[int], None]
    ) -> int:
        """Do it; call *progress* with the number of tasks so far."""
        ...


@click.group(cls=CommandGroup)
def task() -> None:
    """Look at tasks, move, change and enqueue them."""


# -- read ------------------------------------------------------------------------------------------


@task.command("list")
@place_options()
@page_option
@size_option
@app_option
@output_option()
@redis_options
def list_tasks(
    *,
    redis: RedisOptions,
    as_json: bool,
    app: str | None,
    where: TaskPlace,
    page: int,
    size: int,
) -> int:
    """List tasks in a state."""

    async def job(inspector: "Inspector") -> None:
        tasks = await inspector.list_tasks(
            where.queue, where.state, page=page, size=size, group=where.group
        )
        print_tasks(tasks, where, as_json=as_json)

    return inspect(redis, job, app=app)


@task.command("find")
@place_options()
@click.option("-t", "--type", help="Type of the tasks.", shell_complete=completions.complete_types)
@click.option("--payload", **BYTES, help="Text in the payload.")
@click.option("--error", help="Text in the last error.")
@click.option("--limit", type=int, metavar="N", default=30, show_default=True, help="Most tasks.")
@app_option
@output_option()
@redis_options
def find_tasks(
    *,
    redis: RedisOptions,
    as_json: bool,
    app: str | None,
    where: TaskPlace,
    limit: int,
    **options: object,
) -> int:
    """List tasks in a state that meet all criteria."""
    criteria = cast("Criteria", _given(options))

    async def job(inspector: "Inspector") -> None:
        tasks = await inspector.find_tasks(
            where.queue, where.state, group=where.group, limit=limit, **criteria
        )
        print_tasks(tasks, where, as_json=as_json)

    return inspect(redis, job, app=app)


def _given(options: Mapping[str, object]) -> dict[str, object]:
    """Return the options that were given."""
    return {name: value for name, value in options.items() if value is not None}


@task.command("inspect")
@queue_option
@ids_option
@app_option
@output_option()
@redis_options
def inspect_tasks(
    *, redis: RedisOptions, as_json: bool, app: str | None, queue: str, task_ids: Sequence[str]
) -> int:
    """Show tasks."""

    async def job(inspector: "Inspector") -> int:
        tasks: list[TaskInfo] = []

        async def read(task_id: str) -> None:
            tasks.append(await inspector.task_info(queue, task_id))

        code = await each(task_ids, read)
        if as_json:
            print_json(tasks, several=len(task_ids) > 1)
            return code
        for n, it in enumerate(tasks):
            output.data("\n" * bool(n) + f"Queue: {it.queue}")
            print_task(it)
        return code

    return inspect(redis, job, app=app)


# -- move ------------------------------------------------------------------------------------------


@task.command("cancel")
@click.argument(
    "task_ids",
    nargs=-1,
    required=True,
    metavar="ID...",
    shell_complete=completions.complete_running_ids,
)
@output_option(ignored=True)
@redis_options
def cancel_tasks(*, redis: RedisOptions, task_ids: Sequence[str]) -> int:
    """Stop running tasks."""

    async def job(inspector: "Inspector") -> int:
        codes = [await _cancel(inspector, task_id) for task_id in task_ids]
        return next(filter(None, codes), Exit.OK)

    return inspect(redis, job)


async def _cancel(inspector: "Inspector", task_id: str) -> Exit:
    """Stop a task if it is running; print what was done."""
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


@task.command("run")
@queue_option
@ids_option
@output_option(ignored=True)
@redis_options
def run_tasks(*, redis: RedisOptions, queue: str, task_ids: Sequence[str]) -> int:
    """Make tasks pending."""
    return _each(redis, queue, task_ids, lambda it: it.run_task, "task is now pending")


@task.command("archive")
@queue_option
@ids_option
@output_option(ignored=True)
@redis_options
def archive_tasks(*, redis: RedisOptions, queue: str, task_ids: Sequence[str]) -> int:
    """Archive tasks."""
    return _each(redis, queue, task_ids, lambda it: it.archive_task, "task archived")


@task.command("delete")
@queue_option
@ids_option
@yes_option
@output_option(ignored=True)
@redis_options
def delete_tasks(*, redis: RedisOptions, queue: str, task_ids: Sequence[str], yes: bool) -> int:
    """Delete tasks; asks first."""
    confirm(f'Delete task {", ".join(task_ids)} of queue "{queue}"', yes=yes)
    return _each(redis, queue, task_ids, lambda it: it.delete_task, "task deleted")


def _each(
    redis: RedisOptions,
    queue: str,
    task_ids: Sequence[str],
    action: "Callable[[Inspector], Callable[[str, str], Awaitable[None]]]",
    done: str,
) -> int:
    """Do *action* for each task; print *done*, and for which task if there are several."""
    text = done if len(task_ids) == 1 else f"{{}}: {done}"

    async def job(inspector: "Inspector") -> int:
        return await each(task_ids, functools.partial(action(inspector), queue), text)

    return inspect(redis, job)


@task.command("runall")
@place_options(RUNNABLE)
@output_option()
@redis_options
def run_all(*, redis: RedisOptions, as_json: bool, where: TaskPlace) -> int:
    """Make all tasks in a state pending."""
    return _all(redis, where, lambda it: it.run_all, "tasks are now pending", as_json=as_json)


@task.command("archiveall")
@place_options(ARCHIVABLE)
@output_option()
@redis_options
def archive_all(*, redis: RedisOptions, as_json: bool, where: TaskPlace) -> int:
    """Archive all tasks in a state."""
    return _all(redis, where, lambda it: it.archive_all, "tasks archived", as_json=as_json)


@task.command("deleteall")
@place_options(DELETABLE)
@yes_option
@output_option()
@redis_options
def delete_all(*, redis: RedisOptions, as_json: bool, where: TaskPlace, yes: bool) -> int:
    """Delete all tasks in a state; asks first."""
    confirm(f'Delete all {where.state} tasks of queue "{where.queue}"', yes=yes)
    return _all(redis, where, lambda it: it.delete_all, "tasks deleted", as_json=as_json)


def _all(
    redis: RedisOptions,
    where: TaskPlace,
    action: "Callable[[Inspector], BulkAction]",
    done: str,
    *,
    as_json: bool,
) -> int:
    """Do *action* for all tasks that are there; print how many are *done*."""

    async def job(inspector: "Inspector") -> None:
        with progress_bar(done, await _count(inspector, where)) as progress:
            count = await action(inspector)(
                where.queue, where.state, where.group, progress=progress
            )
        if as_json:
            output.json({"count": count})
        else:
            output.data(f"{count} {done}")

    return inspect(redis, job)


async def _count(inspector: "Inspector", where: TaskPlace) -> int:
    """Return how many tasks are there."""
    if where.state == TaskState.AGGREGATING:
        groups = await inspector.groups(where.queue)
        return sum(it.size for it in groups if it.group == where.group)
    info = await inspector.queue_info(where.queue, memory=False)
    return int(getattr(info, where.state))


# -- change ----------------------------------------------------------------------------------------


@task.command("update")
@queue_option
@id_option
@click.option("-l", "--payload", **BYTES, help="New payload.")
@click.option(
    "-H", "--header", "headers", **HEADERS, help="New header, instead of all; repeatable."
)
@click.option(
    "--retry", "max_retry", type=int, metavar="N", help="Retries after the first failure."
)
@click.option("--timeout", **DURATION, help="Longest run, such as 30s.")
@click.option("--deadline", **INSTANT, help="When the task must have run: 2030-01-31T12:00:00Z.")
@click.option("--retention", **DURATION, help="Time to keep the task after success, such as 24h.")
@app_option
@output_option()
@redis_options
def update_task(
    *,
    redis: RedisOptions,
    as_json: bool,
    app: str | None,
    queue: str,
    task_id: str,
    **options: object,
) -> int:
    """Change a scheduled, retry or archived task."""
    changes = cast("TaskChanges", _given(options))
    if not changes:
        msg = "nothing to change: say what, --payload for instance"
        raise click.UsageError(msg)

    async def job(inspector: "Inspector") -> None:
        updated = await inspector.update_task(queue, task_id, **changes)
        if as_json:
            output.json(updated)
        else:
            output.message("task updated")

    return inspect(redis, job, app=app)


@task.command("reschedule")
@queue_option
@id_option
@click.option("--process-at", **INSTANT, help="When to run the task: 2030-01-31T12:00:00Z.")
@click.option("--process-in", **DURATION, help="Time until the task is run, such as 5m.")
@output_option(ignored=True)
@redis_options
def reschedule_task(
    *,
    redis: RedisOptions,
    queue: str,
    task_id: str,
    process_at: datetime | None,
    process_in: timedelta | None,
) -> int:
    """Run a scheduled or retry task at another time."""
    if (process_at is None) == (process_in is None):
        msg = "say either --process-at or --process-in"
        raise click.UsageError(msg)
    at = process_at or datetime.now(UTC) + (process_in or timedelta())

    async def job(inspector: "Inspector") -> None:
        await inspector.reschedule(queue, task_id, at)
        now = at <= datetime.now(UTC)
        output.message(f"task runs {'now' if now else output.instant(at)}")

    return inspect(redis, job)


task.add_command(enqueue)
task.add_command(list_tasks, "ls")
task.add_command(delete_tasks, "remove")
task.add_command(delete_tasks, "rm")
