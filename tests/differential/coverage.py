"""Label what an operation did, so that a test can check which kinds were reached."""

from collections.abc import Iterator
from typing import Final

from pyasynq.core.states import ALLOWED_STATES, Action, TaskState
from tests.differential import operations as ops
from tests.differential.comparison import Case
from tests.differential.snapshot import Snapshot

STATES: Final = tuple(state.value for state in TaskState)
BULK: Final = {
    "run_all": ("scheduled", "retry", "archived", "aggregating"),
    "archive_all": ("pending", "scheduled", "retry", "aggregating"),
    "delete_all": ("pending", "scheduled", "retry", "archived", "completed", "aggregating"),
}
"""The actions of Go's inspector on all tasks in a state."""

SINGLE: Final = {
    "run_task": ALLOWED_STATES[Action.RUN],
    "archive_task": ALLOWED_STATES[Action.ARCHIVE],
    "delete_task": ALLOWED_STATES[Action.DELETE],
    "update_payload": ALLOWED_STATES[Action.UPDATE_PAYLOAD],
}


def labels(case: Case) -> list[str]:
    """Return labels of what was done, as detailed as sections 3 and 8 of the protocol."""
    match case.operation:
        case ops.Work(queue=queue, outcomes=outcomes) | ops.End(queue=queue, outcomes=outcomes):
            return [_what(case), *_settled(case, queue, outcomes)]
        case ops.Maintain(queue=queue, what=what, ids=ids) if ids:
            found = [i for i in ids if f"asynq:{{{queue}}}:t:{i}" in case.python.keys]
            return [f"{what} -> {_state(case, queue, i)}" for i in found] or [f"{what} -> gone"]
        case _:
            return [_what(case)]


def about(operation: ops.Operation, before: Snapshot) -> str:
    """Return the name of an operation and the state that it is about."""
    name = operation.name
    match operation:
        case ops.Enqueue(own=own, options=options) if own.unique or options.unique:
            name = "enqueue unique"
        case ops.Work(count=count, concurrency=concurrency):
            name = (
                f"work: {('side by side' if concurrency > 1 else 'in turn') if count else 'none'}"
            )
        case ops.End(abort=True):
            name = "end: abort"
        case ops.Maintain(what=what):
            name = what
        case ops.ListTasks(state=state) | ops.OfState(state=state):
            name = f"{name}: {state}"
        case ops.OfTask(queue=queue, id=task_id):
            data = before.field(f"asynq:{{{queue}}}:t:{task_id}", "state")
            name = f"{name}: {(data or b'unknown').decode()}"
        case ops.DeleteQueue(force=True):
            name = f"{name} by force"
        case _:
            pass
    return name


def _what(case: Case) -> str:
    """Return the label of the operation, with its end."""
    return f"{about(case.operation, case.before)} -> {_end(case)}"


def _end(case: Case) -> str:
    answer = case.python_answer
    if answer.error is None and isinstance(case.operation, ops.Enqueue):
        return str(answer.value.state)
    return answer.error or "ok"


def _settled(case: Case, queue: str, outcomes: ops.Outcomes) -> Iterator[str]:
    return (f"{outcome.kind} -> {_state(case, queue, i)}" for i, outcome in outcomes.items())


def _state(case: Case, queue: str, task_id: str) -> str:
    data = case.python.field(f"asynq:{{{queue}}}:t:{task_id}", "state")
    return data.decode() if data else "gone"


def _of(names: str) -> frozenset[str]:
    return frozenset(line.strip() for line in names.strip().splitlines())


REQUIRED: Final = (
    frozenset(f"list_tasks: {state} -> ok" for state in STATES)
    | frozenset(f"task_info: {state} -> ok" for state in STATES)
    | frozenset(f"{name}: {state} -> ok" for name, states in BULK.items() for state in states)
    | frozenset(f"{name}: {state} -> ok" for name, states in SINGLE.items() for state in states)
    | _of(
        """
        enqueue -> pending
        enqueue -> scheduled
        enqueue -> aggregating
        enqueue -> conflict
        enqueue -> refused
        enqueue unique -> pending
        enqueue unique -> scheduled
        enqueue unique -> aggregating
        enqueue unique -> duplicate
        enqueue_many -> ok
        work: in turn -> ok
        work: side by side -> ok
        work: none -> ok
        begin -> ok
        cancel -> ok
        end -> ok
        end: abort -> ok
        crash -> ok
        ok -> gone
        ok -> completed
        fail -> retry
        fail -> archived
        spare -> retry
        spare -> archived
        skip -> archived
        revoke -> gone
        forward -> pending
        forward -> aggregating
        expire -> gone
        recover -> retry
        recover -> archived
        reclaim -> ok
        aggregate -> ok
        queues -> ok
        queue_info -> ok
        history -> ok
        groups -> ok
        pause -> ok
        pause -> paused
        unpause -> ok
        unpause -> not paused
        delete_queue -> ok
        delete_queue -> queue not empty
        delete_queue -> active
        delete_queue by force -> ok
        delete_queue by force -> active
        run_task: pending -> state
        run_task: active -> state
        archive_task: archived -> state
        archive_task: active -> state
        delete_task: active -> state
        update_payload: pending -> state
        run_task: unknown -> task not found
        archive_task: unknown -> task not found
        delete_task: unknown -> task not found
        update_payload: unknown -> task not found
        servers -> ok
        """
    )
)
"""The labels that the random sequences must reach."""
