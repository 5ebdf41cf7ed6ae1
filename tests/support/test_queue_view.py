"""The views of a queue tell the same of every broker, and what they change counts."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from pyasynq.broker import Broker, open_broker
from pyasynq.core.verdict import DONE
from tests.support.factories import (
    FUTURE_S,
    a_lease,
    a_pending,
    dequeue,
    enqueue,
    ids,
    one_of_each,
    settle,
    take,
)
from tests.support.queue_view import QueueView, RedisQueue
from tests.support.sqlite_queue import SqliteQueue

STATES = ("pending", "active", "scheduled", "retry", "archived", "completed")

Viewed = tuple[Broker, QueueView]


@pytest.fixture(params=["redis", "sqlite"])
async def viewed(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Viewed]:
    """Yield an empty broker and a view of its queue ``q``."""
    if request.param == "redis":
        url = request.getfixturevalue("redis_url")
        broker = open_broker(url)
        async with Redis.from_url(url) as r:
            await r.flushall()
            yield broker, RedisQueue(r, "q")
            await r.flushall()
    else:
        path = tmp_path / "tasks.db"
        broker = open_broker(f"sqlite:///{path}")
        await broker.ping()
        queue = SqliteQueue(path, "q")
        yield broker, queue
        queue.close()
    await broker.aclose()


async def test_each_task_is_in_its_state(viewed: Viewed) -> None:
    broker, queue = viewed
    await one_of_each(broker)
    assert {state: await queue.ids(state) for state in STATES} == {it: [it] for it in STATES}
    assert await queue.members("g") == ["aggregating"]
    assert await queue.leased_ids() == ["active"]
    assert [await queue.state_of(state) for state in STATES] == list(STATES)
    assert await queue.state_of("aggregating") == "aggregating"
    assert not await queue.exists("missing")


async def test_the_contents_of_a_task_can_be_read(viewed: Viewed) -> None:
    broker, queue = viewed
    await one_of_each(broker)
    assert (await queue.message("retry")).retried == 1
    assert (await queue.result("completed"), await queue.result("pending")) == (b"done", None)
    assert (await queue.crashes("retry"), await queue.due_at("pending")) == (0, None)
    assert await queue.due_at("scheduled") == FUTURE_S
    assert await queue.lease_end("active") is not None
    assert await queue.lease_end("pending") is None
    assert (await queue.count("processed"), await queue.count("failed")) == (3, 2)


async def test_tasks_that_are_made_due_are_forwarded_in_order(viewed: Viewed) -> None:
    broker, queue = viewed
    await one_of_each(broker)
    await queue.make_due("scheduled", "retry")
    assert (await broker.upkeep.forward("q")).moved == 2
    assert await queue.pending_ids() == ["pending", "scheduled", "retry"]


async def test_a_task_whose_lease_was_ended_has_expired(viewed: Viewed) -> None:
    broker, queue = viewed
    await enqueue(broker, *(a_pending(name) for name in "abc"))
    await take(broker, 3)
    await queue.end_lease("b")
    assert ids((await broker.upkeep.expired("q")).leases) == ["b"]
    await queue.end_leases()
    assert sorted(ids((await broker.upkeep.expired("q")).leases)) == ["a", "b", "c"]


async def test_a_task_without_lease_can_be_recovered(viewed: Viewed) -> None:
    broker, queue = viewed
    lease = await a_lease(broker)
    await queue.lose_lease(lease.id)
    assert ids((await broker.upkeep.expired("q")).leases) == [lease.id]


async def test_a_task_that_was_taken_over_cannot_be_settled(viewed: Viewed) -> None:
    broker, queue = viewed
    lease = await a_lease(broker)
    await queue.take_over(lease.id)
    assert await settle(broker, lease, DONE) is False


async def test_poison_is_the_next_to_run(viewed: Viewed) -> None:
    broker, queue = viewed
    await enqueue(broker, a_pending("sound"))
    await queue.put_poison(b"poison", b"\xff")
    await queue.corrupt("sound")
    [result] = await dequeue(broker, {"q": 2})
    assert ids(result.poison) == ["poison", "sound"]


async def test_a_paused_queue_gives_no_task(viewed: Viewed) -> None:
    broker, queue = viewed
    await enqueue(broker, a_pending())
    await queue.pause()
    [paused] = await dequeue(broker, {"q": 1})
    await queue.resume()
    [resumed] = await dequeue(broker, {"q": 1})
    assert (paused.paused, ids(paused.leases), ids(resumed.leases)) == (True, [], ["1"])
