"""Threads for the plain functions of tasks; one of them may be that of the test."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, TypeAlias, TypeVar

from pyasynq.server.mux import HANDLER_THREAD

T = TypeVar("T")

Work: TypeAlias = "queue.SimpleQueue[Callable[[], object] | None]"
"""Functions to run, then None once the answer is there."""


def handler_threads(count: int) -> ThreadPoolExecutor:
    """Return *count* threads such as those of a server."""
    return ThreadPoolExecutor(count, thread_name_prefix=HANDLER_THREAD)


class CallerThread(Executor):
    """Runs functions in the thread that waits for an answer, and in others while none waits.

    Connections to databases, and their open transactions, often belong to one thread. A plain
    function that runs in the thread of the test sees what the test has prepared.
    """

    def __init__(self, others: ThreadPoolExecutor) -> None:
        """Run functions in *others* while no thread waits."""
        self._others = others
        self._lock = threading.Lock()
        self._work: Work | None = None

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":  # noqa: ANN401 - as `Executor` has it
        """Run a function in the waiting thread; see `Executor.submit`."""
        with self._lock:
            if self._work is not None:
                answer: Future[T] = Future()
                self._work.put(lambda: _run(answer, lambda: fn(*args, **kwargs)))
                return answer
        return self._others.submit(fn, *args, **kwargs)

    def wait(self, start: Callable[[], "Future[T]"]) -> T:
        """Call *start*, and run functions in this thread until its future has an answer."""
        work: Work = queue.SimpleQueue()
        with self._lock:  # before the start: the first function may come at once
            before, self._work = self._work, work
        try:
            answer = start()
            answer.add_done_callback(lambda _: work.put(None))
            _run_until_answered(work, answer)
        finally:
            with self._lock:
                self._work = before
            self._hand_over(work)
        return answer.result()

    def _hand_over(self, work: Work) -> None:
        """Let other threads run the functions that came after the answer."""
        while not work.empty():
            call = work.get()
            if call is not None:
                self._others.submit(call)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001 - as `Executor` has it
        """Release the other threads."""
        self._others.shutdown(wait, cancel_futures=cancel_futures)


def _run_until_answered(work: Work, answer: "Future[Any]") -> None:
    try:
        while (call := work.get()) is not None:
            call()
    except BaseException:
        answer.cancel()
        raise


def _run(answer: "Future[T]", call: Callable[[], T]) -> None:
    if not answer.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except KeyboardInterrupt as error:  # it is for this thread, and would end the other one
        answer.set_exception(RuntimeError(f"interrupted by {error!r}"))
        raise
    except BaseException as error:  # noqa: BLE001 - for the one who waits for the answer
        answer.set_exception(error)
    else:
        answer.set_result(result)
