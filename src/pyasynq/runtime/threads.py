"""Run plain functions beside the event loop."""

import asyncio
import contextvars
import functools
import inspect
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from types import FrameType
from typing import Final

FRAMES: Final = 12
"""Innermost frames of a stack that are shown."""


def is_async(function: Callable[..., object]) -> bool:
    """Return whether calling *function* gives something to await, as an ``async def`` does."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - a Mux is awaited through it
    )


async def invoke(threads: Executor, function: Callable[..., object], *args: object) -> object:
    """Return what *function* returns; a plain one is called in one of *threads*."""
    call = functools.partial(function, *args)
    answer: object = call() if is_async(function) else await submit(threads, call)
    return await answer if inspect.isawaitable(answer) else answer


def is_ordered(error: BaseException) -> bool:
    """Tell whether *error* is a cancellation of who runs here, and not one that a function made."""
    if not isinstance(error, asyncio.CancelledError):
        return False
    job = asyncio.current_task()
    return job is not None and job.cancelling() > 0


def is_closed(error: BaseException, job: object) -> bool:
    """Tell whether *error* ends a coroutine of *job* that is closed, and may await nothing more."""
    if not isinstance(error, GeneratorExit):
        return False
    try:
        return asyncio.current_task() is not job
    except RuntimeError:
        return True


class Threads:
    """Threads for plain functions. Who finds none free waits in the loop, in turn."""

    def __init__(
        self,
        count: int,
        *,
        name: str,
        now: Callable[[], float],
        watch: Callable[[float], None],
    ) -> None:
        """Have *count* threads whose names begin with *name*.

        Args:
            count: How many.
            name: Start of their names.
            now: Tells the time, seconds on the monotonic clock.
            watch: Told when the time of a task that has waited ends, on the monotonic clock.
        """
        self.now = now
        self.watch = watch
        self._executor = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._free = asyncio.Semaphore(count)

    @property
    def busy(self) -> bool:
        """Whether all threads are taken."""
        return self._free.locked()

    async def acquire(self) -> None:
        """Take a thread, once one is free; `call` gives it back."""
        await self._free.acquire()

    def call(self, call: Callable[[], object]) -> asyncio.Future[object]:
        """Have *call* made in the thread that was acquired, which is free once it returns."""
        try:
            running = submit(self._executor, call)
        except BaseException:
            self._free.release()
            raise
        running.add_done_callback(lambda _: self._free.release())
        return running

    def close(self) -> None:
        """Let go of the threads; one that does not return ends with the process."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def submit(threads: Executor, call: Callable[[], object]) -> asyncio.Future[object]:
    """Have *call* made in one of *threads*, with the context variables that hold here.

    Raises:
        RuntimeError: If the system gives no more threads; *call* is not made then.
    """
    work = _Work(call)
    try:
        return asyncio.get_running_loop().run_in_executor(threads, work)
    except BaseException:
        work.wanted = False  # it waits in the executor all the same, for the next thread
        raise


class _Work:
    def __init__(self, call: Callable[[], object]) -> None:
        self.wanted = True
        self._call = call
        self._context = contextvars.copy_context()

    def __call__(self) -> object:
        return self._context.run(_without_stop, self._call) if self.wanted else None


def _without_stop(call: Callable[[], object]) -> object:
    """Make *call*; a future, which carries its errors to the loop, cannot hold these two.

    One it refuses, and with the other it would close the coroutine that waits for it.
    """
    try:
        return call()
    except (StopIteration, GeneratorExit) as error:
        msg = f"the function raised {type(error).__name__}"
        raise RuntimeError(msg) from error


def frame_of(thread: int) -> FrameType | None:
    """Return what *thread* does; None if it is gone."""
    # The only way to look at another thread.
    return sys._current_frames().get(thread)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def stack_of(thread: int) -> str:
    """Return where *thread* stands, for the log; nothing if it is gone."""
    frame = frame_of(thread)
    if frame is None:
        return ""
    frames = traceback.extract_stack(frame)
    begin = max((n + 1 for n, it in enumerate(frames) if it.filename == __file__), default=0)
    return "".join(traceback.format_list(frames[begin:][-FRAMES:]))
