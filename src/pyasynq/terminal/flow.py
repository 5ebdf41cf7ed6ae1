"""One flow: its steps, why one has failed or waits, and what can be done to it."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType

from pyasynq.core.batch import BatchInfo
from pyasynq.core.flow_info import FlowInfo, StepInfo
from pyasynq.core.info import TaskInfo
from pyasynq.inspector import Inspector
from pyasynq.operations import flows
from pyasynq.operations.permissions import Permission
from pyasynq.operations.suggestions import quote
from pyasynq.terminal import texts
from pyasynq.terminal.desk import Desk
from pyasynq.terminal.dialogs import Prompt
from pyasynq.terminal.keys import shortcut
from pyasynq.terminal.page import Page
from pyasynq.terminal.requests import Request
from pyasynq.terminal.table import Column, Table
from pyasynq.terminal.task import TaskPage
from pyasynq.terminal.tasks import TasksPage

STYLES: Final = {
    "running": "bold #4fc3f7",
    "succeeded": "#81c784",
    "failed": "bold #ef5350",
    "cancelled": "bold yellow",
    "waiting": "dim",
    "upstream_failed": "#ffb74d",
    "skipped": "dim",
}
"""Colours of the states of flows and steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A step, its task if that runs, and the steps of the flow that have not ended."""

    step: StepInfo
    task: TaskInfo | None
    open_steps: frozenset[str]


def state(name: str) -> Text:
    """Return the name of a state of a flow or step in its colour."""
    return Text(name.replace("_", " "), STYLES.get(name, ""))


def _state(row: Row) -> Text:
    if row.task is not None:
        return texts.state(row.task.state.value)
    if row.step.is_gate and row.step.state == "running":
        return Text("awaits a signal", STYLES["running"])
    return state(row.step.state)


def _type(row: Row) -> str:
    if row.step.flow_id is not None:
        return "(flow)"
    if row.step.batch_id is None:
        return row.step.type or "(gate)"
    return f"{row.step.type or '(map)'} × {row.step.size}"


def _note(row: Row) -> Text:
    """Return why a step has failed, or what it waits for."""
    error = row.step.error or (row.task.last_error if row.task else None)
    if error:
        return Text(texts.safe(error), "red")
    waits = [name for name in row.step.after if name in row.open_steps]
    if row.step.state == "waiting" and waits:
        return Text(texts.safe(f"waits for {', '.join(waits)}"), "dim")
    return Text()


COLUMNS: Final[Sequence[Column[Row]]] = (
    Column(title="Step", cell=lambda it: it.step.name, value=lambda it: it.step.name),
    Column(title="State", cell=_state, value=lambda it: it.step.state),
    Column(title="Type", cell=_type, value=lambda it: it.step.type),
    Column(
        title="Queue", cell=lambda it: it.step.queue, value=lambda it: it.step.queue, from_width=100
    ),
    Column(title="Error, or what it waits for", cell=_note, fills=True),
)


class FlowPage(Page):
    """One flow."""

    TAB: ClassVar[str] = "f"
    BINDINGS: ClassVar[list[BindingType]] = [
        shortcut("enter", "open", "open", show=False),
        shortcut("r", "act('retry')", "retry"),
        shortcut("x", "skip", "skip step"),
        shortcut("v", "signal", "signal gate"),
        shortcut("c", "act('cancel')", "cancel"),
    ]

    def __init__(self, desk: Desk, queue: str, flow_id: str) -> None:
        """Show the flow *flow_id*, which is stored with *queue*."""
        super().__init__(desk)
        self._queue = queue
        self._flow_id = flow_id
        self._flow: FlowInfo | None = None
        self.table: Table[Row] = Table(
            COLUMNS, lambda it: it.step.name, id="steps", empty="It has no steps."
        )

    def body(self) -> ComposeResult:
        """Make what is said about the flow, and the table of its steps."""
        yield self.part("summary")
        yield self.table

    def on_mount(self) -> None:
        """Begin with the table."""
        self.table.focus()

    async def load(self) -> None:
        """Read the flow, and the tasks of the steps that run."""
        inspector = self.desk.services.inspector
        flow = self._flow = await inspector.flow(self._queue, self._flow_id)
        tasks = await flows.tasks_of_steps(inspector, flow)
        left = frozenset(flows.open_steps(flow))
        self.put("summary", _summary(flow))
        self.table.show(
            [Row(step=it, task=tasks.get(it.name), open_steps=left) for it in flow.steps]
        )

    # -- keys --------------------------------------------------------------------------------------

    def action_open(self) -> None:
        """Open the task of the step with the cursor, the tasks of a map, or the flow that it is."""
        if (row := self.table.current) is None:
            return
        step = row.step
        if step.flow_id is not None and row.task is None:
            self.app.push_screen(FlowPage(self.desk, step.queue, step.flow_id))
        elif step.task_id is not None:
            self.app.push_screen(TaskPage(self.desk, step.queue, step.task_id))
        elif step.batch_id is not None:
            self.app.push_screen(TasksPage(self.desk, members_of(step.queue, step.batch_id)))

    def action_act(self, verb: str) -> None:
        """Retry or cancel the flow."""
        if self._flow is not None:
            self.request(for_flow(self.desk.services.inspector, verb, self._flow))

    def action_skip(self) -> None:
        """Skip the step with the cursor."""
        if (row := self.table.current) is None:
            return
        inspector = self.desk.services.inspector
        self._request(
            Permission.FLOW_SKIP,
            row.step.name,
            lambda step: inspector.skip_step(self._queue, self._flow_id, step),
            question=f"Skip step {row.step.name}?",
            more="The flow goes on as if it had succeeded, with the result null.",
            done="skipped: {}",
        )

    def action_signal(self) -> None:
        """Ask for the value of the signal of the gate with the cursor, and send it."""
        row = self.table.current
        if row is None or not self.may_change():
            return
        if not row.step.is_gate:
            self.say(f"{row.step.name} is no gate: choose a gate", is_bad=True)
            return
        gate = row.step.name

        def answer(text: str | None) -> None:
            if text is not None:
                self._signal(gate, text)

        self.app.push_screen(Prompt(f"Value of the signal of {gate}, in JSON", "true"), answer)

    def _signal(self, gate: str, text: str) -> None:
        try:
            value = json.loads(text)
        except ValueError:
            self.say(f'{text} is no JSON: write true or "text", for instance', is_bad=True)
            return
        inspector = self.desk.services.inspector
        self._request(
            Permission.FLOW_SIGNAL,
            gate,
            lambda gate: inspector.signal(self._queue, self._flow_id, gate, value),
            question=f"Signal gate {gate} with {text}?",
            more="The flow goes on at this gate, which takes one signal.",
            done="signalled: {}",
        )

    def _request(
        self,
        action: Permission,
        step: str,
        call: Callable[[str], Awaitable[object]],
        *,
        question: str,
        more: str,
        done: str,
    ) -> None:
        self.request(
            Request(
                action=action.value,
                items=[step],
                call=call,
                name=lambda it: f"{self._queue}/{self._flow_id}/{it}",
                question=question,
                more=more,
                done=done,
            )
        )


ASK: Final[Mapping[str, tuple[str, str, str]]] = {
    "cancel": (
        "Cancel {}?",
        "Nothing more of it starts; tasks that wait are deleted, those that run are stopped.",
        "cancelled: {}",
    ),
    "retry": ("Retry {}?", "What has succeeded is not repeated.", "runs again: {}"),
}


def members_of(queue: str, batch_id: str) -> str:
    """Return the search line that finds the members of a batch."""
    return f"queue:{quote(queue)} id:{quote(batch_id)}:*"


def for_flow(inspector: Inspector, verb: str, flow: FlowInfo | BatchInfo) -> Request[Any]:
    """Return the request to ``cancel`` or ``retry`` a flow or a batch."""
    kind = "flow" if isinstance(flow, FlowInfo) else "batch"
    call = getattr(inspector, f"{verb}_{kind}")
    name = f"{flow.name} {flow.id}" if isinstance(flow, FlowInfo) else flow.id
    question, more, done = ASK[verb]
    return Request(
        action=Permission(f"{kind}.{verb}").value,
        items=[flow],
        call=lambda it: call(it.queue, it.id),
        name=lambda it: f"{it.queue}/{it.id}",
        question=question.replace("{}", f"{kind} {name}"),
        more=more,
        done=done,
    )


def _summary(flow: FlowInfo) -> Text:
    """Return what is known about a flow in two lines."""
    now = datetime.now(UTC)
    text = Text.assemble((f"{texts.safe(flow.name)}  ", "bold"), state(flow.state))
    if flow.reason:
        text.append(f"  {texts.safe(flow.reason)}", "dim")
    text.append(f"\n{texts.safe(flow.queue)} / {texts.safe(flow.id)}", "dim")
    text.append(f"  created {texts.ago(flow.created_at, now)}", "dim")
    if flow.ended_at is not None:
        text.append(f", ended {texts.ago(flow.ended_at, now)}", "dim")
    counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in flow.counts.items())
    return text.append(f"\n{len(flow.steps)} step{'' if len(flow.steps) == 1 else 's'}: {counts}")
