"""Routes about tasks: search, one in detail, and actions on those that were selected."""

import base64
from datetime import datetime, timedelta
from typing import Annotated, Final

import msgspec

from pyasynq.core.info import TaskInfo
from pyasynq.core.json_form import fields
from pyasynq.core.report import HEADER, read_place
from pyasynq.dashboard.api.inputs import DEFAULT_LIMIT, MAX_SELECTED, Cursor, Limit, Selected
from pyasynq.dashboard.api.jobs import time_of
from pyasynq.dashboard.api.outcomes import do_each
from pyasynq.dashboard.api.search_lines import parse_line
from pyasynq.dashboard.cursors import decode_cursor, encode_cursor
from pyasynq.dashboard.problems import Problem
from pyasynq.dashboard.routes import Call, Handler, Route, acts_on, reads
from pyasynq.inspector import TaskChanges
from pyasynq.operations import details, suggestions
from pyasynq.operations.known import read_known
from pyasynq.operations.permissions import Permission


class SearchInput(msgspec.Struct, frozen=True, kw_only=True):
    """A search."""

    q: Annotated[str, msgspec.Meta(description="A search line.")] = ""
    cursor: Cursor = ""
    limit: Limit = DEFAULT_LIMIT


class SuggestInput(msgspec.Struct, frozen=True, kw_only=True):
    """A line that is being written, and the place of the caret."""

    q: str = ""
    at: int = 0


class TaskInput(msgspec.Struct, frozen=True, kw_only=True):
    """A task."""

    queue: str
    id: str


class SelectionInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The tasks that were selected."""

    tasks: Annotated[list[Selected], msgspec.Meta(min_length=1, max_length=MAX_SELECTED)]


class RescheduleInput(SelectionInput, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same, and when they are to run: *at*, or *in* seconds."""

    at: datetime | None = None
    in_s: float | None = msgspec.field(default=None, name="in")


class UpdateInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A task and what is to change; times in seconds."""

    queue: str
    id: str
    payload: str | None = None
    payload_base64: str | None = None
    headers: dict[str, str] | None = None
    max_retry: int | None = None
    timeout: float | None = None
    deadline: datetime | None = None
    retention: float | None = None


async def search(call: Call, given: SearchInput) -> object:
    """Return a page of the tasks that match a search line."""
    query = parse_line(given.q)
    position = decode_cursor(given.cursor)
    found = await call.services.finder.find(query, limit=given.limit, position=position)
    payloads = call.services.payloads
    return {
        "items": [payloads.row(task) for task in found.tasks],
        "cursor": encode_cursor(found.position),
        "looked_at": found.looked_at,
        "total": found.total,
        "stopped": found.stopped,
        "terms": [
            {
                "key": term.key,
                "value": term.value,
                "negated": term.negated,
                "no_key": term.no_key or None,
            }
            for term in query.terms
        ],
    }


async def suggest(call: Call, given: SuggestInput) -> object:
    """Return what may stand at the caret."""
    known = await read_known(call.services, given.q)
    found = suggestions.suggest(given.q, given.at, known)
    return {"from": found.start, "to": found.end, "items": found.items}


async def show(call: Call, given: TaskInput) -> object:
    """Return one task: payload, tries, time line, and why it waits."""
    return await _detail(call, given.queue, given.id)


async def _detail(call: Call, queue: str, task_id: str) -> dict[str, object]:
    services = call.services
    detail = await details.read_detail(services.broker, services.inspector, queue, task_id)
    task = detail.task
    shown = services.payloads.redacted(task)
    return {
        "task": services.payloads.members(task),
        "payload": services.payloads.view(task.type, task.payload),
        "result": services.payloads.view(task.type, task.result),
        "timeline": details.timeline(detail),
        "waiting": {
            "state": task.state,
            "reasons": list(details.reasons(detail)),
        },
        "worker": _worker(detail.worker),
        "part_of": _part_of(task),
        "actions": _actions(call, task),
        "copy": {"cli": details.as_command(shown), "python": details.as_python(shown)},
    }


def _part_of(task: TaskInfo) -> dict[str, object] | None:
    """Return the flow or batch of *task*; None if it is part of none."""
    place = read_place(task.headers.get(HEADER))
    if place is None:
        return None
    return {"kind": place.kind, "queue": place.queue, "id": place.id}


def _worker(found: tuple[object, object] | None) -> dict[str, object] | None:
    if found is None:
        return None
    server, worker = map(fields, found)
    return {
        "server_id": server["id"],
        "host": server["host"],
        "pid": server["pid"],
        "started": worker["started"],
        "deadline": worker["deadline"],
    }


def _actions(call: Call, task: TaskInfo) -> list[str]:
    """Return what the principal may do to *task*, as its state allows."""
    if call.services.read_only:
        return []
    return [
        name
        for name, states in details.ACTIONS.items()
        if task.state in states and call.principal.may(Permission(f"task.{name}"))
    ]


# -- actions ---------------------------------------------------------------------------------------


def _move(permission: Permission, name: str) -> Handler:
    """Return a handler that calls the method *name* of the inspector for each task."""

    async def handle(call: Call, given: SelectionInput) -> object:
        move = getattr(call.services.inspector, name)

        async def act(task: Selected) -> None:
            await move(task.queue, task.id)

        return await do_each(call, permission, given.tasks, act, fields)

    return handle


async def reschedule(call: Call, given: RescheduleInput) -> object:
    """Make tasks due at another time."""
    at = time_of(given.at, given.in_s)

    async def act(task: Selected) -> None:
        await call.services.inspector.reschedule(task.queue, task.id, at)

    return await do_each(call, Permission.TASK_RESCHEDULE, given.tasks, act, fields)


async def cancel(call: Call, given: SelectionInput) -> object:
    """Ask the workers to stop tasks."""

    async def act(task: Selected) -> None:
        await call.services.inspector.cancel(task.id)

    return await do_each(call, Permission.TASK_CANCEL, given.tasks, act, fields)


async def duplicate(call: Call, given: SelectionInput) -> object:
    """Enqueue copies of tasks."""
    services = call.services
    made: list[dict[str, object]] = []

    async def act(selected: Selected) -> None:
        inspector, client = services.inspector, services.client
        info = await details.duplicate(inspector, client, selected.queue, selected.id)
        made.append({"queue": info.queue, "id": info.id})

    answer = await do_each(call, Permission.TASK_DUPLICATE, given.tasks, act, fields)
    return {**answer, "tasks": made}


async def update(call: Call, given: UpdateInput) -> object:
    """Change a task that waits, and return it.

    Raises:
        Problem: If nothing is to change, or the payload is no base64.
    """
    changes = _changes(given)
    if not changes:
        raise Problem(400, "invalid", "nothing is to change: give a payload, for instance")
    await call.services.inspector.update_task(given.queue, given.id, **changes)
    await call.services.audit.write(
        call.principal,
        Permission.TASK_UPDATE,
        f"{given.queue}/{given.id}",
        detail=", ".join(changes),
    )
    return await _detail(call, given.queue, given.id)


def _changes(given: UpdateInput) -> TaskChanges:
    changes: TaskChanges = {}
    if (payload := _payload(given)) is not None:
        changes["payload"] = payload
    if given.headers is not None:
        changes["headers"] = given.headers
    if given.max_retry is not None:
        changes["max_retry"] = given.max_retry
    if given.timeout is not None:
        changes["timeout"] = _duration("timeout", given.timeout)
    if given.deadline is not None:
        changes["deadline"] = given.deadline
    if given.retention is not None:
        changes["retention"] = _duration("retention", given.retention)
    return changes


def _payload(given: UpdateInput) -> bytes | None:
    if given.payload is not None:
        return given.payload.encode()
    if given.payload_base64 is None:
        return None
    try:
        return base64.b64decode(given.payload_base64, validate=True)
    except ValueError:
        raise Problem(400, "invalid", "this is no base64", field="payload_base64") from None


def _duration(field: str, seconds: float) -> timedelta:
    try:
        return timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        raise Problem(400, "invalid", "that is no time", field=field) from None


_act_on_tasks: Final = acts_on("Tasks", "/tasks")


def _act(
    permission: Permission,
    handler: Handler,
    input: type[SelectionInput] = SelectionInput,
) -> Route:
    action = permission.value.removeprefix("task.").capitalize()
    summary = f"{action} tasks that were selected"
    return _act_on_tasks(permission, input, handler, summary)


ROUTES: Final = (
    reads("searchTasks", "/tasks", SearchInput, search, "Tasks that match a search line"),
    reads("suggestTerms", "/tasks/suggest", SuggestInput, suggest, "What may stand at the caret"),
    reads("showTask", "/task", TaskInput, show, "One task, and why it waits"),
    _act(Permission.TASK_RUN, _move(Permission.TASK_RUN, "run_task")),
    _act(Permission.TASK_ARCHIVE, _move(Permission.TASK_ARCHIVE, "archive_task")),
    _act(Permission.TASK_DELETE, _move(Permission.TASK_DELETE, "delete_task")),
    _act(Permission.TASK_RESCHEDULE, reschedule, RescheduleInput),
    _act(Permission.TASK_CANCEL, cancel),
    _act(Permission.TASK_DUPLICATE, duplicate),
    acts_on("Task", "/task")(
        Permission.TASK_UPDATE, UpdateInput, update, "Change a task that waits"
    ),
)
