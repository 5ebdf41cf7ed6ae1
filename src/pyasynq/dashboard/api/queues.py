"""Routes about queues and groups."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Annotated, Any, Final

import msgspec

from pyasynq.core.json_form import fields
from pyasynq.core.states import TaskState
from pyasynq.dashboard.api.inputs import QueueInput
from pyasynq.dashboard.api.jobs import finish
from pyasynq.dashboard.api.outcomes import Outcomes
from pyasynq.dashboard.problems import Problem
from pyasynq.dashboard.routes import API, Call, Route, reads
from pyasynq.inspector.errors import ErrorGroup, add_failure
from pyasynq.inspector.filters import container_of
from pyasynq.operations.finder import MOST_LOOKED_AT, STEP
from pyasynq.operations.jobs import Job, new_job
from pyasynq.operations.permissions import Permission

DAYS: Final = 10
"""Days of counts of a queue."""

MOST_QUEUES: Final = 100

FAILED: Final = (TaskState.RETRY, TaskState.ARCHIVED)


class ErrorsInput(msgspec.Struct, frozen=True, kw_only=True):
    """Where failures are grouped; nothing means all queues, and retry as well as archived."""

    queue: str = ""
    state: str = ""


class QueuesInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Some queues."""

    queues: Annotated[list[str], msgspec.Meta(min_length=1, max_length=MOST_QUEUES)]


class DeleteInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A queue; with *force* its tasks are deleted, too."""

    queue: str
    force: bool = False


async def show_queue(call: Call, given: QueueInput) -> object:
    """Return a queue with its memory, its nodes, and what it did in the last days."""
    inspector = call.services.inspector
    info = await inspector.queue_info(given.queue)
    rows = await call.services.sampler.queue_rows()
    return {
        **rows.get(given.queue, {}),
        **fields(info),
        "days": await inspector.history(given.queue, DAYS),
        "nodes": await inspector.queue_nodes(given.queue),
    }


async def list_groups(call: Call, given: QueueInput) -> object:
    """Return the groups of a queue."""
    groups = await call.services.inspector.groups(given.queue)
    return {"items": [{"queue": given.queue, **fields(group)} for group in groups]}


async def list_errors(call: Call, given: ErrorsInput) -> object:
    """Return failed tasks by type and error; at most `MOST_LOOKED_AT` tasks are looked at.

    Raises:
        Problem: If the state is not one of failed tasks.
    """
    if given.state and given.state not in FAILED:
        text = f"state must be one of {', '.join(FAILED)}"
        raise Problem(400, "invalid", text, field="state")
    states = [TaskState(given.state)] if given.state else FAILED
    inspector = call.services.inspector
    queues = [given.queue] if given.queue else await inspector.queues()
    count = _Count(call)
    for queue in queues:
        info = await inspector.queue_info(queue, memory=False)
        count.total += sum(int(getattr(info, state.value)) for state in states)
        for state in states:
            await count.look_at(queue, state)
    groups = sorted(count.groups(), key=lambda it: -it[1].count)
    return {
        "items": [{"queue": queue, **fields(group)} for queue, group in groups],
        "looked_at": count.looked_at,
        "total": count.total,
        "complete": count.looked_at < MOST_LOOKED_AT,
    }


class _Count:
    """Counts failed tasks."""

    def __init__(self, call: Call) -> None:
        self.looked_at = 0
        self.total = 0
        self._actions = call.services.actions
        self._by_queue: dict[str, dict[tuple[str, str], ErrorGroup]] = {}

    async def look_at(self, queue: str, state: TaskState) -> None:
        """Count the tasks of *queue* in *state*, until enough were looked at."""
        groups = self._by_queue.setdefault(queue, {})
        start, more = 0, True
        while more and self.looked_at < MOST_LOOKED_AT:
            page = await self._actions.tasks(container_of(queue, state, None), start, STEP)
            for task in page.tasks:
                add_failure(groups, task)
            self.looked_at += len(page.tasks)
            start, more = start + STEP, page.more

    def groups(self) -> Sequence[tuple[str, ErrorGroup]]:
        """Return each kind of failure with its queue."""
        return [(queue, it) for queue, found in self._by_queue.items() for it in found.values()]


def _each_queue(
    permission: Permission, name: str
) -> Callable[[Call, QueuesInput], Coroutine[Any, Any, object]]:
    """Return a handler that calls the method *name* of the inspector for some queues."""

    async def handle(call: Call, given: QueuesInput) -> object:
        services, outcomes = call.services, Outcomes()
        act = getattr(services.inspector, name)
        await outcomes.try_each(given.queues, act, lambda queue: {"queue": queue})
        target = ", ".join(given.queues)
        await services.audit.write(
            call.principal,
            permission,
            target,
            count=outcomes.done,
            outcome="done" if outcomes.done else "refused",
            detail=str(outcomes.refused[0]["detail"]) if outcomes.refused else "",
        )
        return outcomes.members()

    return handle


async def delete_queue(call: Call, given: DeleteInput) -> object:
    """Begin to delete a queue.

    Raises:
        QueueNotFoundError: If there is no such queue.
        Problem: If it has tasks, and may not be deleted with them.
    """
    services = call.services
    info = await services.inspector.queue_info(given.queue, memory=False)
    if info.active:
        raise Problem(409, "conflict", f"queue {given.queue!r} has running tasks")
    if info.size and not given.force:
        text = f"queue {given.queue!r} has {info.size} tasks: delete it with force"
        raise Problem(409, "conflict", text)
    job = new_job(Permission.QUEUE_DELETE, given.queue, call.principal.name)
    job.total = job.matched = info.size

    async def work(job: Job) -> None:
        def progress(count: int) -> None:
            job.done = job.looked_at = count

        await services.inspector.delete_queue(given.queue, force=given.force, progress=progress)

    await services.audit.write(
        call.principal, Permission.QUEUE_DELETE, given.queue, count=0, outcome="begun"
    )
    return services.jobs.begin(job, work, finish(call))


ROUTES: Final = (
    reads("showQueue", "/queue", QueueInput, show_queue, "One queue"),
    reads("listGroups", "/groups", QueueInput, list_groups, "The groups of a queue"),
    reads("listErrors", "/errors", ErrorsInput, list_errors, "Failed tasks by type and error"),
    Route(
        name="pauseQueues",
        method="POST",
        path=f"{API}/queues/pause",
        permission=Permission.QUEUE_PAUSE,
        input=QueuesInput,
        handler=_each_queue(Permission.QUEUE_PAUSE, "pause"),
        summary="Stop workers from taking tasks of some queues",
    ),
    Route(
        name="resumeQueues",
        method="POST",
        path=f"{API}/queues/resume",
        permission=Permission.QUEUE_RESUME,
        input=QueuesInput,
        handler=_each_queue(Permission.QUEUE_RESUME, "unpause"),
        summary="Let workers take tasks of some queues again",
    ),
    Route(
        name="deleteQueue",
        method="POST",
        path=f"{API}/queues/delete",
        permission=Permission.QUEUE_DELETE,
        input=DeleteInput,
        handler=delete_queue,
        summary="Delete a queue",
        status=202,
    ),
)
