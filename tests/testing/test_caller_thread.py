"""Plain functions run in the thread that waits, and in others while none waits."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import get_ident

import pytest

from pyasynq.testing.caller_thread import CallerThread

LONGEST_S = 30.0


@pytest.fixture
def caller() -> Iterator[CallerThread]:
    caller = CallerThread(ThreadPoolExecutor(1))
    yield caller
    caller.shutdown()


def test_a_function_that_comes_after_the_answer_runs_in_another_thread(
    caller: CallerThread,
) -> None:
    answer = Future[None]()
    late: list[Future[int]] = []

    def end() -> None:
        answer.set_result(None)
        late.append(caller.submit(get_ident))

    def start() -> Future[None]:
        caller.submit(end)
        return answer

    caller.wait(start)
    assert late[0].result(LONGEST_S) != get_ident()


def test_a_function_may_wait_itself(caller: CallerThread) -> None:
    def wait_again() -> int:
        return caller.wait(lambda: caller.submit(get_ident))

    def call_twice() -> Future[int]:
        caller.submit(wait_again)
        return caller.submit(get_ident)

    assert caller.wait(call_twice) == get_ident()
