"""Run the plain functions of tasks in the thread of the test."""

import queue
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class CallerThread(Executor):
    """Runs functions in the thread that waits for an answer, and in others while none waits.

    Connections to databases, and their open transactions, often belong to one thread. A plain
    function that runs in the thread of the test sees what the test has prepared.
    """

    def __init__(self, others: ThreadPoolExecutor) -> None:
        """Run functions in *others* while no thread waits."""
        self._others = others
        self._work: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._waiting = False

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":  # noqa: ANN401 - as `Executor` has it
        """Run a function in the waiting thread; see `Executor.submit`."""
        if not self._waiting:
            return self._others.submit(fn, *args, **kwargs)
        answer: Future[T] = Future()
        self._work.put(lambda: _run(answer, lambda: fn(*args, **kwargs)))
        return answer

    def wait(self, start: Callable[[], "Future[T]"]) -> T:
        """Call *start*, and run functions in this thread until its future has an answer."""
        work: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._work = work
        self._waiting = True  # before the start: the first function may come at once
        try:
            answer = start()
            answer.add_done_callback(lambda _: work.put(self._stop))
            self._run_until_stopped(answer)
        finally:
            self._waiting = False
        return answer.result()

    def _run_until_stopped(self, answer: "Future[T]") -> None:
        try:
            while self._waiting:
                self._work.get()()
        except BaseException:
            answer.cancel()
            raise

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001 - as `Executor` has it
        """Release the other threads."""
        self._others.shutdown(wait, cancel_futures=cancel_futures)

    def _stop(self) -> None:
        self._waiting = False


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
