"""An inspector shows what is in Redis and moves it, whatever state it is in."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from pyasynq import (
    Client,
    DuplicateTaskError,
    Inspector,
    OptionError,
    PoisonError,
    QueueActiveError,
    QueueNotEmptyError,
    QueueNotFoundError,
    QueueNotPausedError,
    QueuePausedError,
    Task,
    TaskInfo,
    TaskNotFoundError,
    TaskState,
    TaskStateError,
)
from pyasynq.broker.redis import RedisBroker
from pyasynq.settle import DONE
from tests.broker.making import (
    a_grouped,
    a_lease,
    a_pending,
    archived,
    completed,
    enqueue,
    retried,
    settle,
)

HOUR = timedelta(hours=1)
BULK = 1200
SOON = datetime(2040, 1, 1, tzinfo=UTC)


@pytest.fixture
async def inspector(redis_url: str) -> AsyncIterator[Inspector]:
    async with Inspector(redis_url) as inspector:
        yield inspector


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Client]:
    async with Client(redis_url) as client:
        yield client


@pytest.fixture
async def broker(redis_url: str) -> AsyncIterator[RedisBroker]:
    broker = RedisBroker.connect(redis_url)
    yield broker
    await broker.aclose()


async def one_of_each(broker: RedisBroker, client: Client) -> None:
    """Put one task into every state; its id is the state's word."""
    lease = await a_lease(broker, a_pending("retry"))
    await settle(broker, lease, retried(lease))
    lease = await a_lease(broker, a_pending("archived"))
    await settle(broker, lease, archived(lease))
    lease = await a_lease(broker, a_pending("completed"))
    await broker.processing.write_result(lease, b"done")
    await settle(broker, lease, completed(lease))
    await a_lease(broker, a_pending("active"))
    await enqueue(broker, a_pending("pending"), a_grouped("aggregating"))
    await client.enqueue(Task("t"), queue="q", task_id="scheduled", process_in=HOUR)


async def stage(r: Redis, *ids: str) -> None:
    """Do what an aggregator does that starts to combine some tasks of group g."""
    staged = "asynq:{q}:g:g:5cdce7f5-5221-494e-b2ea-262acf33b109"
    await r.zadd(staged, dict.fromkeys(ids, 1))
    await r.zrem("asynq:{q}:g:g", *ids)
    await r.zadd("asynq:{q}:aggregation_sets", {staged: 4_000_000_000})


def ids(tasks: list[TaskInfo]) -> list[str]:
    return [task.id for task in tasks]


waiting = pytest.mark.parametrize(
    "state", ["pending", "scheduled", "retry", "archived", "completed", "aggregating"]
)
every_state = pytest.mark.parametrize("state", [state.value for state in TaskState])


def group_of(state: str) -> str | None:
    return "g" if state == "aggregating" else None


# -- looking ---------------------------------------------------------------------------------------


async def test_queues_are_named_in_order(inspector: Inspector, client: Client) -> None:
    await client.enqueue_many([Task("t", queue=queue) for queue in ("b", "a")])
    assert await inspector.queues() == ["a", "b"]


async def test_a_queue_is_counted(
    inspector: Inspector, broker: RedisBroker, client: Client
) -> None:
    await one_of_each(broker, client)
    info = await inspector.queue_info("q")
    assert {state: getattr(info, state) for state in TaskState} == dict.fromkeys(TaskState, 1)
    assert (info.queue, info.size, info.groups, info.paused) == ("q", 7, 1, False)
    assert (info.processed, info.failed) == (3, 2)
    assert (info.processed_total, info.failed_total) == (3, 2)
    assert timedelta() < info.latency < timedelta(seconds=20)
    assert info.memory_usage > 500


async def test_staged_tasks_count_as_aggregating(
    inspector: Inspector, broker: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, a_grouped("1"), a_grouped("2"))
    await stage(r, "1")
    info = await inspector.queue_info("q")
    assert (info.aggregating, info.size) == (2, 2)


@every_state
async def test_a_task_is_listed_as_it_is_looked_up(
    state: str, inspector: Inspector, broker: RedisBroker, client: Client
) -> None:
    await one_of_each(broker, client)
    [listed] = await inspector.list_tasks("q", state, group=group_of(state))
    looked_up = await inspector.task_info("q", state)
    assert (listed.id, listed.state, listed.queue) == (state, state, "q")
    assert vars(listed) | {"next_process_at": None} == vars(looked_up) | {"next_process_at": None}


async def test_a_page_follows_the_page_before_it(inspector: Inspector, client: Client) -> None:
    for n in range(5):
        await client.enqueue(Task("t"), queue="q", task_id=str(n))
    pages = [await inspector.list_tasks("q", "pending", page=n, size=2) for n in (1, 2, 3, 4)]
    assert [ids(page) for page in pages] == [["0", "1"], ["2", "3"], ["4"], []]


async def test_a_page_may_be_longer_than_a_step(inspector: Inspector, client: Client) -> None:
    infos = await client.enqueue_many([Task("t", queue="q")] * 600)
    listed = await inspector.list_tasks("q", TaskState.PENDING, size=1000)
    assert ids(listed) == [cast("TaskInfo", info).id for info in infos]
