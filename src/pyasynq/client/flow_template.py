"""Flows as the payload of a task: all their steps, but no id."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from pyasynq.core.call import Call, StepResult, inputs_of
from pyasynq.core.errors import OptionError
from pyasynq.core.flow import When
from pyasynq.core.options import Options
from pyasynq.core.task import Task, check_task

FLOW_TYPE: Final = "pyasynq:flow"
"""Type of the task that opens a flow."""


STARTER: Final = "pyasynq:opens"
"""Header of such a task: the name of the flow. A worker looks at it before it calls a handler."""

SUBFLOW: Final = "pyasynq:subflow"
"""The same for the task of a step that is a flow: its success is not the end of the step. Workers
that do not know this header do not open the flow: the step would end with its beginning.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A step before the flow is enqueued.

    Attributes:
        name: Its name.
        task: Its task; None for a gate and for a map.
        when: How the steps before it must have ended.
        after: Numbers of those steps.
        timeout_s: Seconds for which a gate waits; 0 without end.
        members: The tasks of a map; None for other steps.
    """

    name: str
    task: Task | None
    when: When
    after: tuple[int, ...]
    timeout_s: int = 0
    members: Iterable[Task] | None = None

    @property
    def is_flow(self) -> bool:
        """Whether it is a flow, which its task opens."""
        task = self.task
        return task is not None and (SUBFLOW in task.headers or SUBFLOW in task.options.headers)


@dataclass(slots=True, kw_only=True)
class FlowDraft:
    """A flow before it is enqueued.

    Attributes:
        name: Its name.
        queue: Its home.
        has_own_id: Whether it was given its id.
        timeout_s: Seconds after which it is cancelled; 0 for never.
        unique_s: Seconds for which no other flow may have its name; 0 for not at all.
        keep_s: Seconds for which it is kept after a success.
        keep_failed_s: Seconds for which it is kept after another end.
        depth: Number of flows in one another: 1 without steps that are flows.
        steps: Its steps.
        map_types: The type of the tasks of each map that was read, by number; empty if it was not
            enqueued, or has no tasks.
    """

    name: str
    queue: str
    has_own_id: bool
    timeout_s: int
    unique_s: int
    keep_s: int
    keep_failed_s: int
    depth: int = 1
    steps: list[Draft] = field(default_factory=list[Draft])
    map_types: dict[int, str] = field(default_factory=dict[int, str])


class TaskTemplate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A task of a step.

    Attributes:
        type: Its type.
        payload: Its payload; None for no payload.
        options: Its options that are given, by name.
        inputs: Numbers of the steps whose results it uses, by parameter.
    """

    type: str
    payload: bytes | None = None
    options: dict[str, Any] = {}
    inputs: dict[str, int] = {}

    def task(self, flow: object, names: Sequence[str]) -> Task:
        """Return the task, which may use results of *flow*, whose steps have these *names*."""
        options = msgspec.convert(self.options, Options, strict=False)
        call: Call[object] = Call(self.type, self.payload)
        call.headers, call.options = options.headers, options
        call.inputs = {
            name: StepResult(flow, number, names[number]) for name, number in self.inputs.items()
        }
        return call


class StepTemplate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A step; see `Draft`."""

    name: str
    when: When = "succeeded"
    after: tuple[int, ...] = ()
    task: TaskTemplate | None = None
    members: tuple[TaskTemplate, ...] | None = None
    timeout_s: int = 0


class FlowTemplate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A flow without its id."""

    name: str
    queue: str
    steps: tuple[StepTemplate, ...]
    keep_s: int
    keep_failed_s: int
    timeout_s: int = 0
    unique_s: int = 0


def task_of(flow: FlowDraft, header: str) -> Task:
    """Return the task that opens *flow*; its *header* says that.

    Raises:
        OptionError: If the flow has no steps, or the generator of a map was read before.
    """
    if not flow.steps:
        raise OptionError("steps", 0, "at least one (flow.add)")
    template = FlowTemplate(
        name=flow.name,
        queue=flow.queue,
        steps=tuple(step_template(it, n, flow.map_types) for n, it in enumerate(flow.steps)),
        keep_s=flow.keep_s,
        keep_failed_s=flow.keep_failed_s,
        timeout_s=flow.timeout_s,
        unique_s=flow.unique_s,
    )
    task = Task(FLOW_TYPE, encode_template(template), queue=flow.queue)
    task.headers = {header: flow.name}
    return task


def members_once(members: Iterable[Task], number: int, types: dict[int, str]) -> Iterable[Task]:
    """Return the tasks of a map, to be read now, and note that in *types*; see `FlowDraft`.

    Raises:
        OptionError: If they come from a generator that was read before: the map would be empty.
    """
    if isinstance(members, Iterator) and number in types:
        allowed = "a list, or a new flow: the generator was read by an earlier call"
        raise OptionError("tasks", members, allowed)
    types.setdefault(number, "")
    return members


def step_template(draft: Draft, number: int, types: dict[int, str]) -> StepTemplate:
    """Return *draft*, the step *number*, as a part of a payload; the tasks of a map are read.

    Raises:
        OptionError: See `members_once`.
    """
    members = draft.members
    if members is not None:
        members = members_once(members, number, types)
    return StepTemplate(
        name=draft.name,
        when=draft.when,
        after=draft.after,
        task=None if draft.task is None else _task_template(draft.task),
        members=None if members is None else tuple(_task_template(task) for task in members),
        timeout_s=draft.timeout_s,
    )


def _task_template(task: Task) -> TaskTemplate:
    check_task(task)
    return TaskTemplate(
        type=task.type,
        payload=task.payload,
        options=_options(task),
        inputs={name: result.number for name, result in inputs_of(task).items()},
    )


def _options(task: Task) -> dict[str, Any]:
    given: Mapping[str, Any] = msgspec.structs.asdict(task.options)
    options = {name: value for name, value in given.items() if value is not None}
    options["headers"] = {**task.headers, **task.options.headers}
    return {name: value for name, value in options.items() if value != {}}


encode_template: Final = msgspec.json.Encoder(order="deterministic").encode
decode_template: Final = msgspec.json.Decoder(FlowTemplate).decode
