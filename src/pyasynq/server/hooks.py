"""What is to happen when tasks end: new tasks, and functions of the worker."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple, TypeAlias, TypeVar

from pyasynq.core.errors import OptionError
from pyasynq.core.outcome import ENDINGS, EVENTS, Ending, Event, Outcome
from pyasynq.core.task import Task
from pyasynq.runtime.callbacks import check_function

MakeTask: TypeAlias = Callable[[Outcome], Task]
OnEvent: TypeAlias = Callable[[Outcome], Awaitable[None] | None]

F = TypeVar("F", bound=OnEvent)

TAKES: Final = "(outcome)"


class _Durable(NamedTuple):
    """Make a task after an outcome of the types that begin with *start*."""

    outcome: Ending
    start: str
    make: MakeTask


class _Local(NamedTuple):
    """Call a function after an event of the types that begin with *start*."""

    event: Event
    start: str
    function: OnEvent


class Hooks:
    """The hooks of a server.

    Attributes:
        exist: Whether there are any; read for each task.
    """

    def __init__(self) -> None:
        """Begin without hooks."""
        self.exist: bool = False
        # A lookup for each task: an app may declare followers for hundreds of types.
        self._exact: dict[tuple[Event, str], list[MakeTask]] = {}
        self._durable: list[_Durable] = []
        self._local: list[_Local] = []

    def when(
        self, outcome: Ending, prefix: str, make: MakeTask, *, exact: bool = False
    ) -> MakeTask:
        """Create a task in the step that ends a task with *outcome*.

        Args:
            outcome: ``succeeded``, ``archived``, ``expired`` or ``revoked``.
            prefix: Start of the types that it is for; empty for all.
            make: Called with the `Outcome`; returns the task. It must not wait for anything. The
                task is created exactly once, by the worker that ends the other one or by the
                recoverer. For a task of the type that *make* returns none is created.
            exact: It is for the type *prefix* alone.

        Raises:
            OptionError: If there is no such outcome, or *prefix* is not a text.
            TypeError: If *make* cannot be called this way.
        """
        if outcome not in ENDINGS:
            raise OptionError("outcome", outcome, " or ".join(map(repr, ENDINGS)))
        check_function(make, "what makes the task", TAKES, 1)
        _check_prefix(prefix)
        if exact:
            self._exact.setdefault((outcome, prefix), []).append(make)
        else:
            self._durable.append(_Durable(outcome, prefix, make))
        self.exist = True
        return make

    def on(self, event: Event, prefix: str = "") -> Callable[[F], F]:
        """Return a decorator for a function to call after *event*, once it is written.

        It is called at most once for each event, by the worker that has written it: not if that
        worker dies meanwhile. What it raises is logged.

        Args:
            event: ``succeeded``, ``archived``, ``expired``, ``revoked``, ``retried`` or
                ``recovered``.
            prefix: Start of the types that it is for; empty for all.

        Raises:
            OptionError: If there is no such event, or *prefix* is not a text.
            TypeError: If the function cannot be called with an `Outcome`.
        """
        if event not in EVENTS:
            raise OptionError("event", event, " or ".join(map(repr, EVENTS)))
        _check_prefix(prefix)

        def add(function: F) -> F:
            check_function(function, f"a function on {event!r}", TAKES, 1)
            self._local.append(_Local(event, prefix, function))
            self.exist = True
            return function

        return add

    def makers(self, event: Event, type: str) -> Sequence[MakeTask]:
        """Return what makes the tasks that follow *event* of a task of *type*."""
        by_prefix = (
            hook.make
            for hook in self._durable
            if hook.outcome == event and type.startswith(hook.start)
        )
        return [*self._exact.get((event, type), ()), *by_prefix]

    def functions(self, event: Event, type: str) -> Sequence[OnEvent]:
        """Return the functions to call after *event* of a task of *type*."""
        return [
            hook.function
            for hook in self._local
            if hook.event == event and type.startswith(hook.start)
        ]


def _check_prefix(prefix: object) -> None:
    if not isinstance(prefix, str):
        raise OptionError("prefix", prefix, "the start of a task type")
