"""Rules for clients and servers, which differ from Go's on purpose.

A rule checks both sides and the state before the operation, so that it accepts only what its entry
says.
"""

import math
from typing import cast

import msgspec

from pyasynq.core.attempts import decode_attempts
from tests.differential import operations as ops
from tests.differential.comparison import NOTHING, Case, Difference
from tests.differential.facts import (
    OTHER_DELAY_S,
    added_s,
    enqueued,
    errors,
    holder,
    is_now,
    merged,
    only_go,
    only_python,
    rounded_up,
    split_key,
    state,
    task_of,
)
from tests.differential.operations import Choices, Enqueue
from tests.differential.snapshot import EXPIRY, MEMBER, Atom, Instant


def due_times_are_rounded_up(case: Case, difference: Difference) -> bool:
    _, rest = split_key(difference.key)
    is_score = rest in {"scheduled", "retry", "completed", "lease"}
    is_answer = difference.key == "answer" and difference.part.endswith("next_process_at.")
    return (is_score or is_answer) and rounded_up(case, difference, added_s(case, "process_in"))


def the_id_is_checked_before_the_lock(case: Case, difference: Difference) -> bool:
    return any(
        _is_leaked_lock(case, difference, place, task) or _is_other_refusal(case, difference, place)
        for place, task in enqueued(case)
    )


def _is_leaked_lock(case: Case, difference: Difference, place: str, task: Enqueue) -> bool:
    options = merged(task)
    of_queue, rest = split_key(difference.key)
    return (
        only_go(difference)
        and errors(case, place) == ("conflict", "conflict")
        and (of_queue, rest.startswith("unique:")) == (options.queue, True)
        and difference.key not in case.before.keys
        and case.go.keys[difference.key].value == (options.task_id or "").encode()
    )


def _is_other_refusal(case: Case, difference: Difference, place: str) -> bool:
    refused = difference.key == "answer" and difference.part == f"{place}error"
    return refused and errors(case, place) == ("duplicate", "conflict")


def the_lock_of_a_grouped_task_is_stored(case: Case, difference: Difference) -> bool:
    return (
        difference.part == "unique_key"
        and only_python(difference)
        and any(True for _ in enqueued(case))
        and state(case, difference) == b"aggregating"
        and difference.python == case.python.message(difference.key).unique_key.encode()
    )


def locks_are_rounded_up(case: Case, difference: Difference) -> bool:
    """Tell whether Go cut the TTL of a lock to whole seconds, and Python rounded it up.

    If the task waits for an instant, the TTL includes the time until then, which has a fraction of
    a second. Go cuts it off, Python rounds it up.
    """
    is_lock = split_key(difference.key)[1].startswith("unique:")
    more_s = math.ceil(added_s(case, "unique") + added_s(case, "process_in"))
    waits = any(merged(task).process_at for _, task in enqueued(case))
    return is_lock and difference.part == EXPIRY and rounded_up(case, difference, more_s + waits)


def a_delayed_task_keeps_its_group(case: Case, difference: Difference) -> bool:
    return (
        difference.part == "group"
        and only_python(difference)
        and any(True for _ in enqueued(case))
        and state(case, difference) == b"scheduled"
        and difference.python == case.python.message(difference.key).group_key.encode()
    )


def forwarding_registers_the_group(case: Case, difference: Difference) -> bool:
    queue, rest = split_key(difference.key)
    return (
        isinstance(case.operation, ops.Maintain)
        and case.operation.what == "forward"
        and rest == "groups"
        and only_python(difference)
        and bool(case.go.members(f"asynq:{{{queue}}}:g:{difference.part}"))
    )


def servers_note_how_far_they_have_searched(case: Case, difference: Difference) -> bool:
    is_ours = split_key(difference.key)[1] == "group_search"
    before = case.before.atoms.get(difference.path, NOTHING)
    return is_ours and difference.part in {"cursor", "from_s", EXPIRY} and difference.go == before


