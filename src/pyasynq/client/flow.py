"""Build flows: steps, and what they wait for."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Generic, TypeAlias, TypeVar, Unpack, cast, overload

from pyasynq.client.flow_checks import check_step_name, check_step_task, sorted_before
from pyasynq.client.flow_options import KEEP, KEEP_FAILED, FlowOptions, seconds_of
from pyasynq.client.flow_template import STARTER, SUBFLOW, Draft, FlowDraft, task_of
from pyasynq.client.ids import new_ids
from pyasynq.core.call import Call, StepResult, inputs_of
from pyasynq.core.errors import OptionError
from pyasynq.core.flow import MAX_DEPTH, MAX_EDGES, MAX_STEPS, When
from pyasynq.core.flow_record import first_task_id, subflow_id
from pyasynq.core.options import DEFAULT_QUEUE, check_known, check_name, check_queue
from pyasynq.core.task import Task

R = TypeVar("R")
S = TypeVar("S")


class Step(Generic[R]):
    """A step of a flow, whose result has the type ``R``.

    Attributes:
        flow: Its flow.
        number: Its number in the flow, from 0.
        name: Its name.
    """

    __slots__ = ("flow", "name", "number")

    def __init__(self, flow: "Flow", number: int, name: str) -> None:
        """Refer to step *number* of *flow*."""
        self.flow: Flow = flow
        self.number: int = number
        self.name: str = name

    @property
    def result(self) -> R:
        """What the step returns, as an argument of another step: a stand-in until that begins.

        A step that uses it waits for this step. It must be an argument as a whole, not a part of
        one.
        """
        return cast("R", StepResult(self.flow, self.number, self.name))

    def __repr__(self) -> str:
        """Show the name."""
        return f"<Step {self.name!r}>"


class Members(Step[list[R]]):
    """A step that is a map: any number of tasks, whose results have the type ``R``."""

    __slots__ = ()

    @property
    def results(self) -> list[R]:
        """The list of what the tasks return, in their order, as an argument of another step.

        See `Step.result`, which is the same. A map whose results are used has at most 10,000 tasks,
        of one type; their results together have at most 16 MiB.
        """
        return self.result

    def __repr__(self) -> str:
        """Show the name."""
        return f"<Members {self.name!r}>"


AnyStep: TypeAlias = Step[Any]


class Flow:
    """Steps that run in an order, as one unit.

    A step runs when the steps before it have ended as it wants. `Client.enqueue_flow` stores the
    flow and starts the first steps.

    Attributes:
        name: Its name, for operators.
        queue: Its home: the queue with which it is stored. Its steps may be in other queues.
        step: The step of another flow that it is; None if it is no step.
        draft: All of it, for the client that stores it.
    """

    def __init__(self, name: str, **options: Unpack[FlowOptions]) -> None:
        """Make a flow without steps; see `FlowOptions`.

        Raises:
            OptionError: If the name or an option is not allowed.
            TypeError: If an option is unknown.
        """
        check_known(options, FlowOptions.__annotations__)
        self.name: str = check_name("name", name)
        self.queue: str = check_queue("queue", options.get("queue", DEFAULT_QUEUE))
        self._id: str = check_name("id", options["id"]) if "id" in options else new_ids(1)[0]
        timeout, unique_for = options.get("timeout"), options.get("unique_for")
        self.draft: FlowDraft = FlowDraft(
            name=self.name,
            queue=self.queue,
            has_own_id="id" in options,
            timeout_s=0 if timeout is None else seconds_of("timeout", timeout),
            unique_s=0 if unique_for is None else seconds_of("unique_for", unique_for),
            keep_s=seconds_of("keep", options.get("keep", KEEP)),
            keep_failed_s=seconds_of("keep_failed", options.get("keep_failed", KEEP_FAILED)),
        )
        self.step: Step[None] | None = None
        self._steps: list[AnyStep] = []
        self._numbers: dict[str, int] = {}
        self._edges = 0

    @property
    def id(self) -> str:
        """Its id, unique in its queue; a flow that becomes a step gets another one."""
        if self.step is None:
            return self._id
        outer = self.step.flow
        return subflow_id(outer.queue, first_task_id(outer.id, self.step.name))

    @overload
    def add(  # type: ignore[overload-overlap]
        self,
        task: Call[R],
        *,
        after: "AnyStep | Iterable[AnyStep]" = (),
        when: When = "succeeded",
        name: str | None = None,
    ) -> Step[R]: ...
    @overload
    def add(
        self,
        task: Task,
        *,
        after: "AnyStep | Iterable[AnyStep]" = (),
        when: When = "succeeded",
        name: str | None = None,
    ) -> Step[bytes]: ...
    @overload
    def add(
        self,
        task: "Flow",
        *,
        after: "AnyStep | Iterable[AnyStep]" = (),
        when: When = "succeeded",
        name: str | None = None,
    ) -> Step[None]: ...
    def add(
        self,
        task: "Task | Flow",
        *,
        after: "AnyStep | Iterable[AnyStep]" = (),
        when: When = "succeeded",
        name: str | None = None,
    ) -> AnyStep:
        """Add a step that runs *task*, and return it.

        Args:
            task: The task. Its ``process_in`` counts from the moment at which the step may run. An
                argument may be the `Step.result` of another step. Or a flow with all its steps: it
                is opened when this step may run, and the step ends with it. It has no result.
            after: Steps to wait for, beside those whose results are arguments.
            when: ``succeeded``: it runs if all of them have succeeded. ``failed``: if one has
                failed, or was not run because something before it has failed. ``ended``: in any
                case.
            name: Its name; None for the type of the task, or the name of the flow, with a number
                if that is taken.

        Raises:
            OptionError: If the name is taken, a step is of another flow, *when* cannot be, the task
                has a group or an id, the flow is too large, or the other flow cannot be a step.
        """
        before = {self._number_of(step) for step in _steps(after)}
        if isinstance(task, Flow):
            return self._add_flow(task, sorted_before(before, when), when, name)
        check_step_task(task)
        for result in inputs_of(task).values():
            if result.flow is not self:
                raise OptionError("task", task, "one that uses results of the same flow")
            if when != "succeeded":
                raise OptionError("when", when, "'succeeded' for a step that uses a result")
            if self.draft.steps[result.number].is_flow:
                allowed = "one that uses results of tasks: a flow has none (name it in after=)"
                raise OptionError("task", task, allowed)
            before.add(result.number)
        draft = Draft(
            name=check_step_name(self.id, self._free_name(task.type, name)),
            task=task,
            when=when,
            after=sorted_before(before, when),
        )
        return self._append(draft)

    @overload
    def map(  # type: ignore[overload-overlap]
        self,
        tasks: Iterable[Call[R]],
        *,
        after: "AnyStep | Iterable[AnyStep]" = (),
        when: When = "succeeded",
        name: str = "map",
    ) -> Members[R]: ...
    @overload
    def map(
        self,
        tasks: Iterable[Task],
        *,
        after: "AnyStep | Iterable[AnyStep]" = (),
        when: When = "succeeded",
        name: str = "map",
    ) -> Members[bytes]: ...
    def map(
        self,
        tasks: Iterable[Task],
        *,
        after: "AnyStep | Iterable[AnyStep]" = (),
        when: When = "succeeded",
        name: str = "map",
    ) -> Members[Any]:
        """Add a step that runs any number of *tasks*, and return it.

        It ends when all of them have ended, and fails if one of them has. They are stored when the
        flow is enqueued, and run when the steps before this one have ended.

        Args:
            tasks: None to millions, also from a generator. They are for one queue, have no
                *task_id* and no *group*, and use no results of steps.
            after: See `add`.
            when: See `add`.
            name: Its name; a number is added if it is taken.

        Raises:
            OptionError: See `add`.
        """
        if not isinstance(tasks, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise OptionError("tasks", tasks, "a list of Tasks (for one there is add)")
        before = {self._number_of(step) for step in _steps(after)}
        draft = Draft(
            name=self._free_name(check_name("name", name), None),
            task=None,
            when=when,
            after=sorted_before(before, when),
            members=tasks,
        )
        return cast("Members[Any]", self._append(draft))

    @overload
    def gate(
        self,
        name: str,
        *,
        after: "AnyStep | Iterable[AnyStep]" = (),
        timeout: timedelta | None = None,
    ) -> Step[None]: ...
    @overload
    def gate(
        self,
        name: str,
        *,
        returns: type[S],
        after: "AnyStep | Iterable[AnyStep]" = (),
        timeout: timedelta | None = None,
    ) -> Step[S]: ...
    def gate(
        self,
        name: str,
        *,
        returns: type[object] | None = None,
        after: "AnyStep | Iterable[AnyStep]" = (),
        timeout: timedelta | None = None,
    ) -> AnyStep:
        """Add a step that waits for a signal instead of running a task, and return it.

        It succeeds with `Client.signal`. A signal that comes before the steps before it have ended
        is kept.

        Args:
            name: Its name, for the signal.
            returns: Type of the signal's value, if another step uses it.
            after: Steps that must have succeeded before.
            timeout: Time after which it fails, counted from the moment at which it waits; None for
                never.

        Raises:
            OptionError: If the name is taken, or an option is not allowed.
        """
        before = {self._number_of(step) for step in _steps(after)}
        timeout_s = 0 if timeout is None else seconds_of("timeout", timeout)
        draft = Draft(
            name=self._free_name("", name),
            task=None,
            when="succeeded",
            after=tuple(sorted(before)),
            timeout_s=timeout_s,
        )
        return self._append(draft)

    def task(self) -> Task:
        """Return a task that opens the flow when it runs, for whatever takes a task.

        For an entry of a scheduler, a row of an outbox, `ActiveTask.then`, or a step of another
        flow. Such a step does not wait for the end of this flow; give `add` the flow itself for one
        that does. Each time it is enqueued is a flow of its own: its id is that of the task. A
        worker of this version with the flow's home runs it, once or more; the flow is opened once.

        Raises:
            OptionError: If the flow has no steps, or the generator of a map was read before.
        """
        return task_of(self.draft, STARTER)

    @property
    def all(self) -> tuple[AnyStep, ...]:
        """All steps so far, for a step that follows them."""
        return tuple(self._steps)

    def type_of(self, step: AnyStep) -> str:
        """Return the type of the task or tasks of *step*; empty if it is not known."""
        task = self.draft.steps[step.number].task
        return self.draft.map_types.get(step.number, "") if task is None else task.type

    def __repr__(self) -> str:
        """Show name, number of steps and id."""
        return f"<Flow {self.name!r}, {len(self._steps)} steps, {self.id} in {self.queue!r}>"

    def _add_flow(
        self, flow: "Flow", after: tuple[int, ...], when: When, name: str | None
    ) -> Step[None]:
        self._check_part(flow)
        free = check_step_name(self.id, self._free_name(flow.name, name))
        self._check_room(free, after)  # before the generators of its maps are read
        draft = Draft(name=free, task=task_of(flow.draft, SUBFLOW), when=when, after=after)
        flow.step = self._append(draft)
        self.draft.depth = max(self.draft.depth, flow.draft.depth + 1)
        return flow.step

    def _check_part(self, flow: "Flow") -> None:
        """Raise an `OptionError` if *flow* cannot be a step of this one."""
        if flow.step is not None or flow is self:
            raise OptionError("flow", flow, "a flow of its own: make another one for each step")
        if flow.draft.has_own_id:
            raise OptionError("id", flow.id, "left out: a flow that is a step gets an id from that")
        if flow.draft.depth == MAX_DEPTH:
            raise OptionError("flow", flow, f"at most {MAX_DEPTH} flows in one another")

    def _check_room(self, name: str, after: tuple[int, ...]) -> None:
        """Raise an `OptionError` if the flow cannot get another step."""
        if self.step is not None:
            allowed = "added before its flow becomes a step of another"
            raise OptionError("step", name, allowed)
        if len(self._steps) == MAX_STEPS:
            raise OptionError("steps", MAX_STEPS + 1, f"at most {MAX_STEPS} in a flow")
        if (edges := self._edges + len(after)) > MAX_EDGES:
            allowed = f"at most {MAX_EDGES}, all steps together (a step between can join many)"
            raise OptionError("after", edges, allowed)

    def _append(self, draft: Draft) -> AnyStep:
        self._check_room(draft.name, draft.after)
        self._edges += len(draft.after)
        step: AnyStep = Step(self, len(self._steps), draft.name)
        if draft.members is not None:
            step = cast("AnyStep", Members(self, step.number, draft.name))
        self._numbers[draft.name] = step.number
        self.draft.steps.append(draft)
        self._steps.append(step)
        return step

    def _number_of(self, step: object) -> int:
        if getattr(step, "flow", None) is not self:
            allowed = "steps of the same flow, as its add returned them"
            raise OptionError("after", step, allowed)
        return cast("AnyStep", step).number

    def _free_name(self, type: str, name: str | None) -> str:
        if name is not None:
            if check_name("name", name) in self._numbers:
                raise OptionError("name", name, "one that no other step of the flow has")
            return name
        free, count = type, 1
        while free in self._numbers:
            count += 1
            free = f"{type}-{count}"
        return free


def _steps(after: object) -> Iterable[object]:
    if isinstance(after, Step):
        return (cast("object", after),)
    if not isinstance(after, Iterable):
        raise OptionError("after", after, "a step, or a list of steps")
    return cast("Iterable[object]", after)
