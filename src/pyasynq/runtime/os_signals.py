"""Handle signals of the operating system while a block runs."""

import asyncio
import functools
import logging
import os
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, Final, Protocol, TypeAlias
from weakref import WeakKeyDictionary

from pyasynq.runtime.loggers import get_logger

log: Final = get_logger("pyasynq.signals")

Handle: TypeAlias = Callable[[int], None]

STOP_SIGNALS: Final = ("SIGTERM", "SIGINT", "SIGHUP", "SIGBREAK")
"""Signals that stop a process: from ``kill``, Ctrl-C, a closed terminal, Ctrl-Break on Windows."""

KEPT_IF_SET: Final = "SIGHUP"
"""Signal that is not handled here if the program already handles or ignores it: ``nohup`` ignores
it, and many programs reload their settings."""


class ChildProcess(Protocol):
    """A process that this one has started."""

    @property
    def pid(self) -> int:
        """Process id."""
        ...

    @property
    def returncode(self) -> int | None:
        """Exit code; None while it runs."""
        ...


def send(process: ChildProcess, number: int) -> None:
    """Send a signal to a child process, which may have ended.

    asyncio's own `send_signal` polls the process first. If it has ended, its exit code is lost and
    asyncio reports 255 (fixed in Python 3.14: CPython issue 127049).
    """
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)


class _Dispatcher:
    """Passes one signal to all its handlers in one loop, which itself allows only one."""

    def __init__(self, number: int) -> None:
        self.handles: list[Handle] = []
        self._number = number
        self._before: Any = signal.getsignal(number)

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to handle the signal.

        Raises:
            ValueError, RuntimeError: If this thread cannot handle signals.
        """
        try:
            loop.add_signal_handler(self._number, self._call)
        except NotImplementedError:  # on Windows
            signal.signal(self._number, functools.partial(self._wake, loop))

    def uninstall(self, loop: asyncio.AbstractEventLoop) -> None:
        """Stop handling the signal and restore the handler it had before."""
        now = signal.getsignal(self._number)
        try:
            loop.remove_signal_handler(self._number)
        except NotImplementedError:
            signal.signal(self._number, signal.SIG_DFL)
        # The same handler was the loop's own, for a callback that the loop has replaced.
        if self._before is not None and self._before is not now:
            signal.signal(self._number, self._before)

    def _wake(self, loop: asyncio.AbstractEventLoop, *_signal: object) -> None:
        loop.call_soon_threadsafe(self._call)

    def _call(self) -> None:
        for handle in [*self.handles]:
            handle(self._number)


_dispatchers: "WeakKeyDictionary[asyncio.AbstractEventLoop, dict[int, _Dispatcher]]" = (
    WeakKeyDictionary()
)


@contextmanager
def handle_os_signals(names: Sequence[str], handle: Handle) -> Generator[None]:
    """Pass the signals of *names* to *handle*, where this thread and platform can.

    Other handlers in this loop still get them. A child that is forked meanwhile does not pass them:
    there the signals have their default effect.
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
    """Call *stop* at each of `STOP_SIGNALS` while a block runs, and write that to *log*."""

    def on_signal(number: int) -> None:
        log.info("%s: shutting down", signal.Signals(number).name)
        stop()

    return handle_os_signals(STOP_SIGNALS, on_signal)


def _add(loop: asyncio.AbstractEventLoop, name: str, handle: Handle) -> int | None:
    """Add *handle*; return the signal's number, or None if it cannot or must not be handled."""
    number = getattr(signal, name, None)
    if number is None:
        return None
    dispatchers = _dispatchers.setdefault(loop, {})
    dispatcher = dispatchers.get(number)
    if dispatcher is None:
        if name == KEPT_IF_SET and signal.getsignal(number) is not signal.SIG_DFL:
            return None
        dispatcher = _Dispatcher(number)
        try:
            dispatcher.install(loop)
        except (ValueError, RuntimeError):
            log.debug("signal %s cannot be handled in this thread", name)
            return None
        dispatchers[number] = dispatcher
    dispatcher.handles.append(handle)
    return int(number)


def _remove(loop: asyncio.AbstractEventLoop, number: int, handle: Handle) -> None:
    dispatcher = _dispatchers.get(loop, {}).get(number)
    if dispatcher is None:
        return  # in a forked child
    dispatcher.handles.remove(handle)
    if not dispatcher.handles:
        del _dispatchers[loop][number]
        dispatcher.uninstall(loop)


# -- forks -----------------------------------------------------------------------------------------

# A forked child inherits the handlers of its parent, and the descriptor by which a signal wakes the
# parent's loop. A SIGTERM to the child, by which `multiprocessing` ends its processes, would stop
# the parent instead. So the child resets both, and the signals are blocked during the fork.

_blocked = threading.local()


def _handled_signals() -> set[int]:
    return {number for dispatchers in list(_dispatchers.values()) for number in dispatchers}


def _before_fork() -> None:
    if numbers := _handled_signals():
        _blocked.before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)


def _after_fork() -> None:
    before = vars(_blocked).pop("before", None)
    if before is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _reset_in_child() -> None:
    numbers = _handled_signals()
    if numbers:
        signal.set_wakeup_fd(-1)
    for number in numbers:
        is_interrupt = number == signal.SIGINT
        signal.signal(number, signal.default_int_handler if is_interrupt else signal.SIG_DFL)
    _dispatchers.clear()
    _after_fork()


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_reset_in_child
    )
