"""One task in detail: what happened to it, and why it waits."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from pyasynq.broker import Broker, Container
from pyasynq.client import Client
from pyasynq.client.flow_template import SUBFLOW
from pyasynq.core.call import INPUTS
from pyasynq.core.errors import OptionError
from pyasynq.core.info import QueueInfo, ServerInfo, TaskInfo, WorkerInfo
from pyasynq.core.json_form import text_of
from pyasynq.core.report import HEADER
from pyasynq.core.states import ALLOWED_STATES, Action, TaskState
from pyasynq.core.task import Task
from pyasynq.inspector import Inspector

if TYPE_CHECKING:
    from pyasynq.core.options import EnqueueOptions

NEAR: Final = 250
"""Pending tasks among which the place of one is looked for."""

ACTIONS: Final = {
    "run": ALLOWED_STATES[Action.RUN],
    "archive": ALLOWED_STATES[Action.ARCHIVE],
    "delete": ALLOWED_STATES[Action.DELETE],
    "update": ALLOWED_STATES[Action.UPDATE],
    "reschedule": ALLOWED_STATES[Action.RESCHEDULE],
    "cancel": frozenset({TaskState.ACTIVE}),
    "duplicate": frozenset(TaskState),
}
"""What can be done to a task, and the states in which it can."""

BOUND_HEADERS: Final = frozenset({INPUTS, SUBFLOW})
"""Headers of a step that uses results of other steps, or that is a flow itself."""


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """Why a task waits.

    Attributes:
        code: The reason, for programs.
        text: The reason, for people.
        position: Tasks that run before it, if that is known.
        at: When it ends, if that is known.
    """

    code: str
    text: str
    position: int | None = None
    at: datetime | None = None


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a task, or will.

    Attributes:
        at: When.
        what: ``failed``, ``started``, ``completed``, ``due``, ``deadline`` or ``deleted``.
        detail: More about it, for people.
    """

    at: datetime
    what: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """One task, with what it waits for.

    Attributes:
        task: The task.
        queue: Its queue.
        servers: All servers.
        position: Number of tasks that run before it; None if it does not wait, or very many do.
    """

    task: TaskInfo
    queue: QueueInfo
    servers: Sequence[ServerInfo]
    position: int | None

    @property
    def worker(self) -> tuple[ServerInfo, WorkerInfo] | None:
        """The server that runs it, and what it says about the run."""
        for server in self.servers:
            for worker in server.active_workers:
                if (worker.queue, worker.task_id) == (self.task.queue, self.task.id):
                    return server, worker
        return None


async def read_detail(broker: Broker, inspector: Inspector, queue: str, task_id: str) -> Detail:
    """Read the task *task_id* of *queue*, its queue, and who runs it.

    Raises:
        QueueNotFoundError: If there is no such queue.
        TaskNotFoundError: If the queue has no such task.
        PoisonError: If the stored task cannot be decoded.
        BrokerError: If the broker does not answer.
    """
    task = await inspector.task_info(queue, task_id)
    return Detail(
        task=task,
        queue=await inspector.queue_info(queue, memory=False),
        servers=await inspector.servers(),
        position=await _position(broker, task) if task.state is TaskState.PENDING else None,
    )


async def _position(broker: Broker, task: TaskInfo) -> int | None:
    """Return how many pending tasks run before *task*; None if there are very many."""
    container = Container(queue=task.queue, state=TaskState.PENDING)
    page = await broker.inspection.tasks(container, 0, NEAR)
    return next((n for n, it in enumerate(page.tasks) if it.id == task.id), None)


def reasons(detail: Detail) -> Iterator[Reason]:
    """Yield why a task is not running."""
    task = detail.task
    match task.state:
        case TaskState.ACTIVE:
            if task.is_orphaned:
                text = "its worker has died or lost its lease: another one will take it"
                yield Reason(code="orphaned", text=text)
            return
        case TaskState.COMPLETED | TaskState.ARCHIVED:
            return
        case TaskState.SCHEDULED:
            at = task.next_process_at
            yield Reason(code="due", text="it is scheduled for later", at=at)
        case TaskState.RETRY:
            text = f"it failed, and is tried again: {task.retried} of {task.max_retry} retries"
            yield Reason(code="retry", text=text, at=task.next_process_at)
        case TaskState.AGGREGATING:
            text = f"it waits in group {task.group!r} until the group is ready"
            yield Reason(code="group", text=text)
        case TaskState.PENDING:
            yield _place(detail.position)
    yield from _blocked(detail.queue, detail.servers)


def _place(position: int | None) -> Reason:
    if position is None:
        return Reason(code="many-before", text=f"{NEAR:,} or more tasks run before it")
    tasks = "1 task runs" if position == 1 else f"{position:,} tasks run"
    text = "it is the next to run" if position == 0 else f"{tasks} before it"
    return Reason(code="position", text=text, position=position)


