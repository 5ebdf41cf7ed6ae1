"""Task functions that run in processes, which find them by module and name."""

import functools
import importlib
import sys
from collections.abc import Callable
from typing import Any, cast

from pyasynq.app.payload import Signature
from pyasynq.runtime.threads import is_async


def check_importable(type: str, function: Callable[..., object], active: list[str]) -> None:
    """Check that a process can run *function*, the task of *type*.

    Args:
        type: Type of the task.
        function: Its function.
        active: Names of its parameters for the `ActiveTask`.

    Raises:
        TypeError: If it cannot.
    """
    start = f'the task {type!r} with executor="process"'
    if is_async(function):
        msg = f"{start} must be a plain def: a process has no event loop"
        raise TypeError(msg)
    if active:
        msg = (
            f"{start} cannot have the parameter {active[0]!r} for the ActiveTask, which stays in "
            "the worker: pass what it needs as arguments, and return the result"
        )
        raise TypeError(msg)
    name = getattr(function, "__qualname__", repr(function))
    if not name.isidentifier():
        msg = (
            f"{start} must be a function of a module, because a process imports it by its name, "
            f"got {name}: move it to the top of its module; a decorator needs functools.wraps"
        )
        raise TypeError(msg)
    if function.__module__ == "__main__" and not hasattr(sys.modules["__main__"], "__file__"):
        msg = f"{start} must be in a file, because a process imports it: move {name} to a module"
        raise TypeError(msg)


def call_in_process(
    type: str, module: str, name: str, payload: bytes, broker: str | None
) -> object:
    """Return the result of a task function.

    Args:
        type: Type of the task.
        module: Module of its function.
        name: Name of the function there.
        payload: Its arguments.
        broker: Address that the app of the worker uses, maybe another than the code says.

    Raises:
        PayloadError: If the payload does not fit the function.
        Exception: What the function raises.
    """
    function, signature = _find(type, module, name, broker)
    args, kwargs = signature.bind_payload(payload)
    return function(*args, **kwargs)


@functools.cache
def _find(
    type: str, module: str, name: str, broker: str | None
) -> tuple[Callable[..., object], Signature]:
    found: Any = getattr(importlib.import_module(module), name)
    is_task = hasattr(found, "prepare_process")  # not so if a call has declared the function
    function = cast("Callable[..., object]", found.prepare_process(broker) if is_task else found)
    return function, Signature(type, function)
