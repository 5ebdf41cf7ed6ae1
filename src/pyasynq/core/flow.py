"""Decide which steps of a flow may run, and which are skipped.

Pure. A flow's progress is one letter for each step, its mark; all else follows from the marks. A
step comes after those that it names, so their numbers are lower than its own. In Redis
`shared/flows.lua` does the same, for the reports of steps.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

WAITING: Final = "w"
RUNNING: Final = "r"
SUCCEEDED: Final = "s"
FAILED: Final = "f"
UPSTREAM_FAILED: Final = "u"
SKIPPED: Final = "x"

OPEN: Final = (WAITING, RUNNING)
"""Marks of steps that have not ended."""

LOST: Final = (FAILED, UPSTREAM_FAILED)
"""Marks of steps that are missing because something has failed."""

StepState: TypeAlias = Literal[
    "waiting", "running", "succeeded", "failed", "upstream_failed", "skipped"
]
FlowState: TypeAlias = Literal["running", "succeeded", "failed", "cancelled"]
When: TypeAlias = Literal["succeeded", "failed", "ended"]

STEP_STATES: Final[dict[str, StepState]] = {
    WAITING: "waiting",
    RUNNING: "running",
    SUCCEEDED: "succeeded",
    FAILED: "failed",
    UPSTREAM_FAILED: "upstream_failed",
    SKIPPED: "skipped",
}
"""What each mark means."""

MAX_STEPS: Final = 1000
"""Steps of a flow: its record is read and written as a whole."""

MAX_EDGES: Final = 20_000
"""Dependencies of a flow, all steps together."""

MAX_DEPTH: Final = 5
"""Flows in one another: a flow, a step of it that is a flow, and so on."""

MAP_GONE: Final = "its tasks are gone: somebody has deleted their queue, or their batch"

LOCK_HELD: Final = "its task was refused: another task holds its unique lock"
"""Why a step fails; ``shared/flows.lua`` has this text, and that of `id_taken`, too."""


class Node(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A step as its flow knows it.

    Attributes:
        name: Its name, unique in the flow.
        type: Type of its task, or of the first task of a map; empty for a gate.
        queue: Queue of its task or tasks, or the flow's home for a gate.
        batch_id: Id of the batch that a map is; empty for other steps.
        size: Tasks of a map.
        task_id: Id of its task; empty for a gate and for a map.
        flow_id: Id of the flow that it is, which its task opens; empty for other steps. The flow is
            stored with the queue of that task.
        when: How the steps before it must have ended.
        after: Numbers of the steps before it.
        then: Numbers of the steps after it.
        delay_s: Seconds from the moment at which its task may run until it does.
        timeout_s: Seconds for which a gate waits for its signal; 0 without end.
    """

    name: str
    type: str = ""
    queue: str = ""
    batch_id: str = ""
    size: int = 0
    task_id: str = ""
    flow_id: str = ""
    when: When = "succeeded"
    after: tuple[int, ...] = ()
    then: tuple[int, ...] = ()
    delay_s: int = 0
    timeout_s: int = 0

    @property
    def is_gate(self) -> bool:
        """Whether it waits for a signal instead of running a task."""
        return not (self.type or self.batch_id)

    @property
    def is_map(self) -> bool:
        """Whether it runs any number of tasks: those of a batch."""
        return bool(self.batch_id)

    @property
    def is_flow(self) -> bool:
        """Whether it is a flow, which ends some time after the task that opens it."""
        return bool(self.flow_id)


class Moves(NamedTuple):
    """How a flow goes on.

    Attributes:
        marks: The marks of all steps.
        starts: Numbers of the steps that start now; they are marked as running.
    """

    marks: str
    starts: tuple[int, ...]


def id_taken(task_id: str) -> str:
    """Return why a step fails whose task has the id of another one."""
    way_out = "a retry of the flow gives it another one"
    return f"its task was refused: another task has its id, {task_id}; {way_out}"


def mark_for(node: Node, marks: Sequence[str]) -> str:
    """Return the mark of a step that waits: running if it may start, else why it does not."""
    before = [marks[number] for number in node.after]
    if any(mark in OPEN for mark in before):
        return WAITING
    lost = any(mark in LOST for mark in before)
    match node.when:
        case "ended":
            return RUNNING
        case "failed":
            return RUNNING if lost else SKIPPED
        case "succeeded" if lost:
            return UPSTREAM_FAILED
        case "succeeded":
            return SKIPPED if SKIPPED in before else RUNNING


def begin(nodes: Sequence[Node]) -> Moves:
    """Return how a new flow begins."""
    return _go_on(nodes, [WAITING] * len(nodes), range(len(nodes)))


def advance(nodes: Sequence[Node], marks: str, ended: int, mark: str) -> Moves:
    """Return how a flow goes on when the step *ended* gets *mark*, which is final."""
    changed = list(marks)
    changed[ended] = mark
    moves: list[int] = []
    left = [ended]
    while left:
        for number in nodes[left.pop()].then:
            if changed[number] == WAITING:
                changed[number] = mark_for(nodes[number], changed)
                if changed[number] == RUNNING:
                    moves.append(number)
                elif changed[number] != WAITING:
                    left.append(number)
    return Moves("".join(changed), tuple(moves))


def retry(nodes: Sequence[Node], marks: str, *, was_cancelled: bool) -> Moves:
    """Return how a flow goes on that repeats what has failed, and what was left out after it."""
    again = (*LOST, SKIPPED) if was_cancelled else LOST
    reset = [WAITING if mark in again else mark for mark in marks]
    return _go_on(nodes, reset, [n for n, mark in enumerate(reset) if mark == WAITING])


def cancel(nodes: Sequence[Node], marks: str) -> Moves:
    """Return the marks of a flow that starts nothing more; tasks that run stay marked so."""
    left = [
        SKIPPED if mark == WAITING or (mark == RUNNING and node.is_gate) else mark
        for node, mark in zip(nodes, marks, strict=True)
    ]
    return Moves("".join(left), ())


def state_of(marks: str) -> FlowState:
    """Return the state of a flow that nobody has cancelled."""
    if any(mark in OPEN for mark in marks):
        return "running"
    return "failed" if FAILED in marks else "succeeded"


def _go_on(nodes: Sequence[Node], marks: list[str], numbers: Iterable[int]) -> Moves:
    """Decide about waiting steps in ascending order, in which those before them come first."""
    starts: list[int] = []
    for number in numbers:
        marks[number] = mark_for(nodes[number], marks)
        if marks[number] == RUNNING:
            starts.append(number)
    return Moves("".join(marks), tuple(starts))
