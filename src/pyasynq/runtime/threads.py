"""Run plain functions beside the event loop."""

import asyncio
import contextvars
import functools
import inspect
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager
from types import FrameType
from typing import Final

FRAMES: Final = 12
"""Number of innermost frames that a log line shows of a stack."""


def is_async(function: Callable[..., object]) -> bool:
    """Return whether a call of *function* returns an awaitable, like an ``async def``."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - the `__call__` of a Mux is async
    )


async def invoke(threads: Executor, function: Callable[..., object], *args: object) -> object:
    """Return the result of *function*; call a plain one in one of *threads*."""
    call = functools.partial(function, *args)
    answer: object = call() if is_async(function) else await submit(threads, call)
    return await answer if inspect.isawaitable(answer) else answer


def is_cancel_request(error: BaseException) -> bool:
    """Return whether *error* is a requested cancellation of the current asyncio task.

    It is not if the code that the task runs has raised it by itself.
    """
    if not isinstance(error, asyncio.CancelledError):
        return False
    job = asyncio.current_task()
    return job is not None and job.cancelling() > 0


def is_coroutine_closing(error: BaseException, job: object) -> bool:
    """Return whether *error* comes from closing a coroutine of *job*, which must not await more."""
    if not isinstance(error, GeneratorExit):
        return False
    try:
        return asyncio.current_task() is not job
    except RuntimeError:
        return True


class Threads:
    """Threads for plain functions. A call that finds none free waits in the loop, in turn."""

    def __init__(
        self,
        count: int,
        *,
        name: str,
        now: Callable[[], float],
        watch: Callable[[float], None],
        context: Callable[[], AbstractContextManager[object]] | None = None,
        executor: Executor | None = None,
    ) -> None:
        """Have at most *count* threads.

        Args:
            count: Number of threads.
            name: Start of their names.
            now: Returns the time, seconds on the monotonic clock.
            watch: Called when a task has got its thread after a wait, with the new end of its time,
                seconds on the monotonic clock.
            context: Makes a context in which each function runs, in its thread; None for none.
            executor: Runs the functions, and stays the caller's to close; None for own threads.
        """
        self.now = now
        self.watch = watch
        self._context = context
        self._owned = executor is None
        self._executor = executor or ThreadPoolExecutor(count, thread_name_prefix=name)
        self._free = asyncio.Semaphore(count)

    @property
    def busy(self) -> bool:
        """Whether no thread is free."""
        return self._free.locked()

    async def acquire(self) -> None:
        """Reserve a thread, once one is free; `call` releases it."""
        await self._free.acquire()

    def call(self, call: Callable[[], object]) -> asyncio.Future[object]:
        """Run *call* in the reserved thread, which is free once it returns."""
        if self._context is not None:
            call = functools.partial(_call_within, self._context, call)
        try:
            running = submit(self._executor, call)
        except BaseException:
            self._free.release()
            raise
        running.add_done_callback(lambda _: self._free.release())
        return running

    def close(self) -> None:
        """Release the threads; one that does not return ends with the process."""
        if self._owned:
            self._executor.shutdown(wait=False, cancel_futures=True)


def _call_within(
    make_context: Callable[[], AbstractContextManager[object]], call: Callable[[], object]
) -> object:
    with make_context():
        return call()


def submit(threads: Executor, call: Callable[[], object]) -> asyncio.Future[object]:
    """Run *call* in one of *threads*, with the current context variables.

    Raises:
        RuntimeError: If the system has no more threads; *call* does not run then.
    """
    work = _Work(call)
    try:
        return asyncio.get_running_loop().run_in_executor(threads, work)
    except BaseException:
        work.wanted = False  # it still waits in the executor, for the next thread
        raise


class _Work:
    def __init__(self, call: Callable[[], object]) -> None:
        self.wanted = True
        self._call = call
        self._context = contextvars.copy_context()

    def __call__(self) -> object:
        return self._context.run(_convert_stop_errors, self._call) if self.wanted else None


def _convert_stop_errors(call: Callable[[], object]) -> object:
    """Run *call*; raise a RuntimeError instead of the two errors that a future cannot carry.

    A future refuses StopIteration, and a GeneratorExit would close the coroutine that awaits it.
    """
    try:
        return call()
    except (StopIteration, GeneratorExit) as error:
        msg = f"the function raised {type(error).__name__}"
        raise RuntimeError(msg) from error


def frame_of(thread: int) -> FrameType | None:
    """Return the innermost frame of *thread*; None if it has ended."""
    # There is no other way to see what another thread does.
    return sys._current_frames().get(thread)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def stack_of(thread: int) -> str:
    """Return the stack of *thread*, for the log; empty if it has ended."""
    frame = frame_of(thread)
    if frame is None:
        return ""
    frames = traceback.extract_stack(frame)
    begin = max((n + 1 for n, it in enumerate(frames) if it.filename == __file__), default=0)
    return "".join(traceback.format_list(frames[begin:][-FRAMES:]))