def reclaiming_registers_the_group(case: Case, difference: Difference) -> bool:
    operation = case.operation
    return (
        isinstance(operation, ops.Maintain)
        and operation.what == "reclaim"
        and difference.path == (f"asynq:{{{operation.queue}}}:groups", operation.group)
        and only_python(difference)
    )


def combining_releases_the_locks(case: Case, difference: Difference) -> bool:
    operation = case.operation
    if not isinstance(operation, ops.Aggregate) or not only_go(difference):
        return False
    members = case.before.members(f"asynq:{{{operation.queue}}}:g:{operation.group}")
    is_lock = split_key(difference.key)[1].startswith("unique:")
    return is_lock and holder(case, difference.key) in members


def a_requeued_task_waits_since_now(case: Case, difference: Difference) -> bool:
    return (
        isinstance(case.operation, ops.End)
        and case.operation.abort
        and difference.part == "pending_since"
        and only_python(difference)
        and is_now(case, difference.python)
    )


def queues_are_registered_again(case: Case, difference: Difference) -> bool:
    queues = {merged(task).queue for _, task in enqueued(case)}
    if isinstance(case.operation, ops.Working):
        queues = {case.operation.queue}
    return (
        difference.key == "asynq:queues"
        and difference.part in queues
        and (difference.go, difference.python) == (NOTHING, MEMBER)
    )


def a_stamp_says_who_holds_a_task(case: Case, difference: Difference) -> bool:
    if difference.part != "owner" or task_of(difference) is None:
        return False
    left_over = case.before.field(difference.key, "owner")
    is_ours = difference.python is NOTHING or _is_stamp(case, difference)
    return is_ours and difference.go in (NOTHING, left_over)


def _is_stamp(case: Case, difference: Difference) -> bool:
    queue, task_id = split_key(difference.key)[0], task_of(difference)
    lease = case.python.keys.get(f"asynq:{{{queue}}}:lease")
    if lease is None or not isinstance(difference.python, bytes):
        return False
    ends = lease.value.get(task_id, math.nan)
    return difference.python.endswith(f"@{ends:.0f}".encode())


def a_recovered_task_runs_at_once(case: Case, difference: Difference) -> bool:
    go, python = difference.go, difference.python
    if not isinstance(case.operation, ops.Maintain) or case.operation.what != "recover":
        return False
    if not isinstance(go, Instant) or not isinstance(python, Instant):
        return False
    now_s, slack_s = case.started_s, 1 + case.slack_s(go)
    return (
        split_key(difference.key)[1] == "retry"
        and abs(python.at - now_s) <= slack_s
        and abs(go.at - now_s - OTHER_DELAY_S) <= slack_s
    )


def a_recovered_task_has_crashed_a_worker(case: Case, difference: Difference) -> bool:
    if not isinstance(case.operation, ops.Maintain) or case.operation.what != "recover":
        return False
    return (
        (
            (difference.part, difference.python) in {("crashes", b"1"), ("owner", b"")}
            or difference.part == "past_retried"
        )
        and task_of(difference) in case.before.members(f"asynq:{{{case.operation.queue}}}:active")
        and (difference.part == "owner" or only_python(difference))
    )


def failed_tries_are_kept(case: Case, difference: Difference) -> bool:
    if difference.key == "answer":
        return difference.part.startswith("attempts.")
    before = case.before.atoms.get(difference.path, NOTHING)
    if task_of(difference) is None or not difference.part.startswith("attempt:"):
        return False
    kept = difference.python if isinstance(difference.python, bytes) else b""
    return difference.go == before and len(decode_attempts([kept])) == 1


def runs_are_counted_for_inspectors(case: Case, difference: Difference) -> bool:
    before = case.before.atoms.get(difference.path, NOTHING)
    if not split_key(difference.key)[1].startswith("runs:") or difference.go != before:
        return False
    if isinstance(case.operation, ops.DeleteQueue):
        return only_go(difference)
    return difference.part == EXPIRY or _are_counts(difference.python)


