"""Refuse what cannot be a step of a flow."""

from collections.abc import Sequence
from typing import Final

from pyasynq.core.errors import OptionError
from pyasynq.core.flow import When
from pyasynq.core.flow_record import first_task_id
from pyasynq.core.options import MAX_NAME
from pyasynq.core.task import Task, check_task

MOST_TASK_ID: Final = MAX_NAME - 10
"""Bytes of the id of a step's task; that of a retry is longer."""

WHENS: Final[Sequence[When]] = ("succeeded", "failed", "ended")


def check_step_task(task: Task) -> None:
    """Return if *task* can be that of a step.

    Raises:
        OptionError: If it has a group or an id.
    """
    check_task(task)
    if task.options.group is not None:
        raise OptionError("group", task.options.group, "left out: a step is in no group")
    if task.options.task_id is not None:
        raise OptionError("task_id", task.options.task_id, "left out: its flow gives the id")


def check_step_name(flow_id: str, name: str) -> str:
    """Return the *name* of a step, if the id of its task can be as long.

    Raises:
        OptionError: If it cannot.
    """
    if len(first_task_id(flow_id, name).encode()) > MOST_TASK_ID:
        allowed = f"shorter: with the id of the flow it has at most {MOST_TASK_ID} bytes"
        raise OptionError("name", name, allowed)
    return name


def sorted_before(before: set[int], when: When) -> tuple[int, ...]:
    """Return the numbers of the steps before a step, in order.

    Raises:
        OptionError: If *when* cannot be, or does not fit them.
    """
    if when not in WHENS:
        raise OptionError("when", when, "'succeeded', 'failed' or 'ended'")
    if when == "failed" and not before:
        raise OptionError("after", (), "steps that may fail, for a step with when='failed'")
    return tuple(sorted(before))
