"""The fixtures of pytest. Nothing else of pyasynq is imported until a test asks for one."""

import pkgutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import pytest

if TYPE_CHECKING:
    from pyasynq import App, Mux
    from pyasynq.testing import SyncTasks, Tasks, TravelClock

SETTING = "pyasynq_app"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting `pyasynq_app`."""
    parser.addini(SETTING, "app that the fixtures tasks and sync_tasks run: shop.tasks:app")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark `pyasynq`."""
    line = "pyasynq(inline=False, now=None, **options): how the fixtures tasks and sync_tasks begin"
    config.addinivalue_line("markers", line)


@pytest.fixture
def pyasynq_app(pytestconfig: pytest.Config) -> "App | Mux | None":
    """Return the app of the setting `pyasynq_app`; override it to return yours."""
    name: str = pytestconfig.getini(SETTING)
    if not name:
        return None
    try:
        return cast("App | Mux", pkgutil.resolve_name(name))
    except (ImportError, AttributeError, ValueError) as error:
        msg = f"the setting {SETTING} = {name} names no app, such as shop.tasks:app: {error}"
        raise pytest.UsageError(msg) from error


@pytest.fixture
def pyasynq_clock() -> "TravelClock":
    """Return the clock of `tasks` and `sync_tasks`; override it to let it begin at a fixed time."""
    from pyasynq.testing import TravelClock

    return TravelClock()


@pytest.fixture
def tasks(
    request: pytest.FixtureRequest, pyasynq_app: "App | Mux | None", pyasynq_clock: "TravelClock"
) -> "Iterator[Tasks]":
    """Yield the `Tasks` of this test; all tasks of the process are in them."""
    from pyasynq.testing import Tasks

    with Tasks(pyasynq_app, **_options(request, pyasynq_clock)) as tasks:
        yield tasks


@pytest.fixture
def sync_tasks(
    request: pytest.FixtureRequest, pyasynq_app: "App | Mux | None", pyasynq_clock: "TravelClock"
) -> "Iterator[SyncTasks]":
    """Yield the `SyncTasks` of this test, which has no event loop."""
    from pyasynq.testing import SyncTasks

    with SyncTasks(pyasynq_app, **_options(request, pyasynq_clock)) as tasks:
        yield tasks


def _options(request: pytest.FixtureRequest, clock: "TravelClock") -> dict[str, Any]:
    """Return the arguments of the mark `pyasynq`, of the test before those of its class."""
    options: dict[str, Any] = {}
    for mark in request.node.iter_markers("pyasynq"):
        options = {**mark.kwargs, **options}
    return options if "now" in options else {"clock": clock, **options}
