"""Routes about servers, schedulers, the broker and the audit."""

import functools
import re
from typing import Final

from pyasynq.core.entry_errors import EntryNotFoundError
from pyasynq.core.info import SchedulerEntry, ServerInfo, WorkerInfo
from pyasynq.core.json_form import entry_members, fields
from pyasynq.dashboard.api.inputs import Page
from pyasynq.dashboard.cursors import not_a_cursor
from pyasynq.dashboard.routes import Call, Nothing, reads
from pyasynq.diagnosis.diagnosis import diagnose
from pyasynq.diagnosis.reading import read_findings
from pyasynq.operations.concurrency import gather
from pyasynq.operations.payloads import preview

LAST_RUNS: Final = 10
"""Runs of an entry that the list of entries shows."""

AT_ONCE: Final = 8
"""Entries whose runs are read at the same time."""


_ACTION: Final = re.compile(r"\d{1,18}(-\d{1,18})?", re.ASCII)


class EventsInput(Page, frozen=True, kw_only=True):
    """The history of an entry."""

    id: str


async def list_servers(call: Call, _given: Nothing) -> object:
    """Return the servers with their running tasks."""
    return {"items": [_server(call, it) for it in await call.services.inspector.servers()]}


def _server(call: Call, server: ServerInfo) -> dict[str, object]:
    return {
        **fields(server),
        "active_workers": [_worker(call, worker) for worker in server.active_workers],
    }


def _worker(call: Call, worker: WorkerInfo) -> dict[str, object]:
    members = fields(worker)
    payload = call.services.payloads.visible(worker.task_type, worker.task_payload)
    del members["task_payload"]
    return {**members, "payload_preview": preview(payload)}


async def list_schedules(call: Call, _given: Nothing) -> object:
    """Return the entries of all schedulers; an entry that several have is listed once."""
    entries: dict[str, list[SchedulerEntry]] = {}
    for entry in await call.services.inspector.scheduler_entries():
        entries.setdefault(entry.id, []).append(entry)
    same = list(entries.values())
    return {"items": await gather(AT_ONCE, same, functools.partial(_entry, call))}


async def _entry(call: Call, same: list[SchedulerEntry]) -> dict[str, object]:
    services, entry = call.services, same[0]
    payload = services.payloads.visible(entry.task.type, entry.task.payload or b"")
    members = entry_members(entry)
    del members["payload"]
    return {
        **members,
        "payload_preview": preview(payload),
        "schedulers": len(same),
        "last": await services.inspector.scheduler_events(entry.id, size=LAST_RUNS),
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


async def show_broker(call: Call, _given: Nothing) -> object:
    """Return what the broker reports about itself, and what is wrong with it."""
    findings = await read_findings(call.services.broker, permissions=False)
    return {
        "name": findings.broker,
        "nodes": findings.nodes,
        "checks": diagnose(findings),
        "heartbeats": findings.heartbeats,
    }


async def list_actions(call: Call, given: Page) -> object:
    """Return the actions of operators, the newest first."""
    if given.cursor and not _ACTION.fullmatch(given.cursor):
        raise not_a_cursor()
    found = await call.services.broker.audit.read(given.cursor or None, given.limit)
    return {
        "items": [{"id": action_id, **fields(entry)} for action_id, entry in found],
        "cursor": found[-1][0] if len(found) == given.limit else None,
    }


ROUTES: Final = (
    reads("listServers", "/servers", Nothing, list_servers, "Servers with their running tasks"),
    reads("listSchedules", "/schedules", Nothing, list_schedules, "Entries of schedulers"),
    reads("listEvents", "/schedules/events", EventsInput, list_events, "Runs of an entry"),
    reads("listActions", "/audit", Page, list_actions, "Actions of operators"),
    reads("showBroker", "/broker", Nothing, show_broker, "The broker, and what is wrong with it"),
)
