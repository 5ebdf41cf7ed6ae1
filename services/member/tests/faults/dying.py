"""Run the program, and kill it at a given call.

``python -m services.member.tests.faults.dying WHEN COUNT MODULE FUNCTION``: SIGKILL ends it
``before`` or ``after`` the COUNT-th call of FUNCTION (``name`` or ``Class.name``) of MODULE.
"""

import importlib
import itertools
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from operator import attrgetter
from typing import Any

from member.__main__ import main


def die_at(when: str, count: int, module: str, function: str) -> None:
    """Kill this process before or after the *count*-th call of *function*."""
    *owner, name = function.split(".")
    home: Any = importlib.import_module(module)
    home = attrgetter(*owner)(home) if owner else home
    real: Callable[..., Awaitable[object]] = getattr(home, name)
    calls = itertools.count(1)

    async def call_and_die(*args: object, **options: object) -> object:
        number = next(calls)
        if number == count and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = await real(*args, **options)
        if number == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    setattr(home, name, call_and_die)


if __name__ == "__main__":
    die_at(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
    sys.exit(main([]))
