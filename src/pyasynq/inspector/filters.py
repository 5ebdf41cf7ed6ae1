"""Arguments of an inspector's calls, checked before anything is sent."""

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
    """

    type: str
    payload: bytes
    error: str


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


def meets(task: TaskInfo, type: str | None = None, payload: bytes = b"", error: str = "") -> bool:
    """Return whether *task* meets all criteria."""
    return (
        type in {None, task.type} and payload in task.payload and error in (task.last_error or "")
    )


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
