"""Signals of the system, while something runs that hears them."""

import asyncio
import logging
import signal
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

log = logging.getLogger("pyasynq.signals")


@contextmanager
def heard(names: Sequence[str], handle: Callable[[int], None]) -> Generator[None]:
    """Pass the signals of *names* to *handle*, where this thread and platform can."""
    loop = asyncio.get_running_loop()
    numbers: list[int] = [getattr(signal, name) for name in names if hasattr(signal, name)]
    hearing: list[int] = []
    for number in numbers:
        try:
            loop.add_signal_handler(number, handle, number)
        except (NotImplementedError, ValueError, RuntimeError):
            log.debug("signal %s cannot be heard here", number)
        else:
            hearing.append(number)
    try:
        yield
    finally:
        for number in hearing:
            loop.remove_signal_handler(number)
