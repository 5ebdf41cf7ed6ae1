"""Functions that cannot run in a process are refused when they are declared."""

import functools
import os
from collections.abc import Callable

import pytest

from pyasynq import ActiveTask, App, OptionError, Task, TaskState
from pyasynq.testing import Tasks
from tests.e2e.apps import computing


def declare(function: Callable[..., object]) -> None:
    """Declare *function* as a task that runs in a process."""
    App("redis://127.0.0.1:1").task("t", executor="process")(function)


async def coroutine() -> None:
    """Have an event loop."""


def takes_active(task: ActiveTask) -> None:
    """Take the task."""


def decorate(function: Callable[[], None]) -> Callable[[], None]:
    """Return a function that hides *function*."""

    def call() -> None:
        function()

    return call


def decorate_well(function: Callable[[], None]) -> Callable[[], None]:
    """Return a function that shows *function*."""

    @functools.wraps(function)
    def call() -> None:
        function()

    return call


def nothing() -> None:
    """Do nothing."""


class Holder:
    """Has a function."""

    @staticmethod
    def static() -> None:
        """Do nothing."""


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (coroutine, "the task 't' with executor=\"process\" must be a plain def"),
        (takes_active, "cannot have the parameter 'task' for the ActiveTask, which stays"),
        (lambda: None, "must be a function of a module, .* got <lambda>: move it to the top"),
        (Holder.static, "must be a function of a module, .* got Holder.static"),
        (decorate(nothing), "a decorator needs functools.wraps"),
    ],
    ids=["coroutine", "active task", "lambda", "method", "decorated"],
)
def test_a_function_that_a_process_cannot_run_is_refused(
    function: Callable[..., object], text: str
) -> None:
    with pytest.raises(TypeError, match=text):
        declare(function)


def test_a_decorated_function_that_keeps_its_name_is_accepted() -> None:
    declare(decorate_well(nothing))


def test_an_unknown_executor_is_refused() -> None:
    with pytest.raises(OptionError, match="'process', or left out"):
        App("redis://127.0.0.1:1").task("t", executor="thread")  # type: ignore[arg-type]


def test_a_function_of_a_program_without_a_file_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def make() -> Callable[[], None]:
        names: dict[str, Callable[[], None]] = {"__name__": "__main__"}  # type: ignore[dict-item]
        exec("def cell(): pass", names)
        return names["cell"]

    monkeypatch.setattr("sys.modules", {"__main__": object()})
    cell = make()
    with pytest.raises(TypeError, match="must be in a file, because a process imports it: move"):
        declare(cell)


async def test_the_test_kit_runs_it_in_the_process_of_the_test() -> None:
    async with Tasks(computing.app) as tasks:
        result = await tasks.perform(computing.add, computing.Point(1, 2))
    assert result == {"sum": 3, "pid": os.getpid()}


async def test_a_payload_that_does_not_fit_is_archived() -> None:
    async with Tasks(computing.app) as tasks:
        await computing.app.client.enqueue(Task("add", b'{"point": 1}'))
        (run,) = (await tasks.drain(raises=False)).runs
    assert run.state is TaskState.ARCHIVED


def test_a_server_of_process_tasks_alone_leaves_what_it_cannot_run_soon_to_others() -> None:
    app = App("redis://127.0.0.1:1", task_processes=2)
    app.task("t", executor="process")(nothing)
    assert app.mux.places == {"processes"}
    app.task("u")(coroutine)
    assert app.mux.places == set()
