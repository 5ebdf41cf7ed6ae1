"""What a broker stores of a flow."""

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Final
from uuid import UUID, uuid5

import msgspec

from pyasynq.core.compose import Plan
from pyasynq.core.flow import FAILED, STEP_STATES, FlowState, Moves, Node
from pyasynq.core.flow_info import FlowInfo, StepInfo
from pyasynq.core.message import instant
from pyasynq.core.report import LONGEST_ERROR, Place, Report

FLOW: Final = -1
"""In place of the number of a step: the flow itself."""

_SUBFLOWS: Final = UUID("585d7670-b5dc-468b-8ba0-0cbfedc9221c")


class FlowSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What never changes of a flow.

    Attributes:
        name: Its name.
        nodes: Its steps.
        timeout_s: Seconds after which it is cancelled; 0 for never.
        keep_s: Seconds for which it is kept after it has succeeded.
        keep_failed_s: Seconds for which it is kept after any other end.
        parent: The step of another flow that it is, and how often that step was retried when this
            was stored; None if it is no step.
    """

    name: str
    nodes: tuple[Node, ...]
    timeout_s: int = 0
    keep_s: int
    keep_failed_s: int
    parent: Place | None = None

    def number_of(self, name: str) -> int | None:
        """Return the number of the step *name*; None if there is no such step."""
        return next((n for n, node in enumerate(self.nodes) if node.name == name), None)

    @property
    def spreads(self) -> bool:
        """Whether a report to it may make mail: for other queues, to begin a map, to its parent."""
        queues = {node.queue for node in self.nodes}
        return len(queues) > 1 or self.parent is not None or any(it.is_map for it in self.nodes)


class NewFlow(msgspec.Struct, frozen=True, kw_only=True):
    """A flow to be stored and begun.

    Attributes:
        queue: Its home.
        id: Its id.
        spec: Its steps.
        plans: The plan for the task of each step; None for a gate and for a map.
        moves: How it begins.
        unique_s: Seconds for which its name is locked, at most until its end; 0 for not at all.
    """

    queue: str
    id: str
    spec: FlowSpec
    plans: Sequence[Plan | None]
    moves: Moves
    unique_s: int = 0


class FlowRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A flow as it is stored.

    Attributes:
        queue: Its home.
        id: Its id.
        spec: Its steps.
        state: Its state.
        marks: The mark of each step.
        version: Grows with each change.
        created_s: When it was stored, Unix seconds.
        ended_s: When it ended, Unix seconds; 0 while it runs.
        reason: Why it was cancelled; empty if it was not.
        errors: Why steps have failed, by their numbers.
        times: How often steps were retried, by their numbers; those that were not are left out.
            That of `FLOW` is how often its parent was, if it has run again for that.
    """

    queue: str
    id: str
    spec: FlowSpec
    state: FlowState
    marks: str
    version: int
    created_s: int
    ended_s: int = 0
    reason: str = ""
    errors: Mapping[int, str] = {}
    times: Mapping[int, int] = {}

    def task_id(self, number: int) -> str:
        """Return the id of the task of a step; each time that it is retried it has another one."""
        return task_id(self.spec.nodes[number].task_id, self.times.get(number, 0))

    def next_times(self, number: int) -> int:
        """Return how often a step was retried if it is retried now.

        What gives its task the id of another step is left out: ``a`` and ``a:1`` may be steps of
        one flow.
        """
        first, times = self.spec.nodes[number].task_id, self.times.get(number, 0) + 1
        taken = {node.task_id for node in self.spec.nodes}
        return next(n for n in count(times) if task_id(first, n) not in taken)

    def place(self, number: int) -> Place:
        """Return the place of the present task of a step, as its header names it."""
        times = self.times.get(number, 0)
        return Place(kind="flow", queue=self.queue, id=self.id, node=number, member=times)

    @property
    def parent(self) -> Place | None:
        """The step of another flow that waits for this one, as it was retried; None without one."""
        first = self.spec.parent
        if first is None:
            return None
        return msgspec.structs.replace(first, member=self.times.get(FLOW, first.member))

    def info(self) -> FlowInfo:
        """Return the flow as users see it."""
        nodes = self.spec.nodes
        return FlowInfo(
            id=self.id,
            queue=self.queue,
            name=self.spec.name,
            state=self.state,
            steps=tuple(self._step(number) for number in range(len(nodes))),
            created_at=instant(self.created_s),
            ended_at=instant(self.ended_s) if self.ended_s else None,
            reason=self.reason or None,
        )

    def _step(self, number: int) -> StepInfo:
        node, mark = self.spec.nodes[number], self.marks[number]
        return StepInfo(
            name=node.name,
            state=STEP_STATES[mark],
            type=node.type or None,
            queue=node.queue,
            task_id=self.task_id(number) if node.task_id else None,
            batch_id=node.batch_id or None,
            flow_id=node.flow_id or None,
            size=node.size if node.is_map else 1 if node.task_id else 0,
            when=node.when,
            after=tuple(self.spec.nodes[before].name for before in node.after),
            error=self.errors.get(number) if mark == FAILED else None,
        )


class FlowChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a flow that depends on its present record.

    Attributes:
        moves: The new marks, and the steps that start.
        state: The new state; a running flow whose steps have all ended ends, whatever this says.
        reason: Why it is cancelled; empty if it is not.
        outputs: Outputs of gates, by their numbers. A gate that has one ends when it begins.
        errors: Why steps fail, by their numbers; empty to forget the error.
        plans: New plans for the tasks of steps, by their numbers.
        times: How often those, and maps, were retried; for `FLOW` how often its parent was.
    """

    moves: Moves
    state: FlowState = "running"
    reason: str = ""
    outputs: Mapping[int, bytes] = {}
    errors: Mapping[int, str] = {}
    plans: Mapping[int, Plan] = {}
    times: Mapping[int, int] = {}


def first_task_id(flow_id: str, step: str) -> str:
    """Return the id of a step's task before the step is retried.

    Both may have colons, so tasks of two flows may get the same id: ``a`` and ``b:c``, ``a:b`` and
    ``c``. If both are in one queue, the second one is refused while the first is there; a retry of
    its flow gives it another id.
    """
    return f"{flow_id}:{step}"


def task_id(first: str, times: int) -> str:
    """Return the id of a step's task, which was *first* before the step was retried."""
    return f"{first}:{times}" if times else first


def subflow_id(home: str, task_id: str, times: int = 0) -> str:
    """Return the id of the flow that a step of another one is.

    It is the same however often the step is retried, and of a fixed length however deep the flow
    is.

    Args:
        home: Home of the other flow.
        task_id: Id of the step's task.
        times: How often the step was retried.
    """
    first = task_id.removesuffix(f":{times}") if times else task_id
    return str(uuid5(_SUBFLOWS, f"{home}\n{first}"))


def report_to_parent(record: FlowRecord) -> Report | None:
    """Return the report on a flow for the step that it is; None if it runs, or is no step."""
    parent = record.parent
    if parent is None or record.state == "running":
        return None
    if record.state == "succeeded":
        return Report(place=parent, result="succeeded")
    why = f"was cancelled: {record.reason}" if record.state == "cancelled" else "has failed"
    error = f"its flow {record.id} {why}"
    return Report(place=parent, result="failed", error=error[:LONGEST_ERROR])
