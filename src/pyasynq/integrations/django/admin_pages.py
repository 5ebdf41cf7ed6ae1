"""What the pages of the admin show, read from the broker."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode

from pyasynq.core.errors import PyasynqError
from pyasynq.core.info import GroupInfo, QueueInfo, TaskInfo
from pyasynq.core.options import DEFAULT_QUEUE
from pyasynq.core.states import TaskState
from pyasynq.inspector import Inspector
from pyasynq.integrations.django.project import project_app

SIZE: Final = 50
"""Tasks on a page."""

LONGEST: Final = 10_000
"""Characters of a payload or result that are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A choice of a filter.

    Attributes:
        label: Its name.
        count: Number of its tasks.
        query: The query of the page that it leads to.
        chosen: Whether this page is the one.
    """

    label: str
    count: int
    query: str
    chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPage:
    """Tasks of a queue in one state; empty if there is no queue."""

    queue: str = DEFAULT_QUEUE
    state: TaskState = TaskState.PENDING
    queues: Sequence[Choice] = ()
    states: Sequence[Choice] = ()
    groups: Sequence[Choice] = ()
    tasks: Sequence[tuple[TaskInfo, str]] = ()
    number: int = 1
    previous: str = ""
    next: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPage:
    """One task, with payload and result as text."""

    task: TaskInfo
    payload: str
    result: str
    fields: Sequence[tuple[str, object]] = field(default_factory=tuple[tuple[str, object], ...])


async def read_list(given: Mapping[str, str]) -> ListPage:
    """Return the page that the query *given* names.

    Raises:
        OptionError: If it names no state or no page.
        QueueNotFoundError: If there is no such queue.
        BrokerError: If the broker does not answer.
    """
    async with project_app().inspector() as inspector:
        names = await inspector.queues()
        if not names:
            return ListPage()
        infos = [await inspector.queue_info(name, memory=False) for name in names]
        queue = given.get("queue") or (DEFAULT_QUEUE if DEFAULT_QUEUE in names else names[0])
        state = TaskState(given["state"]) if given.get("state") in [*TaskState] else None
        return await _read_tasks(inspector, infos, queue, state or TaskState.PENDING, given)


async def _read_tasks(
    inspector: Inspector,
    infos: Sequence[QueueInfo],
    queue: str,
    state: TaskState,
    given: Mapping[str, str],
) -> ListPage:
    number = int(page) if (page := given.get("page", "")).isdecimal() else 1
    groups = await inspector.groups(queue) if state is TaskState.AGGREGATING else []
    group = given.get("group") or next((it.group for it in groups), None)
    query = {"queue": queue, "state": state.value} | ({"group": group} if groups and group else {})
    tasks: list[TaskInfo] = []
    if groups or state is not TaskState.AGGREGATING:
        tasks = await inspector.list_tasks(
            queue, state, page=number, size=SIZE, group=group if groups else None
        )
    return ListPage(
        queue=queue,
        state=state,
        queues=[_queue_choice(info, queue, state) for info in infos],
        states=[
            _state_choice(info, it, state)
            for info in infos
            if info.queue == queue
            for it in TaskState
        ],
        groups=[_group_choice(it, query) for it in groups],
        tasks=[(task, urlencode({"queue": queue, "id": task.id})) for task in tasks],
        number=number,
        previous=urlencode(query | {"page": str(number - 1)}) if number > 1 else "",
        next=urlencode(query | {"page": str(number + 1)}) if len(tasks) == SIZE else "",
    )


def _queue_choice(info: QueueInfo, queue: str, state: TaskState) -> Choice:
    query = urlencode({"queue": info.queue, "state": state.value})
    label = f"{info.queue} (paused)" if info.paused else info.queue
    return Choice(label=label, count=info.size, query=query, chosen=info.queue == queue)


def _state_choice(info: QueueInfo, one: TaskState, state: TaskState) -> Choice:
    query = urlencode({"queue": info.queue, "state": one.value})
    return Choice(label=one.value, count=getattr(info, one.value), query=query, chosen=one is state)


def _group_choice(group: GroupInfo, query: Mapping[str, str]) -> Choice:
    own = urlencode({**query, "group": group.group})
    chosen = query.get("group") == group.group
    return Choice(label=group.group, count=group.size, query=own, chosen=chosen)


async def read_task(queue: str, task_id: str) -> TaskPage:
    """Return the page of one task.

    Raises:
        OptionError: If the id cannot be one.
        QueueNotFoundError: If there is no such queue.
        TaskNotFoundError: If the queue has no such task.
        BrokerError: If the broker does not answer.
    """
    async with project_app().inspector() as inspector:
        task = await inspector.task_info(queue, task_id)
    return TaskPage(
        task=task,
        payload=_readable(task.payload),
        result=_readable(task.result or b""),
        fields=[(label, value) for label, value in _fields(task) if value not in {None, ""}],
    )


def _fields(task: TaskInfo) -> Sequence[tuple[str, object]]:
    return (
        ("Id", task.id),
        ("Queue", task.queue),
        ("Type", task.type),
        ("State", task.state.value),
        ("Group", task.group),
        ("Next run", task.next_process_at),
        ("Retries", f"{task.retried} of {task.max_retry}"),
        ("Last failed at", task.last_failed_at),
        ("Last error", task.last_error),
        ("Timeout", task.timeout),
        ("Deadline", task.deadline),
        ("Completed at", task.completed_at),
        ("Kept after success", task.retention),
        ("Sealed by", task.sealed),
        ("Headers", "\n".join(f"{name}: {value}" for name, value in task.headers.items())),
    )


async def perform(action: str, queue: str, ids: Sequence[str]) -> list[PyasynqError | None]:
    """Perform *action* on each of the tasks; return its error, or None."""
    async with project_app().inspector() as inspector:
        return [await _perform(inspector, action, queue, task_id) for task_id in ids]


async def _perform(
    inspector: Inspector, action: str, queue: str, task_id: str
) -> PyasynqError | None:
    try:
        match action:
            case "run":
                await inspector.run_task(queue, task_id)
            case "archive":
                await inspector.archive_task(queue, task_id)
            case "delete":
                await inspector.delete_task(queue, task_id)
            case _:
                await inspector.cancel(task_id)
    except PyasynqError as error:
        return error
    return None


def _readable(data: bytes) -> str:
    """Return *data* as text: JSON with indents, other text as it is, and bytes as Python shows."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return repr(data)[:LONGEST]
    try:
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text[:LONGEST]
    return text[:LONGEST]
