"""Flows as users and operators see them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pyasynq.core.flow import FlowState, StepState, When

_COLORS: Final[Mapping[StepState, str]] = {
    "waiting": "fill:#eee,stroke:#888,color:#333",
    "running": "fill:#cfe2ff,stroke:#0b5ed7,color:#052c65",
    "succeeded": "fill:#d1e7dd,stroke:#146c43,color:#0a3622",
    "failed": "fill:#f8d7da,stroke:#b02a37,color:#58151c",
    "upstream_failed": "fill:#fff3cd,stroke:#997404,color:#664d03",
    "skipped": "fill:#fff,stroke:#bbb,color:#888,stroke-dasharray:4",
}


@dataclass(frozen=True, kw_only=True)
class StepInfo:
    """A step of a flow.

    Attributes:
        name: Its name.
        state: ``waiting`` (for the steps before it), ``running`` (its task was enqueued, or its
            gate waits for a signal), ``succeeded``, ``failed``, ``upstream_failed`` (not run,
            because something before it has failed) or ``skipped`` (not run for another reason).
        type: Type of its task, or of the first task of a map; None for a gate.
        queue: Queue of its task or tasks; for a gate the flow's home.
        task_id: Id of its task; None for a gate and for a map.
        when: How the steps before it must have ended.
        after: Names of those steps.
        error: Why it has failed; None if it has not.
        batch_id: Id of the batch that a map is, for `Inspector.batch`; None for other steps.
        size: Number of its tasks when it was enqueued; 0 for a gate.
        flow_id: Id of the flow that it is, for `Inspector.flow` with its queue; None for other
            steps. The flow is there once the step's task has opened it.
    """

    name: str
    state: StepState
    type: str | None
    queue: str
    task_id: str | None
    when: When
    after: tuple[str, ...]
    error: str | None
    batch_id: str | None = None
    size: int = 1
    flow_id: str | None = None

    @property
    def is_gate(self) -> bool:
        """Whether it waits for a signal instead of running a task."""
        return self.type is None and self.batch_id is None


@dataclass(frozen=True, kw_only=True)
class FlowInfo:
    """A flow and its steps.

    Attributes:
        id: Its id, unique in its queue.
        queue: Its home: the queue with which it is stored.
        name: Its name.
        state: ``running`` until each step has ended, then ``failed`` if a step has failed, else
            ``succeeded``; ``cancelled`` once somebody has cancelled it, or its time is over.
        steps: Its steps, in the order in which they were added.
        created_at: When it was enqueued.
        ended_at: When it ended; None while it runs.
        reason: Why it was cancelled; None if it was not.
    """

    id: str
    queue: str
    name: str
    state: FlowState
    steps: tuple[StepInfo, ...]
    created_at: datetime
    ended_at: datetime | None
    reason: str | None = None

    @property
    def counts(self) -> dict[StepState, int]:
        """Number of steps in each state; states without steps are left out."""
        return dict(Counter(step.state for step in self.steps))

    def step(self, name: str) -> StepInfo:
        """Return the step *name*.

        Raises:
            KeyError: If there is no such step.
        """
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(name)

    def mermaid(self) -> str:
        """Return the flow as the text of a Mermaid flowchart, colored by the states of steps."""
        numbers = {step.name: n for n, step in enumerate(self.steps)}
        lines = ["flowchart TD"]
        for n, step in enumerate(self.steps):
            opening, closing = _shape(step)
            lines.append(f'    s{n}{opening}"{_label(step)}"{closing}:::{step.state}')
        for n, step in enumerate(self.steps):
            arrow = "-->" if step.when == "succeeded" else f"-. {step.when} .->"
            lines += [f"    s{numbers[before]} {arrow} s{n}" for before in step.after]
        present = self.counts
        lines += [
            f"    classDef {state} {style}" for state, style in _COLORS.items() if state in present
        ]
        return "\n".join(lines) + "\n"


def _shape(step: StepInfo) -> tuple[str, str]:
    if step.batch_id is not None:
        return "[[", "]]"
    if step.flow_id is not None:
        return "([", "])"
    return ("{{", "}}") if step.is_gate else ("[", "]")


def _label(step: StepInfo) -> str:
    name = _escape(step.name)
    if step.flow_id is not None:
        return f"{name}: flow {_escape(step.flow_id)}"
    return name if step.batch_id is None else f"{name} × {step.size}"


def _escape(text: str) -> str:
    """Return *text* as a label of Mermaid, which reads entities as in HTML, but with a ``#``."""
    return "".join(c if c.isalnum() or c in " _-.:/" else f"#{ord(c)};" for c in text)
