"""Run plain functions beside the event loop."""

import asyncio
import contextvars
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Final

FRAMES: Final = 12
"""Innermost frames of a stack that are shown."""


def submit(threads: Executor, call: Callable[[], object]) -> asyncio.Future[object]:
    """Have *call* made in one of *threads*, with the context variables that hold here."""
    context = contextvars.copy_context()
    loop = asyncio.get_running_loop()
    return loop.run_in_executor(threads, lambda: context.run(_without_stop, call))


def _without_stop(call: Callable[[], object]) -> object:
    """Make *call*; a future, which carries its errors to the loop, cannot hold this one."""
    try:
        return call()
    except StopIteration as error:
        msg = "the function raised StopIteration"
        raise RuntimeError(msg) from error


def stack_of(thread: int) -> str:
    """Return where *thread* stands, for the log; nothing if it is gone."""
    # The only way to look at another thread.
    frame = sys._current_frames().get(thread)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    if frame is None:
        return ""
    frames = traceback.extract_stack(frame)
    begin = max((n + 1 for n, it in enumerate(frames) if it.filename == __file__), default=0)
    return "".join(traceback.format_list(frames[begin:][-FRAMES:]))
