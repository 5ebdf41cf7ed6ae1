"""Facts about a case by which a rule decides whether an entry explains a difference."""

import math
import re
from collections.abc import Iterator
from typing import Final

import msgspec

from tests.differential.comparison import NOTHING, Case, Difference
from tests.differential.operations import Choices, Enqueue, EnqueueMany
from tests.differential.snapshot import Atom, Instant

OTHER_DELAY_S: Final = 5000
"""Seconds of delay on both sides after an error that is not scripted."""

ARCHIVE_S: Final = 90 * 86_400
"""Seconds for which the archive keeps a task."""


def split_key(key: str) -> tuple[str, str]:
    """Return the queue of *key* and the rest of the key."""
    found = re.fullmatch(r"asynq:\{(.*?)\}:(.*)", key, re.DOTALL)
    return (found[1], found[2]) if found else ("", key)


def task_of(difference: Difference) -> str | None:
    """Return the id of the task whose hash differs."""
    _, rest = split_key(difference.key)
    return rest[2:] if rest.startswith("t:") else None


def rounded_up(case: Case, difference: Difference, more_s: float = 0) -> bool:
    """Tell whether Go cut an instant where Python rounded it up, after adding *more_s*."""
    go, python = difference.go, difference.python
    if not isinstance(go, Instant) or not isinstance(python, Instant):
        return False
    return 0 < python.at - go.at <= 1 + more_s + case.slack_s(go)


def only_python(difference: Difference) -> bool:
    return difference.go is NOTHING and difference.python is not NOTHING


def only_go(difference: Difference) -> bool:
    return difference.python is NOTHING and difference.go is not NOTHING


def state(case: Case, difference: Difference) -> bytes | None:
    return case.python.field(difference.key, "state")


def enqueued(case: Case) -> Iterator[tuple[str, Enqueue]]:
    """Yield the tasks of the operation, each with the path of its answer."""
    match case.operation:
        case Enqueue():
            yield "", case.operation
        case EnqueueMany(tasks=tasks):
            yield from ((f"{place}.", task) for place, task in enumerate(tasks))
        case _:
            pass


def merged(task: Enqueue) -> Choices:
    """Return the options of *task* as both sides merge them."""
    given = msgspec.structs.asdict(task.options)
    return msgspec.structs.replace(
        task.own, **{name: value for name, value in given.items() if value is not None}
    )


def added_s(case: Case, option: str) -> float:
    """Return the largest amount that Python added to round this option up to whole seconds."""
    given = [getattr(merged(task), option) or 0 for _, task in enqueued(case)]
    return max((math.ceil(seconds) - seconds for seconds in given), default=0)


def errors(case: Case, place: str) -> tuple[str | None, str | None]:
    go, python = case.go_answer, case.python_answer
    if place:
        at = int(place[:-1])
        go, python = go.value[at], python.value[at]
    return go.error, python.error


def is_now(case: Case, atom: Atom) -> bool:
    """Tell whether an instant lies within the duration of the operation."""
    if not isinstance(atom, Instant):
        return False
    after_s = atom.at - case.started_s
    return -case.slack_s(atom) <= after_s <= case.window_s + case.slack_s(atom)


def too_old(case: Case, queue: str) -> set[str]:
    """Return the archived ids that are past their retention."""
    archived = case.before.keys.get(f"asynq:{{{queue}}}:archived")
    oldest_s = case.started_s + case.window_s - ARCHIVE_S
    return {i for i, score in archived.value.items() if score <= oldest_s} if archived else set()


def holder(case: Case, lock: str) -> str:
    """Return the id of the task that held a lock before the operation."""
    held = case.before.keys.get(lock)
    return held.value.decode() if held and held.kind == "string" else ""
