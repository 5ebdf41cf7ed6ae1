"""Arguments of an inspector's calls, checked before anything is sent."""

import builtins
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, TypedDict

from pyasynq.broker import Container
from pyasynq.core.errors import OptionError
from pyasynq.core.info import TaskInfo
from pyasynq.core.options import Options, check_all, check_name
from pyasynq.core.states import TaskState

MAX_RANK: Final = 2**31 - 1
"""Largest page, size or limit."""


class TaskChanges(TypedDict, total=False):
    """Changes to a waiting task.

    Keys:
        payload: The new data.
        headers: The new headers, which replace all old ones; if empty, the old ones stay.
        max_retry: Retries after the first failure.
        timeout: Longest run.
        deadline: Instant by which the task must have ended.
        retention: Time the task and its result are kept after success.
    """

    payload: bytes
    headers: Mapping[str, str]
    max_retry: int
    timeout: timedelta
    deadline: datetime
    retention: timedelta


class Criteria(TypedDict, total=False):
    """Criteria that a task must meet to be found; each may be left out.

    Keys:
        type: Type of the task.
        payload: Bytes that its payload contains.
        error: Text that its last error contains.
        older: Least time since its last failure; a task that never failed does not meet it.
    """

    type: str
    payload: bytes
    error: str
    older: timedelta


def container_of(queue: str, state: TaskState | str, group: str | None) -> Container:
    """Return the container of the tasks of *queue* in *state*.

    Raises:
        OptionError: If there is no such state, a group is missing, or a group is given although the
            state is not aggregating.
    """
    try:
        state = TaskState(state)
    except ValueError:
        raise OptionError("state", state, f"one of {', '.join(TaskState)}") from None
    if state is TaskState.AGGREGATING:
        return Container(queue=queue, state=state, group=check_name("group", group))
    if group is not None:
        raise OptionError("group", group, "left out unless the state is aggregating")
    return Container(queue=queue, state=state)


class Filter:
    """Tells which tasks meet all criteria."""

    def __init__(self, now: datetime, criteria: Criteria) -> None:
        """Compare ages with the time *now*, UTC.

        Raises:
            OptionError: If a criterion has a wrong type.
            TypeError: If there is no such criterion.
        """
        if unknown := criteria.keys() - _CRITERIA.keys():
            msg = f"tasks cannot be found by {sorted(unknown)}"
            raise TypeError(msg)
        for name, value in criteria.items():
            if not isinstance(value, _CRITERIA[name]):
                raise OptionError(name, value, f"a {_CRITERIA[name].__name__}")
        self._type = criteria.get("type")
        self._payload = criteria.get("payload", b"")
        self._error = criteria.get("error", "")
        older = criteria.get("older")
        self._failed_by = None if older is None else now - older

    def meets(self, task: TaskInfo) -> bool:
        """Return whether *task* meets all criteria."""
        failed_at = task.last_failed_at
        return (
            self._type in {None, task.type}
            and self._payload in task.payload
            and self._error in (task.last_error or "")
            and (
                self._failed_by is None or (failed_at is not None and failed_at <= self._failed_by)
            )
        )


_CRITERIA: Final[Mapping[str, builtins.type]] = {
    "type": str,
    "payload": bytes,
    "error": str,
    "older": timedelta,
}


def check_changes(given: Mapping[str, object]) -> tuple[Options, bytes | None]:
    """Return the changed options, and the new payload or None.

    Raises:
        OptionError: If a value is not allowed.
        TypeError: If a name is not one of `TaskChanges`.
    """
    unknown = given.keys() - TaskChanges.__annotations__.keys()
    if unknown:
        msg = f"cannot change {sorted(unknown)} of a task"
        raise TypeError(msg)
    options = dict(given)
    payload = options.pop("payload", None)
    if payload is not None and not isinstance(payload, bytes):
        raise OptionError("payload", payload, "bytes")
    return check_all(options), payload
