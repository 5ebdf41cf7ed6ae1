"""``pyasynq cron``: look at what schedulers enqueue."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from pyasynq.cli import completions, output
from pyasynq.cli.command_group import CommandGroup
from pyasynq.cli.options import output_option, page_option, size_option
from pyasynq.cli.redis_options import RedisOptions, redis_options
from pyasynq.cli.run_inspector import each, inspect
from pyasynq.core.errors import EntryNotFoundError

if TYPE_CHECKING:
    from pyasynq.core.info import SchedulerEntry, SchedulerEvent
    from pyasynq.inspector import Inspector


@click.group(cls=CommandGroup)
def cron() -> None:
    """Look at what schedulers enqueue."""


@cron.command("list")
@output_option()
@redis_options
def list_entries(*, redis: RedisOptions, as_json: bool) -> int:
    """List the entries of all schedulers."""

    async def job(inspector: "Inspector") -> None:
        entries = sorted(await inspector.scheduler_entries(), key=lambda entry: entry.spec)
        if as_json:
            output.json([_plain(entry) for entry in entries])
        elif entries:
            now = datetime.now(UTC)
            output.table(
                ["EntryID", "Spec", "Type", "Payload", "Options", "Next", "Prev"],
                [_row(entry, now) for entry in entries],
            )
        else:
            output.message("No scheduler entries")

    return inspect(redis, job)


def _plain(entry: "SchedulerEntry") -> dict[str, object]:
    return {
        "id": entry.id,
        "spec": entry.spec,
        "type": entry.task.type,
        "payload": entry.task.payload or b"",
        "options": _options(entry),
        "next": entry.next,
        "prev": entry.prev,
    }


def _row(entry: "SchedulerEntry", now: datetime) -> list[object]:
    return [
        entry.id,
        entry.spec,
        entry.task.type,
        output.payload(entry.task.payload),
        " ".join(f"{name}={_cell(value)}" for name, value in _options(entry).items()),
        output.until(entry.next, now),
        output.ago(entry.prev, now),
    ]


def _options(entry: "SchedulerEntry") -> dict[str, object]:
    names = entry.options.__struct_fields__
    values = {name: getattr(entry.options, name) for name in names}
    return {name: value for name, value in values.items() if value not in (None, {})}


def _cell(value: object) -> object:
    plain = output.plain(value)
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
@output_option()
@redis_options
def show_history(
    *, redis: RedisOptions, as_json: bool, entry_ids: Sequence[str], page: int, size: int
) -> int:
    """Show what entries have enqueued, newest first."""

    async def job(inspector: "Inspector") -> int:
        found: dict[str, list[SchedulerEvent]] = {}

        async def read(entry_id: str) -> None:
            events = await inspector.scheduler_events(entry_id, page=page, size=size)
            if not events and not await _is_known(inspector, entry_id):
                raise EntryNotFoundError(entry_id)
            found[entry_id] = events

        code = await each(entry_ids, read)
        if as_json:
            output.json(found)
        else:
            _print_history(found)
        return code

    return inspect(redis, job)


async def _is_known(inspector: "Inspector", entry_id: str) -> bool:
    """Return whether an entry is listed, or has enqueued something: dead ones have histories."""
    if any(entry.id == entry_id for entry in await inspector.scheduler_entries()):
        return True
    return bool(await inspector.scheduler_events(entry_id, size=1))


def _print_history(found: "dict[str, list[SchedulerEvent]]") -> None:
    for entry_id, events in found.items():
        output.data(f"Entry: {entry_id}\n")
        rows = [[event.task_id, output.instant(event.enqueued_at)] for event in events]
        output.table(["TaskID", "EnqueuedAt"], rows)
        output.data("")


cron.add_command(list_entries, "ls")
