"""Rules for the inspector and the janitor, which differ from Go's on purpose; see `core_rules`."""

import hashlib
from typing import Final

from tests.differential import operations as ops
from tests.differential.comparison import CLOCK_S, NOTHING, Case, Difference
from tests.differential.facts import (
    holder,
    is_now,
    only_go,
    only_python,
    split_key,
    task_of,
    too_old,
)
from tests.differential.go_side import UNTYPED

TRIMMING: Final = (ops.Work, ops.Begin, ops.End, ops.Maintain)
"""Operations during which Python's janitor works."""

ARCHIVING: Final = (ops.ArchiveTask, ops.ArchiveAll)
RUNNING: Final = (ops.RunTask, ops.RunAll)


def _is_answer(difference: Difference, part: str) -> bool:
    return difference.path == ("answer", part)


def _errors(case: Case) -> tuple[str | None, str | None]:
    return case.go_answer.error, case.python_answer.error


def _is_left(case: Case, difference: Difference) -> bool:
    """Tell whether only Go still has a part that both had before."""
    return only_go(difference) and case.alike(
        case.before.atoms.get(difference.path, NOTHING), difference.go
    )


# -- tasks and locks that go -----------------------------------------------------------------------


def locks_go_with_their_tasks(case: Case, difference: Difference) -> bool:
    queue, rest = split_key(difference.key)
    task = f"asynq:{{{queue}}}:t:{holder(case, difference.key)}"
    return (
        rest.startswith("unique:")
        and _is_left(case, difference)
        and task in case.before.keys
        and task not in case.python.keys
        and (_is_deleted_in_bulk(case) or task.split(":t:", 1)[1] in too_old(case, queue))
    )


def _is_deleted_in_bulk(case: Case) -> bool:
    return isinstance(case.operation, ops.DeleteAll) and case.operation.state in {
        "pending",
        "aggregating",
    }


def trimmed_tasks_are_deleted(case: Case, difference: Difference) -> bool:
    queue, _ = split_key(difference.key)
    return (
        isinstance(case.operation, ARCHIVING)
        and _is_left(case, difference)
        and task_of(difference) in too_old(case, queue)
        and task_of(difference) not in case.go.members(f"asynq:{{{queue}}}:archived")
    )


def the_archive_is_trimmed_ahead_of_need(case: Case, difference: Difference) -> bool:
    queue, rest = split_key(difference.key)
    task_id = difference.part if rest == "archived" else task_of(difference)
    return (
        isinstance(case.operation, TRIMMING)
        and _is_left(case, difference)
        and task_id in too_old(case, queue)
        and task_id in case.go.members(f"asynq:{{{queue}}}:archived")
    )


def nothing_archived_trims_nothing(case: Case, difference: Difference) -> bool:
    queue, rest = split_key(difference.key)
    return (
        isinstance(case.operation, ops.ArchiveAll)
        and (case.go_answer.value, case.python_answer.value) == (0, 0)
        and rest == "archived"
        and only_python(difference)
        and difference.part in too_old(case, queue)
    )


# -- tasks that move -------------------------------------------------------------------------------


def pending_since_is_set_and_cleared(case: Case, difference: Difference) -> bool:
    if difference.part != "pending_since":
        return False
    before = case.before.atoms.get(difference.path, NOTHING)
    if isinstance(case.operation, RUNNING):
        return difference.go == before and is_now(case, difference.python)
    return isinstance(case.operation, ARCHIVING) and _is_left(case, difference)


def a_task_moved_by_hand_forgets_its_group(case: Case, difference: Difference) -> bool:
    moved = isinstance(case.operation, (*RUNNING, *ARCHIVING))
    return moved and difference.part == "group" and _is_left(case, difference)


