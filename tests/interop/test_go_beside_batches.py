"""Go sees nothing odd in a queue with batches, and the members that it runs are noticed."""

from datetime import timedelta

import pytest

from pyasynq import Batch, Client, Inspector, Task
from pyasynq.broker import BatchRef
from tests.interop.gopeer import Peer
from tests.support.factories import a_pending

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(("options", "failed"), [({"retention": HOUR}, 0), ({}, 2)])
async def test_members_that_go_ran_are_noticed(
    go_peer: Peer, redis_url: str, options: dict[str, timedelta], failed: int
) -> None:
    members = [Task("t", queue="q", **options) for _ in range(2)]  # type: ignore[arg-type]
    async with Client(redis_url) as client, Inspector(redis_url) as inspector:
        info = await client.enqueue_batch(Batch(members))
        async with go_peer.work(queues="q") as worker:
            await worker.wait_for("done", count=2)
        repair = await client.broker.batches.repair("q", idle_s=-1, swept_s=-1)
        assert repair.noticed == 2
        found = await inspector.batch("q", info.id)
        assert (found.ended, found.failed) == (2, failed)


async def test_go_sees_a_staged_task_by_its_id_alone(go_peer: Peer, redis_url: str) -> None:
    batch = BatchRef(queue="q", id="b", home="q")
    async with Client(redis_url) as client:
        await client.broker.batches.stage(batch, [a_pending("1")], first=0)
        [queue] = await go_peer.inspect("queue", "q")
        assert (queue["size"], queue["pending"]) == (0, 0)
        assert (await go_peer.task("q", "1")).type == "t"
        assert await client.broker.batches.discard(batch)
