"""Run plain functions beside the event loop."""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import Executor


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
