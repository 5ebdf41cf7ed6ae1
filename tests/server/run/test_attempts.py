"""What a worker keeps of the failed tries of its tasks."""

import os
import socket
import textwrap
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Unpack

import pytest

from pyasynq import Client, Inspector, RetryIn, Server, Snooze, Task, TaskInfo
from pyasynq.broker import Broker
from pyasynq.broker.sqlite import in_memory
from pyasynq.server import Handler, ServerOptions
from tests.support.waiting import wait_until

SECRET = "4111-1111"


@pytest.fixture
async def broker() -> AsyncIterator[Broker]:
    broker = in_memory()
    yield broker
    await broker.aclose()


async def fail(task: object) -> None:
    card = SECRET
    raise ValueError(f"card {card} is refused")


async def task_after(
    broker: Broker, handler: Handler, **options: Unpack[ServerOptions]
) -> TaskInfo:
    """Return a task that may be retried twice, after it has been archived."""
    no_wait = {"retry_delay": lambda _retried, _error, _task: timedelta(0)}
    async with Client(broker) as client, Inspector(broker) as inspector:
        await client.enqueue(Task("t"), task_id="1", max_retry=2)

        async def is_archived() -> bool:
            return (await inspector.task_info("default", "1")).state == "archived"

        merged: ServerOptions = {**no_wait, **options}  # pyright: ignore[reportAssignmentType]
        async with Server(broker, **merged).running(handler):
            await wait_until(is_archived)
        return await inspector.task_info("default", "1")


async def test_each_failed_try_is_kept_with_its_traceback(broker: Broker) -> None:
    info = await task_after(broker, fail)
    assert [attempt.retried for attempt in info.attempts] == [0, 1, 2]
    assert {attempt.error for attempt in info.attempts} == {f"ValueError: card {SECRET} is refused"}
    assert {attempt.worker for attempt in info.attempts} == {
        f"{socket.gethostname()}:{os.getpid()}"
    }
    traceback = info.attempts[0].traceback
    line = fail.__code__.co_firstlineno + 2
    assert traceback == textwrap.dedent(
        f"""\
        Traceback (most recent call last):
          File "{__file__}", line {line}, in fail
            raise ValueError(f"card {{card}} is refused")
        ValueError: card {SECRET} is refused
        """
    )


async def test_hidden_errors_leave_their_class_and_place(broker: Broker) -> None:
    info = await task_after(broker, fail, hide_errors=True)
    place = f"ValueError at {__file__}:{fail.__code__.co_firstlineno + 2} in fail"
    assert info.last_error == place
    assert [(attempt.error, attempt.traceback) for attempt in info.attempts] == [(place, "")] * 3


async def test_hidden_errors_of_a_group_are_named_once(broker: Broker) -> None:
    async def fail_twice(task: object) -> None:
        raise ExceptionGroup(SECRET, [ValueError(SECRET), ValueError(SECRET), KeyError(SECRET)])

    info = await task_after(broker, fail_twice, hide_errors=True)
    assert info.last_error == "ValueError, KeyError"


@pytest.mark.parametrize(("keep", "kept"), [(0, []), (1, [2]), (2, [1, 2]), (5, [0, 1, 2])])
async def test_as_many_tries_are_kept_as_asked_for(
    broker: Broker, keep: int, kept: list[int]
) -> None:
    info = await task_after(broker, fail, keep_attempts=keep)
    assert [attempt.retried for attempt in info.attempts] == kept


async def test_a_task_that_only_asks_to_run_later_has_not_failed(broker: Broker) -> None:
    runs = 0

    async def ask_then_fail(task: object) -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise Snooze(timedelta(0))
        raise RetryIn(timedelta(0))

    info = await task_after(broker, ask_then_fail)
    assert runs == 4
    assert [attempt.retried for attempt in info.attempts] == [0, 1, 2]


async def test_an_error_that_cannot_say_what_it_is_is_kept(broker: Broker) -> None:
    class BrokenError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    async def break_down(task: object) -> None:
        raise BrokenError

    info = await task_after(broker, break_down)
    assert "in break_down" in info.attempts[-1].traceback


async def test_lists_do_not_read_the_tries(broker: Broker) -> None:
    await task_after(broker, fail)
    async with Inspector(broker) as inspector:
        (listed,) = await inspector.list_tasks("default", "archived")
    assert listed.attempts == ()


@pytest.mark.parametrize("keep", [-1, 6, True, 1.5])
def test_a_number_that_cannot_be_kept_is_refused(keep: int) -> None:
    with pytest.raises(ValueError, match="keep_attempts"):
        Server("sqlite://", keep_attempts=keep)
