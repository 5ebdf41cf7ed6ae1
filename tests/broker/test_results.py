"""Every broker lets clients wait for the results of tasks."""

import asyncio
from collections.abc import Callable

import anyio
import pytest

from pyasynq.broker import Broker, Lease
from pyasynq.core.states import TaskState
from pyasynq.core.verdict import Verdict
from tests.support.factories import a_lease, a_pending, archived, completed, enqueue, settle

HOUR_S = 3600


async def test_there_is_no_wait_for_a_task_that_is_not_there(broker: Broker) -> None:
    with anyio.fail_after(60):
        assert await broker.results.wait("q", "1", longest_s=HOUR_S) is None


@pytest.mark.parametrize(
    ("end", "state"), [(completed, TaskState.COMPLETED), (archived, TaskState.ARCHIVED)]
)
async def test_a_task_that_is_over_is_returned_at_once(
    end: Callable[[Lease], Verdict], state: TaskState, broker: Broker
) -> None:
    lease = await a_lease(broker)
    await broker.work.write_result(lease, b"sent")
    await settle(broker, lease, end(lease))
    with anyio.fail_after(60):
        task = await broker.results.wait("q", "1", longest_s=HOUR_S)
    assert task is not None
    assert (task.id, task.state, task.result) == ("1", state, b"sent")


async def test_a_task_that_is_not_over_is_returned_as_it_was(broker: Broker) -> None:
    await enqueue(broker, a_pending())
    task = await broker.results.wait("q", "1", longest_s=0.01)
    assert task is not None
    assert (task.id, task.state) == ("1", TaskState.PENDING)


@pytest.mark.parametrize("end", [completed, archived])
async def test_a_wait_ends_with_its_task(end: Callable[[Lease], Verdict], broker: Broker) -> None:
    lease = await a_lease(broker)
    waiting = asyncio.ensure_future(broker.results.wait("q", "1", longest_s=HOUR_S))
    await anyio.wait_all_tasks_blocked()  # it has asked for the task, which has not ended yet
    await settle(broker, lease, end(lease))
    with anyio.fail_after(60):
        assert await waiting is not None
