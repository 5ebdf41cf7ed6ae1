"""Signals of the system, while something runs that hears them."""

import asyncio
import logging
import signal
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TypeAlias
from weakref import WeakKeyDictionary

log = logging.getLogger("pyasynq.signals")

Handle: TypeAlias = Callable[[int], None]

_handles: "WeakKeyDictionary[asyncio.AbstractEventLoop, dict[int, list[Handle]]]" = (
    WeakKeyDictionary()
)
"""Who hears each signal; a loop itself has room for one."""


@contextmanager
def heard(names: Sequence[str], handle: Handle) -> Generator[None]:
    """Pass the signals of *names* to *handle*, where this thread and platform can.

    Others that hear them in this loop go on hearing them.
    """
    loop = asyncio.get_running_loop()
    numbers: list[int] = [getattr(signal, name) for name in names if hasattr(signal, name)]
    hearing = [number for number in numbers if _add(loop, number, handle)]
    try:
        yield
    finally:
        for number in hearing:
            _remove(loop, number, handle)


def _add(loop: asyncio.AbstractEventLoop, number: int, handle: Handle) -> bool:
    handles = _handles.setdefault(loop, {}).setdefault(number, [])
    if not handles:
        try:
            loop.add_signal_handler(number, _call, handles, number)
        except (NotImplementedError, ValueError, RuntimeError):
            log.debug("signal %s cannot be heard here", number)
            return False
    handles.append(handle)
    return True


def _remove(loop: asyncio.AbstractEventLoop, number: int, handle: Handle) -> None:
    handles = _handles[loop][number]
    handles.remove(handle)
    if not handles:
        loop.remove_signal_handler(number)


def _call(handles: Sequence[Handle], number: int) -> None:
    for handle in [*handles]:
        handle(number)