def _blocked(queue: QueueInfo, servers: Sequence[ServerInfo]) -> Iterator[Reason]:
    """Yield what keeps all tasks of *queue* from running."""
    if queue.paused:
        yield Reason(code="paused", text=f"queue {queue.queue!r} is paused")
    serving = [server for server in servers if queue.queue in server.queues]
    taking = [server for server in serving if server.takes_tasks]
    if not serving:
        yield Reason(code="no-worker", text=f"no worker serves queue {queue.queue!r}")
    elif not taking:
        yield Reason(code="quiet", text=f"the workers of queue {queue.queue!r} take no tasks")
    elif all(server.active_worker_count >= server.concurrency for server in taking):
        slots = sum(server.concurrency for server in taking)
        yield Reason(code="all-slots-busy", text=f"all {slots} slots of its workers are busy")


def timeline(detail: Detail) -> list[Moment]:
    """Return what happened to a task and what will, in order, as far as it is known."""
    task, (_, worker) = detail.task, detail.worker or (None, None)
    moments = [
        Moment(at=it.failed_at, what="failed", detail=f"try {it.retried + 1}: {it.error}")
        for it in task.attempts
    ]
    if task.last_failed_at is not None and not moments:
        moments.append(Moment(at=task.last_failed_at, what="failed", detail=task.last_error or ""))
    if worker is not None and worker.started is not None:
        moments.append(Moment(at=worker.started, what="started"))
    if worker is not None and worker.deadline is not None:
        moments.append(Moment(at=worker.deadline, what="deadline", detail="this run must end"))
    if task.deadline is not None:
        moments.append(Moment(at=task.deadline, what="deadline", detail="the task must end"))
    if task.completed_at is not None:
        moments.append(Moment(at=task.completed_at, what="completed"))
        if task.retention is not None:
            moments.append(Moment(at=task.completed_at + task.retention, what="deleted"))
    if task.state in {TaskState.SCHEDULED, TaskState.RETRY} and task.next_process_at is not None:
        moments.append(Moment(at=task.next_process_at, what="due"))
    return sorted(moments, key=lambda moment: moment.at)


async def duplicate(inspector: Inspector, client: Client, queue: str, task_id: str) -> TaskInfo:
    """Enqueue a copy of the task *task_id* of *queue* to run at once, and return the copy.

    Raises:
        QueueNotFoundError: If there is no such queue.
        TaskNotFoundError: If the queue has no such task.
        OptionError: If it is a step that cannot run without its flow.
        PoisonError: If the stored task cannot be decoded.
        CodecError: If a codec cannot seal its payload.
        BrokerError: If the broker does not answer.
    """
    task = await inspector.task_info(queue, task_id)
    if BOUND_HEADERS & task.headers.keys():
        allowed = "a task that can run without its flow (this is a step: retry the flow)"
        raise OptionError("task", task_id, allowed)
    return await client.enqueue(as_task(task))


def as_task(task: TaskInfo) -> Task:
    """Return a new task like *task*, to run at once."""
    options: EnqueueOptions = {"queue": task.queue, "max_retry": task.max_retry}
    if task.timeout is not None:
        options["timeout"] = task.timeout
    if task.retention is not None:
        options["retention"] = task.retention
    if headers := _headers_of_copy(task):
        options["headers"] = headers
    return Task(task.type, task.payload, **options)


def _headers_of_copy(task: TaskInfo) -> dict[str, str]:
    """Return the headers of *task* without the one that names its flow or batch.

    With it the end of a copy would count there as that of *task*.
    """
    return {name: text for name, text in task.headers.items() if name != HEADER}


def as_command(task: TaskInfo) -> str:
    """Return the command that enqueues a task like *task*, without its payload if it is binary."""
    parts = ["pyasynq", "task", "enqueue", "-q", task.queue, "-t", task.type]
    if (text := text_of(task.payload)) is not None:
        parts += ["-l", text]
    for name, value in _headers_of_copy(task).items():
        parts += ["-H", f"{name}={value}"]
    parts += ["--retry", str(task.max_retry)]
    if task.timeout is not None:
        parts += ["--timeout", f"{task.timeout.total_seconds():.0f}s"]
    if task.retention is not None:
        parts += ["--retention", f"{task.retention.total_seconds():.0f}s"]
    return shlex.join(parts)


def as_python(task: TaskInfo) -> str:
    """Return Python code that makes a task like *task*."""
    options = [f"queue={task.queue!r}", f"max_retry={task.max_retry}"]
    if headers := _headers_of_copy(task):
        options.append(f"headers={headers!r}")
    if task.timeout is not None:
        options.append(f"timeout=timedelta(seconds={task.timeout.total_seconds():.0f})")
    if task.retention is not None:
        options.append(f"retention=timedelta(seconds={task.retention.total_seconds():.0f})")
    return f"pyasynq.Task({task.type!r}, {task.payload!r}, {', '.join(options)})"
