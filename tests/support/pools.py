"""A thread pool that other work has filled."""

import asyncio
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def full_default_pool() -> Generator[None]:
    """Fill the default thread pool of the running loop, as handlers can with `asyncio.to_thread`.

    Afterwards the loop has a pool that works: later tests may run in the same loop.
    """
    end = threading.Event()
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as pool:
        loop.set_default_executor(pool)
        loop.run_in_executor(None, end.wait)
        try:
            yield
        finally:
            end.set()
            loop.set_default_executor(ThreadPoolExecutor())
