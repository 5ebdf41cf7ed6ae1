"""``pyasynq cron``: read the entries of schedulers, and what they enqueued."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from pyasynq.cli import completions, output
from pyasynq.cli.command_group import CommandGroup
from pyasynq.cli.options import page_option, size_option
from pyasynq.cli.run_inspector import inspector_command, read_each
from pyasynq.core.errors import EntryNotFoundError
from pyasynq.core.json_form import entry_members, given_options, to_json_types

if TYPE_CHECKING:
    from pyasynq.core.info import SchedulerEntry, SchedulerEvent
    from pyasynq.inspector import Inspector


@click.group(cls=CommandGroup)
def cron() -> None:
    """Show the entries of schedulers."""


@cron.command("list")
@inspector_command()
async def list_entries(inspector: "Inspector", *, as_json: bool) -> None:
    """List the entries of all schedulers."""
    entries = sorted(await inspector.scheduler_entries(), key=lambda entry: entry.spec)
    now = datetime.now(UTC)
    output.print_json_or_table(
        [entry_members(entry) for entry in entries],
        ["EntryID", "Spec", "Type", "Payload", "Options", "Next", "Prev"],
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
    ]


def _cell(value: object) -> object:
    plain = to_json_types(value)
    return f"{plain}s" if isinstance(plain, float) else plain


@cron.command("history")
@click.argument(
    "entry_ids",
    nargs=-1,
    required=True,
    metavar="ID...",
    shell_complete=completions.complete_entry_ids,
)
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


cron.add_command(list_entries, "ls")
