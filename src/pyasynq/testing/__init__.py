"""Test code that enqueues and runs tasks: no server, no waiting, and the clock is yours.

The names are imported when they are first used: every run of pytest where pyasynq is installed
loads this package with its plugin.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyasynq.testing.clock import TravelClock
    from pyasynq.testing.runs import Drained, Ran, TooManyRunsError
    from pyasynq.testing.sync import SyncTasks
    from pyasynq.testing.tasks import Tasks

__all__ = ["Drained", "Ran", "SyncTasks", "Tasks", "TooManyRunsError", "TravelClock"]

_HOMES = {
    "Drained": "runs",
    "Ran": "runs",
    "SyncTasks": "sync",
    "Tasks": "tasks",
    "TooManyRunsError": "runs",
    "TravelClock": "clock",
}

if not TYPE_CHECKING:  # type checkers must see only the names above

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return [*globals(), *__all__]
