"""Run functions in processes, each of which can be killed without harm to the others.

`concurrent.futures.ProcessPoolExecutor` cannot do this: if one of its processes dies, all its calls
fail, and it can never be used again.
"""

from __future__ import annotations

import asyncio
import atexit
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from pyasynq.runtime.threads import submit

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyasynq.runtime.process import Process

THREAD: Final = "pyasynq-process"
"""Start of the names of the threads that wait for the processes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessCall:
    """A call for a process.

    Attributes:
        module: The module that the process imports first.
        call: What it calls; has to be picklable.
        here: What does the same in this process, for the test kit.
    """

    module: str
    call: Callable[[], object]
    here: Callable[[], object]


class Processes:
    """Processes for functions. They start when they are needed; a call waits for a free one."""

    def __init__(self, count: int) -> None:
        """Have at most *count* processes."""
        self._count = count
        self._free = asyncio.Semaphore(count)
        self._idle: list[Process] = []
        self._busy: set[Process] = set()
        self._threads: ThreadPoolExecutor | None = None

    async def acquire(self) -> Process:
        """Return a process that is ready, once there is one; `run` gives it back.

        Raises:
            ProcessDiedError: If a new one does not start.
            OSError: If the system cannot start one now.
        """
        await self._free.acquire()
        try:
            process = self._take_idle() or await self._start()
        except BaseException:
            self._free.release()
            raise
        self._busy.add(process)
        return process

    async def run(self, process: Process, call: ProcessCall) -> object:
        """Run *call* in an acquired *process*; kill the process if this is cancelled.

        Raises:
            ProcessDiedError: If the process dies.
            BaseException: What the called function raises.
        """
        try:
            pickled = pickle.dumps(call.call)
            running = self._submit(process, partial(process.run, call.module, pickled))
        except BaseException:
            self._release(process)
            raise
        running.add_done_callback(lambda _: self._release(process))
        return await _wait_or_kill(process, running)

    async def close(self) -> None:
        """End all processes, and kill those that run a function."""
        for process in self._busy:
            process.kill()
        idle, self._idle = self._idle, []
        if self._threads is not None:
            await asyncio.gather(*(submit(self._threads, process.close) for process in idle))
            self._threads.shutdown(wait=False)
            atexit.unregister(self._kill_all)

    def _take_idle(self) -> Process | None:
        while self._idle:
            process = self._idle.pop()
            if process.alive:
                return process
            submit(self._executor(), process.close)  # somebody has killed it meanwhile
        return None

    async def _start(self) -> Process:
        # multiprocessing takes longer to import than the rest of a worker; few workers need it.
        from pyasynq.runtime.process import Process

        # In this thread, which lives as long as the loop: see `Process`.
        process = Process()
        await _wait_or_kill(process, self._submit(process, process.wait_until_ready))
        return process

    def _release(self, process: Process) -> None:
        self._busy.discard(process)
        if not process.has_died:
            self._idle.append(process)
        self._free.release()

    def _submit(self, process: Process, call: Callable[[], object]) -> asyncio.Future[object]:
        """Run *call*, which waits for *process*, in a thread."""
        running = submit(self._executor(), partial(_call_and_clean, process, call))
        running.add_done_callback(_mark_as_retrieved)
        return running

    def _executor(self) -> ThreadPoolExecutor:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._count, thread_name_prefix=THREAD)
            # Registered after the function of multiprocessing, so called before it, which would
            # wait for processes that wait for this one.
            atexit.register(self._kill_all)
        return self._threads

    def _kill_all(self) -> None:
        for process in (*self._idle, *self._busy):
            process.kill()


async def _wait_or_kill(process: Process, running: asyncio.Future[object]) -> object:
    """Return the result of *running*; if this is cancelled, kill *process*, which ends it."""
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        process.kill()
        await asyncio.wait([running])
        raise


def _mark_as_retrieved(running: asyncio.Future[object]) -> None:
    """Keep asyncio from logging the error of a call that was cancelled: its process was killed."""
    if not running.cancelled():
        running.exception()


def _call_and_clean(process: Process, call: Callable[[], object]) -> object:
    """Return the result of *call*; release what belongs to *process* if that has died."""
    try:
        return call()
    finally:
        if process.has_died:
            process.close()
