"""Routes about the entries of schedulers, and what they enqueued."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from pyasynq.core.entry_errors import EntryNotFoundError
from pyasynq.core.info import SchedulerEntry
from pyasynq.core.json_form import entry_members
from pyasynq.dashboard.api.inputs import MAX_LIMIT, Page
from pyasynq.dashboard.api.outcomes import do_each
from pyasynq.dashboard.cursors import not_a_cursor
from pyasynq.dashboard.routes import Call, Handler, Nothing, acts_on, reads
from pyasynq.operations.payloads import preview
from pyasynq.operations.permissions import Permission
from pyasynq.operations.schedules import EntryRuns, read_runs

if TYPE_CHECKING:
    from pyasynq.core.options import EnqueueOptions


class EventsInput(Page, frozen=True, kw_only=True):
    """The history of an entry."""

    id: str


class EntriesInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Some entries."""

    ids: Annotated[list[str], msgspec.Meta(min_length=1, max_length=MAX_LIMIT)]


class RunInput(EntriesInput, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Some entries, and perhaps a queue instead of theirs."""

    queue: Annotated[
        str | None, msgspec.Meta(description="Needed if a scheduler of Go lists no queue.")
    ] = None


async def list_schedules(call: Call, _given: Nothing) -> object:
    """Return the entries of all schedulers; an entry that several have is listed once."""
    entries: dict[str, list[SchedulerEntry]] = {}
    for entry in await call.services.inspector.scheduler_entries():
        entries.setdefault(entry.id, []).append(entry)
    same = list(entries.values())
    runs = await read_runs(call.services.broker, [it[0] for it in same])
    return {"items": [_entry(call, *it) for it in zip(same, runs, strict=True)]}


def _entry(call: Call, same: list[SchedulerEntry], runs: EntryRuns) -> dict[str, object]:
    entry = same[0]
    payload = call.services.payloads.visible(entry.task.type, entry.task.payload or b"")
    members = entry_members(entry)
    del members["payload"]
    return {
        **members,
        "payload_preview": preview(payload),
        "schedulers": len(same),
        "queue": runs.queue,
        "last": runs.runs,
        "without_task": runs.without_task,
    }


async def list_events(call: Call, given: EventsInput) -> object:
    """Return the tasks that an entry has enqueued, the newest first.

    Raises:
        EntryNotFoundError: If there is no such entry.
    """
    inspector = call.services.inspector
    page = _number(given.cursor)
    events = await inspector.scheduler_events(given.id, page=page, size=given.limit)
    if not events and page == 1:
        entries = await inspector.scheduler_entries()
        if all(entry.id != given.id for entry in entries):
            raise EntryNotFoundError(given.id)
    more = len(events) == given.limit
    return {"items": events, "cursor": str(page + 1) if more else None}


def _number(cursor: str) -> int:
    """Return the number of the page that *cursor* names."""
    if not cursor:
        return 1
    if not cursor.isdecimal() or not cursor.isascii() or not 1 < int(cursor[:9]) < 10**8:
        raise not_a_cursor()
    return int(cursor[:9])


# -- actions ---------------------------------------------------------------------------------------


def _id(entry_id: str) -> dict[str, str]:
    return {"id": entry_id}


def _switch(permission: Permission, name: str) -> Handler:
    """Return a handler that calls the method *name* of the inspector for some entries."""

    async def handle(call: Call, given: EntriesInput) -> object:
        act, types = getattr(call.services.inspector, name), await _types(call, given.ids)
        return await do_each(call, permission, given.ids, act, _id, detail=types)

    return handle


async def _types(call: Call, ids: Sequence[str]) -> str:
    """Return the types of the tasks of entries: in the audit their ids say little."""
    entries = await call.services.inspector.scheduler_entries()
    return ", ".join(sorted({entry.task.type for entry in entries if entry.id in ids}))


async def run(call: Call, given: RunInput) -> object:
    """Enqueue the tasks of some entries now, and return their queues and ids."""
    options: EnqueueOptions = {} if given.queue is None else {"queue": given.queue}
    made: list[dict[str, object]] = []

    async def act(entry_id: str) -> None:
        info = await call.services.inspector.run_entry(entry_id, **options)
        made.append({"queue": info.queue, "id": info.id})

    types = await _types(call, given.ids)
    answer = await do_each(call, Permission.ENTRY_RUN, given.ids, act, _id, detail=types)
    return {**answer, "tasks": made}


_act: Final = acts_on("Entries", "/schedules")

ROUTES: Final = (
    reads("listSchedules", "/schedules", Nothing, list_schedules, "Entries of schedulers"),
    reads("listEvents", "/schedules/events", EventsInput, list_events, "Runs of an entry"),
    _act(
        Permission.ENTRY_PAUSE,
        EntriesInput,
        _switch(Permission.ENTRY_PAUSE, "pause_entry"),
        "Have schedulers leave out the ticks of some entries",
    ),
    _act(
        Permission.ENTRY_RESUME,
        EntriesInput,
        _switch(Permission.ENTRY_RESUME, "resume_entry"),
        "Have schedulers enqueue some entries again, from their next ticks on",
    ),
    _act(Permission.ENTRY_RUN, RunInput, run, "Enqueue the tasks of some entries now"),
)
