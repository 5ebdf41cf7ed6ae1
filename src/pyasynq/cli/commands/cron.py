"""``pyasynq cron``: read and control the entries of schedulers, and what they enqueued."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import click

from pyasynq.cli import completions, output
from pyasynq.cli.command_group import CommandGroup
from pyasynq.cli.options import page_option, size_option
from pyasynq.cli.run_inspector import do_each, inspector_command, read_each
from pyasynq.core.entry_errors import EntryNotFoundError
from pyasynq.core.json_form import entry_members, given_options, to_json_types

if TYPE_CHECKING:
    from pyasynq.core.info import SchedulerEntry, SchedulerEvent, TaskInfo
    from pyasynq.core.options import EnqueueOptions
    from pyasynq.inspector import Inspector

entries_argument: Final = click.argument(
    "entry_ids",
    nargs=-1,
    required=True,
    metavar="ID...",
    shell_complete=completions.complete_entry_ids,
)


@click.group(cls=CommandGroup)
def cron() -> None:
    """Show, pause, resume and run the entries of schedulers."""


@cron.command("list")
@inspector_command()
async def list_entries(inspector: "Inspector", *, as_json: bool) -> None:
    """List the entries of all schedulers."""
    entries = sorted(await inspector.scheduler_entries(), key=lambda entry: entry.spec)
    now = datetime.now(UTC)
    output.print_json_or_table(
        [entry_members(entry) for entry in entries],
        ["EntryID", "Spec", "Type", "Payload", "Options", "Next", "Prev", "Paused"],
        [_row(entry, now) for entry in entries],
        empty="No scheduler entries",
        as_json=as_json,
    )


def _row(entry: "SchedulerEntry", now: datetime) -> list[object]:
    return [
        entry.id,
        entry.spec,
        entry.task.type,
        output.format_payload(entry.task.payload),
        " ".join(f"{name}={_cell(value)}" for name, value in given_options(entry).items()),
        output.format_until(entry.next, now),
        output.format_ago(entry.prev, now),
        str(entry.paused).lower(),
    ]


def _cell(value: object) -> object:
    plain = to_json_types(value)
    return f"{plain}s" if isinstance(plain, float) else plain


@cron.command("history")
@entries_argument
@page_option
@size_option
@inspector_command()
async def show_history(
    inspector: "Inspector", *, as_json: bool, entry_ids: Sequence[str], page: int, size: int
) -> int:
    """Show the tasks that entries have enqueued, newest first."""

    async def read(entry_id: str) -> "tuple[str, list[SchedulerEvent]]":
        events = await inspector.scheduler_events(entry_id, page=page, size=size)
        if not events and not await _exists(inspector, entry_id):
            raise EntryNotFoundError(entry_id)
        return entry_id, events

    code, found = await read_each(entry_ids, read)
    if as_json:
        output.print_json(dict(found))
    else:
        _print_histories(dict(found))
    return code


async def _exists(inspector: "Inspector", entry_id: str) -> bool:
    """Return whether an entry is listed, or has a history, which outlives its scheduler."""
    if any(entry.id == entry_id for entry in await inspector.scheduler_entries()):
        return True
    return bool(await inspector.scheduler_events(entry_id, size=1))


def _print_histories(histories: "Mapping[str, Sequence[SchedulerEvent]]") -> None:
    for entry_id, events in histories.items():
        output.print_data(f"Entry: {entry_id}\n")
        rows = [[event.task_id, output.format_instant(event.enqueued_at)] for event in events]
        output.print_table(["TaskID", "EnqueuedAt"], rows)
        output.print_data("")


@cron.command("pause")
@entries_argument
@inspector_command(output=False)
async def pause_entries(inspector: "Inspector", *, entry_ids: Sequence[str]) -> int:
    """Pause entries: schedulers leave out their ticks."""
    return await do_each(entry_ids, inspector.pause_entry, 'Successfully paused entry "{}"')


@cron.command("resume")
@entries_argument
@inspector_command(output=False)
async def resume_entries(inspector: "Inspector", *, entry_ids: Sequence[str]) -> int:
    """Resume paused entries from their next tick on."""
    return await do_each(entry_ids, inspector.resume_entry, 'Successfully resumed entry "{}"')


@cron.command("run")
@entries_argument
@click.option(
    "-q",
    "--queue",
    help="Queue instead of the entry's.",
    shell_complete=completions.complete_queues,
)
@inspector_command(app=True)
async def run_entries(
    inspector: "Inspector", *, as_json: bool, entry_ids: Sequence[str], queue: str | None
) -> int:
    """Enqueue the tasks of entries now, also of paused ones."""
    options: EnqueueOptions = {} if queue is None else {"queue": queue}

    async def run(entry_id: str) -> "TaskInfo":
        info = await inspector.run_entry(entry_id, **options)
        if not as_json:
            output.print_data(f"Enqueued task {info.id} to queue {info.queue}")
        return info

    code, infos = await read_each(entry_ids, run)
    if as_json:
        output.print_json(infos)
    return code


cron.add_command(list_entries, "ls")
cron.add_command(resume_entries, "unpause")
