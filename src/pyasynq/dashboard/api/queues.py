"""Routes about queues and groups."""

import functools
from typing import Annotated, Final

import msgspec

from pyasynq.core.json_form import fields
from pyasynq.core.states import FAILED, TaskState
from pyasynq.dashboard.api.inputs import QueueInput
from pyasynq.dashboard.api.outcomes import do_each
from pyasynq.dashboard.problems import Problem
from pyasynq.dashboard.routes import Call, Handler, acts_on, reads
from pyasynq.operations.failures import FailureCount
from pyasynq.operations.jobs import new_job
from pyasynq.operations.permissions import Permission

DAYS: Final = 10
"""Days of counts of a queue."""

MOST_QUEUES: Final = 100


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
    """Return failed tasks by type and error; at most 10,000 tasks are looked at.

    Raises:
        Problem: If the state is not one of failed tasks.
    """
    if given.state and given.state not in FAILED:
        text = f"state must be one of {', '.join(FAILED)}"
        raise Problem(400, "invalid", text, field="state")
    states = [TaskState(given.state)] if given.state else FAILED
    count = FailureCount(call.services.inspector, call.services.actions)
    if given.queue:
        await count.look_at(given.queue, states)
    else:
        await count.look_at_all(states)
    return {
        "items": [{"queue": queue, **fields(group)} for queue, group in count.groups()],
        "looked_at": count.looked_at,
        "total": count.total,
        "complete": count.is_complete,
    }


def _each_queue(permission: Permission, name: str) -> Handler:
    """Return a handler that calls the method *name* of the inspector for some queues."""

    async def handle(call: Call, given: QueuesInput) -> object:
        act = getattr(call.services.inspector, name)
        return await do_each(call, permission, given.queues, act, lambda it: {"queue": it})

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
    work = functools.partial(services.jobs.delete_queue, force=given.force)
    return services.jobs.begin(job, call.principal, work)


_act: Final = acts_on("Queues", "/queues")

ROUTES: Final = (
    reads("showQueue", "/queue", QueueInput, show_queue, "One queue"),
    reads("listGroups", "/groups", QueueInput, list_groups, "The groups of a queue"),
    reads("listErrors", "/errors", ErrorsInput, list_errors, "Failed tasks by type and error"),
    _act(
        Permission.QUEUE_PAUSE,
        QueuesInput,
        _each_queue(Permission.QUEUE_PAUSE, "pause"),
        "Stop workers from taking tasks of some queues",
    ),
    _act(
        Permission.QUEUE_RESUME,
        QueuesInput,
        _each_queue(Permission.QUEUE_RESUME, "unpause"),
        "Let workers take tasks of some queues again",
    ),
    acts_on("Queue", "/queues", status=202)(
        Permission.QUEUE_DELETE, DeleteInput, delete_queue, "Delete a queue"
    ),
)
