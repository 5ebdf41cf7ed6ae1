"""``pyasynq cron``: look at what schedulers enqueue."""

import argparse
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pyasynq.cli import output
from pyasynq.cli.parsing import Noun
from pyasynq.cli.running import each, inspect
from pyasynq.core.errors import EntryNotFoundError

if TYPE_CHECKING:
    from pyasynq.core.info import SchedulerEntry, SchedulerEvent
    from pyasynq.inspector import Inspector


def add_to(commands: Any, _environ: Mapping[str, str]) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Add the noun to the command line."""
    noun = Noun(commands, "cron", "look at what schedulers enqueue")
    noun.verb("list", show, aliases=["ls"], help="list the entries of all schedulers")
    history = noun.verb("history", events, help="show what entries have enqueued")
    history.words("ids", help="ids of entries").page()


def show(words: argparse.Namespace) -> int:
    """List the entries of all schedulers."""

    async def job(inspector: "Inspector") -> None:
        entries = sorted(await inspector.scheduler_entries(), key=lambda entry: entry.spec)
        if output.is_json(words):
            output.json([_plain(entry) for entry in entries])
        elif entries:
            now = datetime.now(UTC)
            output.table(
                ["EntryID", "Spec", "Type", "Payload", "Options", "Next", "Prev"],
                [_row(entry, now) for entry in entries],
            )
        else:
            output.message("No scheduler entries")

    return inspect(words, job)


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


def events(words: argparse.Namespace) -> int:
    """Show what entries have enqueued, newest first."""

    async def job(inspector: "Inspector") -> int:
        found: dict[str, list[SchedulerEvent]] = {}

        async def read(entry_id: str) -> None:
            page = await inspector.scheduler_events(entry_id, page=words.page, size=words.size)
            if not page and not await _is_known(inspector, entry_id):
                raise EntryNotFoundError(entry_id)
            found[entry_id] = page

        code = await each(words.ids, read)
        if output.is_json(words):
            output.json(found)
        else:
            _show(found)
        return code

    return inspect(words, job)


async def _is_known(inspector: "Inspector", entry_id: str) -> bool:
    """Return whether an entry is listed, or has enqueued something: dead ones have histories."""
    if any(entry.id == entry_id for entry in await inspector.scheduler_entries()):
        return True
    return bool(await inspector.scheduler_events(entry_id, size=1))


def _show(found: "dict[str, list[SchedulerEvent]]") -> None:
    for entry_id, happened in found.items():
        output.data(f"Entry: {entry_id}\n")
        rows = [[event.task_id, output.instant(event.enqueued_at)] for event in happened]
        output.table(["TaskID", "EnqueuedAt"], rows)
        output.data("")