def the_lock_goes_with_the_payload(case: Case, difference: Difference) -> bool:
    operation = case.operation
    if not isinstance(operation, ops.UpdatePayload):
        return False
    task = f"asynq:{{{operation.queue}}}:t:{operation.id}"
    old = case.before.message(task).unique_key if task in case.before.keys else ""
    if not old:
        return False
    new = f"{old.rsplit(':', 1)[0]}:{hashlib.md5(operation.payload).hexdigest()}"
    if _errors(case) == (None, "duplicate"):
        return _is_refused_change(case, difference, task, new)
    if difference.key == task:
        return _is_renamed(difference, old, new)
    return holder(case, old) == operation.id and _is_moved_lock(case, difference, old, new)


def _is_refused_change(case: Case, difference: Difference, task: str, new: str) -> bool:
    held = bool(holder(case, new)) and holder(case, new) != task.split(":t:", 1)[1]
    return held and difference.path in {(task, "msg.payload"), ("answer", "error"), ("answer", "")}


def _is_renamed(difference: Difference, old: str, new: str) -> bool:
    if difference.part == "msg.unique_key":
        return (difference.go, difference.python) == (old, new)
    of_go = difference.go in (NOTHING, old.encode())
    return difference.part == "unique_key" and of_go and difference.python == new.encode()


def _is_moved_lock(case: Case, difference: Difference, old: str, new: str) -> bool:
    """Tell whether the lock has a new name, and the same holder and expiry."""
    moved, locks = case.before.keys[old], case.python.keys
    if old in locks or new not in locks or locks[new].value != moved.value:
        return False
    ends = abs((locks[new].expires_at or 0) - (moved.expires_at or 0))
    return ends < CLOCK_S and difference.key in {old, new}


# -- queues ----------------------------------------------------------------------------------------


def removal_looks_at_all_tasks(case: Case, difference: Difference) -> bool:
    operation = case.operation
    if not isinstance(operation, ops.DeleteQueue):
        return False
    queue = operation.queue
    states = {
        key.value["state"]
        for name, key in case.before.keys.items()
        if name.startswith(f"asynq:{{{queue}}}:t:")
    }
    if _errors(case) == (None, "queue not empty"):
        unseen = bool(states) and states <= {b"completed", b"aggregating"} and not operation.force
        return unseen and (difference.key == "answer" or difference.path == ("asynq:queues", queue))
    gone = not any(name.startswith(f"asynq:{{{queue}}}:") for name in case.python.keys)
    of_queue, _ = split_key(difference.key)
    return (
        _errors(case) == (None, None) and gone and of_queue == queue and _is_left(case, difference)
    )


def unknown_queues_are_named_as_such(case: Case, difference: Difference) -> bool:
    if not _is_unknown(case) or difference.key != "answer":
        return False
    if isinstance(case.operation, ops.Groups):
        names = case.before.members(f"asynq:{{{case.operation.queue}}}:groups")
        shown = [group.group for group in case.go_answer.value]
        return shown == sorted(names) and case.python_answer.error == "queue not found"
    return _errors(case) == (UNTYPED, "queue not found")


def running_tasks_are_named_as_the_reason(case: Case, difference: Difference) -> bool:
    operation = case.operation
    return (
        isinstance(operation, ops.DeleteQueue)
        and not operation.force
        and bool(case.before.members(f"asynq:{{{operation.queue}}}:active"))
        and _is_answer(difference, "error")
        and _errors(case) == ("queue not empty", "active")
    )


def unknown_queues_cannot_be_paused(case: Case, difference: Difference) -> bool:
    if not isinstance(case.operation, ops.Pause) or not _is_unknown(case):
        return False
    paused = f"asynq:{{{case.operation.queue}}}:paused"
    refused = case.python_answer.error == "queue not found"
    return refused and difference.key in {"answer", paused}


def _is_unknown(case: Case) -> bool:
    operation = case.operation
    known = case.before.members("asynq:queues")
    return isinstance(operation, ops.OfQueue) and operation.queue not in known


def pages_and_sizes_count_from_one(case: Case, difference: Difference) -> bool:
    operation = case.operation
    return (
        isinstance(operation, ops.ListTasks)
        and 0 in (operation.page, operation.size)
        and difference.key == "answer"
        and case.python_answer.error == "refused"
        and case.go_answer.error in {None, "queue not found"}
    )