def _are_counts(stored: Atom) -> bool:
    try:
        pairs = msgspec.msgpack.decode(cast("bytes", stored), type=list[int])
    except (TypeError, msgspec.DecodeError):
        return False
    return len(pairs) > 0 and len(pairs) % 2 == 0


def a_result_is_cleared_when_the_task_is_taken(case: Case, difference: Difference) -> bool:
    if not isinstance(case.operation, ops.Working) or difference.part != "result":
        return False
    pending = case.before.members(f"asynq:{{{case.operation.queue}}}:pending")
    return (
        only_go(difference)
        and task_of(difference) in pending[len(pending) - case.operation.count :]
        and difference.go == case.before.field(difference.key, "result")
    )


def a_task_past_its_deadline_is_archived(case: Case, difference: Difference) -> bool:
    if not isinstance(case.operation, ops.Working):
        return False
    go, python = difference.go, difference.python
    queue, container = split_key(difference.key)
    part = difference.part.removeprefix("msg.")
    if container in {"retry", "archived"}:
        is_its = only_go(difference) if container == "retry" else only_python(difference)
        return is_its and _is_past_its_deadline(case, f"asynq:{{{queue}}}:t:{part}")
    if difference.key == "answer":
        return part.startswith("failed.") and _is_passed(go, python)
    if task_of(difference) is None or not _is_past_its_deadline(case, difference.key):
        return False
    retried = case.before.message(difference.key).retried
    return (
        (part == "state" and (go, python) == (b"retry", b"archived"))
        or (part == "retried" and (go, python) == (retried + 1, retried or NOTHING))
        or (part == "error_msg" and _is_passed(go, python))
    )


def _is_past_its_deadline(case: Case, key: str) -> bool:
    return key in case.before.keys and 0 < case.before.message(key).deadline <= case.started_s


def _is_passed(go: Atom, python: Atom) -> bool:
    passed = f"{go} before the task began: it was to end by "
    return go == "context deadline exceeded" and str(python).startswith(passed)


def fractions_of_seconds_are_rounded_up(case: Case, difference: Difference) -> bool:
    if difference.key == "answer":
        return _is_duration_in_answer(case, difference)
    name = difference.part.removeprefix("msg.")
    return any(
        getattr(merged(task), name) is not None
        and (difference.go, difference.python) == _cut_and_rounded(getattr(merged(task), name))
        for _, task in enqueued(case)
        if name in ("timeout", "retention") and merged(task).task_id == task_of(difference)
    )


def _is_duration_in_answer(case: Case, difference: Difference) -> bool:
    for place, task in enqueued(case):
        for name in ("timeout", "retention"):
            value = getattr(merged(task), name)
            if difference.part == f"{place}{name}." and value is not None:
                return (difference.go, difference.python) == _cut_and_rounded(value)
    return False


def _cut_and_rounded(seconds: float) -> tuple[int, int]:
    return int(seconds), math.ceil(seconds)


def options_that_cannot_work_are_refused(case: Case, difference: Difference) -> bool:
    return any(
        _cannot_work(merged(task)) and _is_refused_by_python_only(case, difference)
        for _, task in enqueued(case)
    )


def braces_in_queue_names_are_refused(case: Case, difference: Difference) -> bool:
    return any(
        "{" in (merged(task).queue or "") and _is_refused_by_python_only(case, difference)
        for _, task in enqueued(case)
    )


def _cannot_work(options: Choices) -> bool:
    durations = (options.timeout, options.retention, options.process_in)
    return (options.max_retry or 0) < 0 or any((value or 0) < 1 for value in durations if value)


def _is_refused_by_python_only(case: Case, difference: Difference) -> bool:
    """Tell whether Python refused what Go tried, and changed nothing."""
    tried = case.go_answer.error in {None, "conflict", "duplicate"}
    refused = tried and case.python_answer.error == "refused"
    if difference.key == "answer":
        return refused
    before = case.before.atoms.get(difference.path, NOTHING)
    return refused and case.alike(before, difference.python)
