"""A client that waits for a result is notified of its end; other tasks cost nothing more."""

from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from pyasynq.broker import Container, Lease
from pyasynq.broker.redis import RedisBroker
from pyasynq.broker.redis.results import RedisResults
from pyasynq.core.errors import PoisonError
from pyasynq.core.states import Action, TaskState
from pyasynq.core.verdict import Verdict
from tests.broker.redis.stored_keys import Q, task_key
from tests.support.factories import a_pending, archived, completed, enqueue, settle, take
from tests.support.waiting import wait_until

IN_ARCHIVE = Container(queue="q", state=TaskState.ARCHIVED)


async def wait_briefly(broker: RedisBroker) -> None:
    """Wait for the task, and give up soon."""
    await broker.results.wait("q", "1", longest_s=0.01)


@pytest.mark.parametrize("end", [completed, archived])
async def test_only_an_awaited_task_leaves_a_notice(
    end: Callable[[Lease], Verdict], broker: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, a_pending("1"), a_pending("2"))
    await wait_briefly(broker)
    leases = await take(broker, 2)
    assert await broker.work.settle([(lease, end(lease)) for lease in leases]) == [True] * 2
    assert await r.keys(f"{Q}done:*") == [f"{Q}done:1".encode()]
    assert 0 < await r.ttl(f"{Q}done:1") <= 60
    assert await r.exists(f"{Q}awaited") == 0


async def test_the_notice_of_an_earlier_run_does_not_end_the_next_wait(
    broker: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, a_pending())
    await wait_briefly(broker)
    [lease] = await take(broker, 1)
    await settle(broker, lease, archived(lease))
    await broker.inspection.apply(Action.RUN, IN_ARCHIVE, ["1"])
    assert await r.exists(f"{Q}done:1") == 1
    await wait_briefly(broker)
    assert await r.exists(f"{Q}done:1") == 0


async def test_queues_whose_tasks_are_no_longer_awaited_are_forgotten(
    broker: RedisBroker,
) -> None:
    results = broker.results
    assert isinstance(results, RedisResults)
    await enqueue(broker, a_pending(), a_pending(queue="other"))
    await wait_briefly(broker)
    await wait_until(lambda: results._notices["q"][0].is_idle)
    await results.wait("other", "1", longest_s=0.01)
    assert results._notices.keys() == {"other"}


@pytest.mark.parametrize("broken", [{"msg": b"\xff"}, {"state": "gone"}])
async def test_a_value_that_is_no_task_is_not_waited_for(
    broken: dict[str, str | bytes], broker: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, a_pending())
    _ = [await r.hset(task_key(), name, value) for name, value in broken.items()]
    with pytest.raises(PoisonError):
        await wait_briefly(broker)
