"""Calls of typed tasks, and results that are not there yet."""

from collections.abc import Mapping
from typing import Final, Generic, Self, TypeVar, cast

import msgspec

from pyasynq.core.options import Options
from pyasynq.core.task import Task

R = TypeVar("R")

INPUTS: Final = "pyasynq:inputs"
"""Header that names the arguments that are results of other steps.

JSON: the number of the step, or a `MapInput`, by the name of the parameter.
"""


class MapInput(msgspec.Struct, frozen=True, array_like=True):
    """The results of a map, as a step names them that uses them.

    Attributes:
        number: Number of the map in the flow.
        queue: Queue of its tasks.
        batch_id: Id of its batch.
        type: Type of its tasks; empty without tasks.
    """

    number: int
    queue: str
    batch_id: str
    type: str


class StepResult:
    """Stands for the result of a step, until the step that uses it begins.

    Attributes:
        flow: The flow of the step.
        number: The number of the step.
        name: Its name.
    """

    __slots__ = ("flow", "name", "number")

    def __init__(self, flow: object, number: int, name: str) -> None:
        """Stand for the result of step *number* of *flow*."""
        self.flow: object = flow
        self.number: int = number
        self.name: str = name

    def __repr__(self) -> str:
        """Name the step."""
        return f"<result of the step {self.name!r}>"


NO_INPUTS: Final[Mapping[str, StepResult]] = {}


class Call(Task, Generic[R]):
    """A call of a typed task, as a `Task` that knows the type ``R`` of its result.

    Attributes:
        inputs: Arguments that are results of other steps, by the names of the parameters. Such a
            call can only be a step of their flow.
    """

    __slots__ = ("inputs",)

    inputs: Mapping[str, StepResult]

    @classmethod
    def with_options(cls, type: str, payload: bytes, options: Options) -> Self:
        """Return a call whose *options* were checked before."""
        call = cls(type, payload)
        call.headers, call.options, call.inputs = options.headers, options, NO_INPUTS
        return call


def inputs_of(task: Task) -> Mapping[str, StepResult]:
    """Return the arguments of *task* that are results of steps."""
    return cast("Call[object]", task).inputs if type(task) is Call else NO_INPUTS
