"""Clients that wait for many results use few connections, and all of them are notified."""

import asyncio
from collections.abc import AsyncIterator

import anyio
import pytest
from redis.asyncio import Redis

from pyasynq import TaskInfo
from pyasynq.broker.redis import RedisBroker, connect
from pyasynq.broker.redis.end_notices import MOST_TASKS
from tests.support.factories import a_pending, completed, enqueue, settle, take
from tests.support.waiting import wait_until

HOUR_S = 3600


@pytest.fixture
async def other(redis_url: str) -> AsyncIterator[RedisBroker]:
    """Yield the broker of another client."""
    other = connect(redis_url)
    yield other
    await other.aclose()


def wait(broker: RedisBroker, *ids: str) -> asyncio.Future[list[TaskInfo | None]]:
    """Begin to wait for tasks."""
    waits = (broker.results.wait("q", it, longest_s=HOUR_S) for it in ids)
    return asyncio.gather(*waits)


async def count_blocked(r: Redis) -> int:
    """Return the number of connections that block."""
    return int((await r.info("clients"))["blocked_clients"])


async def is_awaited(r: Redis, count: int) -> bool:
    """Return whether *count* tasks are awaited."""
    return bool(await r.zcard("asynq:{q}:awaited") == count)


async def end(broker: RedisBroker, count: int) -> None:
    """Complete *count* tasks."""
    leases = await take(broker, count)
    assert await broker.work.settle([(it, completed(it)) for it in leases]) == [True] * count


async def test_calls_that_wait_for_tasks_of_a_queue_share_a_connection(
    broker: RedisBroker, r: Redis
) -> None:
    ids = [str(number) for number in range(50)]
    await enqueue(broker, *map(a_pending, ids))
    waiting = wait(broker, *ids)
    await wait_until(lambda: is_awaited(r, 50))
    await wait_until(lambda: count_blocked(r))
    assert await count_blocked(r) == 1
    assert len(await r.client_list()) < 20
    await end(broker, 50)
    with anyio.fail_after(60):
        tasks = await waiting
    assert [it.id for it in tasks if it is not None] == ids


async def test_more_tasks_than_one_connection_waits_for_need_another(
    broker: RedisBroker, r: Redis
) -> None:
    ids = [str(number) for number in range(MOST_TASKS + 1)]
    await enqueue(broker, *map(a_pending, ids))
    waiting = wait(broker, *ids)
    await wait_until(lambda: is_awaited(r, MOST_TASKS + 1))
    await wait_until(lambda: _has_blocked(r, 2))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def _has_blocked(r: Redis, count: int) -> bool:
    return await count_blocked(r) == count


async def test_a_task_that_is_awaited_later_is_noticed_by_the_same_connection(
    broker: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, a_pending("1"), a_pending("2"))
    first = wait(broker, "1")
    await wait_until(lambda: count_blocked(r))
    second = wait(broker, "2")
    await wait_until(lambda: is_awaited(r, 2))
    await end(broker, 2)
    with anyio.fail_after(60):
        await asyncio.gather(first, second)


async def test_all_clients_that_wait_for_a_task_are_notified(
    broker: RedisBroker, other: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, a_pending("1"))
    waits = [wait(broker, "1"), wait(other, "1"), wait(other, "1")]
    await wait_until(lambda: _has_blocked(r, 2))
    (lease,) = await take(broker, 1)
    await settle(broker, lease, completed(lease))
    with anyio.fail_after(60):
        await asyncio.gather(*waits)


async def test_the_connection_is_free_once_nobody_waits(broker: RedisBroker, r: Redis) -> None:
    await enqueue(broker, a_pending("1"))
    await broker.results.wait("q", "1", longest_s=0.01)
    await wait_until(lambda: _has_blocked(r, 0))
    assert await r.ping()


async def test_closing_ends_the_wait_on_the_connection(other: RedisBroker, r: Redis) -> None:
    await enqueue(other, a_pending("1"))
    waiting = wait(other, "1")
    await wait_until(lambda: count_blocked(r))
    await other.aclose()
    await wait_until(lambda: _has_blocked(r, 0))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_an_unexpected_error_is_logged_and_the_next_wait_begins_again(
    broker: RedisBroker,
    r: Redis,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await enqueue(broker, a_pending("a"))
    with monkeypatch.context() as patch:
        patch.setattr("pyasynq.broker.redis.end_notices.decode_name", lambda _: 1 // 0)
        waiting = wait(broker, "a")
        await wait_until(lambda: count_blocked(r))
        await end(broker, 1)
        await wait_until(lambda: "waiting for results failed" in caplog.text)
        waiting.cancel()
    [task] = await wait(broker, "a")
    assert task is not None
