"""What is asked of an inspector, checked before anything is sent."""

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
    """What may change about a task that waits.

    Keys:
        payload: The data.
        headers: All headers; those that stood there go, unless this is empty.
        max_retry: Retries after the first failure.
        timeout: Longest run.
        deadline: Instant by which the task must have run.
        retention: Time the task and its result are kept after success.
    """

    payload: bytes
    headers: Mapping[str, str]
    max_retry: int
    timeout: timedelta
    deadline: datetime
    retention: timedelta


class Criteria(TypedDict, total=False):
    """What a task must be to be found; what is not given is not asked.

    Keys:
        type: Its type.
        payload: Bytes within its payload.
        error: Text within its last error.
    """

    type: str
    payload: bytes
    error: str


def container_of(queue: str, state: TaskState | str, group: str | None) -> Container:
    """Return where these tasks wait.

    Raises:
        OptionError: If there is no such state, or a group is missing or too much.
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
    """Return whether *task* meets all of the criteria."""
    return (
        type in {None, task.type} and payload in task.payload and error in (task.last_error or "")
    )


def check_changes(given: Mapping[str, object]) -> tuple[Options, bytes | None]:
    """Return what is to change: the options, and the payload if there is a new one.

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
