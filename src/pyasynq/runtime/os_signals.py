"""Signals of the system, while something runs that hears them."""

import asyncio
import functools
import logging
import os
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, Final, TypeAlias
from weakref import WeakKeyDictionary

from pyasynq.runtime.loggers import get_logger

log: Final = get_logger("pyasynq.signals")

Handle: TypeAlias = Callable[[int], None]

STOPPING: Final = ("SIGTERM", "SIGINT", "SIGHUP", "SIGBREAK")
"""What tells a process to end: an order, Ctrl-C, a terminal that is gone, Ctrl-Break of Windows."""

COURTEOUS: Final = "SIGHUP"
"""A signal that is left to whoever has given it a meaning: ``nohup`` ignores it, and many programs
read their settings again."""


def send(process: asyncio.subprocess.Process, number: int) -> None:
    """Send a signal to a process of ours, which may have ended.

    Its own `send_signal` looks first whether it has, and then the exit code is lost for asyncio,
    which reports 255 (mended in Python 3.14: CPython issue 127049).
    """
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)


class _Ear:
    """Hears one signal in one loop, which has room for one, for all who want to know."""

    def __init__(self, number: int) -> None:
        self.handles: list[Handle] = []
        self._number = number
        self._before: Any = signal.getsignal(number)

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to hear.

        Raises:
            ValueError, RuntimeError: If this thread cannot.
        """
        try:
            loop.add_signal_handler(self._number, self._call)
        except NotImplementedError:  # on Windows
            signal.signal(self._number, functools.partial(self._wake, loop))

    def close(self, loop: asyncio.AbstractEventLoop) -> None:
        """Hear no more; the signal means again what it meant before."""
        now = signal.getsignal(self._number)
        try:
            loop.remove_signal_handler(self._number)
        except NotImplementedError:
            signal.signal(self._number, signal.SIG_DFL)
        # What is the same was the loop's own, for somebody whom it no longer knows.
        if self._before is not None and self._before is not now:
            signal.signal(self._number, self._before)

    def _wake(self, loop: asyncio.AbstractEventLoop, *_signal: object) -> None:
        loop.call_soon_threadsafe(self._call)

    def _call(self) -> None:
        for handle in [*self.handles]:
            handle(self._number)


_ears: "WeakKeyDictionary[asyncio.AbstractEventLoop, dict[int, _Ear]]" = WeakKeyDictionary()


@contextmanager
def handle_os_signals(names: Sequence[str], handle: Handle) -> Generator[None]:
    """Pass the signals of *names* to *handle*, where this thread and platform can.

    Others that hear them in this loop go on hearing them. A child that is forked meanwhile does
    not: there they mean what they mean to any process.
    """
    loop = asyncio.get_running_loop()
    numbers = [number for name in names if (number := _add(loop, name, handle))]
    try:
        yield
    finally:
        for number in numbers:
            _remove(loop, number, handle)


def handle_stop_signals(
    log: logging.Logger, stop: Callable[[], None]
) -> AbstractContextManager[None]:
    """Call *stop* when the process is told to end, and say so in *log*, while a block runs."""

    def hear(number: int) -> None:
        log.info("%s: shutting down", signal.Signals(number).name)
        stop()

    return handle_os_signals(STOPPING, hear)


def _add(loop: asyncio.AbstractEventLoop, name: str, handle: Handle) -> int | None:
    """Have *handle* called; return the signal's number, or None where it cannot be heard."""
    number = getattr(signal, name, None)
    if number is None:
        return None
    ears = _ears.setdefault(loop, {})
    ear = ears.get(number)
    if ear is None:
        if name == COURTEOUS and signal.getsignal(number) is not signal.SIG_DFL:
            return None
        ear = _Ear(number)
        try:
            ear.open(loop)
        except (ValueError, RuntimeError):
            log.debug("signal %s cannot be heard here", name)
            return None
        ears[number] = ear
    ear.handles.append(handle)
    return int(number)


def _remove(loop: asyncio.AbstractEventLoop, number: int, handle: Handle) -> None:
    ear = _ears.get(loop, {}).get(number)
    if ear is None:
        return  # in a forked child
    ear.handles.remove(handle)
    if not ear.handles:
        del _ears[loop][number]
        ear.close(loop)


# -- forks -----------------------------------------------------------------------------------------

# A child has the handlers of its parent, and the descriptor by which a signal wakes the parent's
# loop. So it would take no SIGTERM, which is how `multiprocessing` ends its processes, and its
# parent would. What is sent before the child has its own waits, for both sides.

_blocked = threading.local()


def _numbers() -> set[int]:
    return {number for ears in list(_ears.values()) for number in ears}


def _before_fork() -> None:
    if numbers := _numbers():
        _blocked.before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)


def _after_fork() -> None:
    before = vars(_blocked).pop("before", None)
    if before is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _in_child() -> None:
    numbers = _numbers()
    if numbers:
        signal.set_wakeup_fd(-1)
    for number in numbers:
        is_interrupt = number == signal.SIGINT
        signal.signal(number, signal.default_int_handler if is_interrupt else signal.SIG_DFL)
    _ears.clear()
    _after_fork()


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)
