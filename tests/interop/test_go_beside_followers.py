"""Tasks that follow others are tasks like any for Go, and mail does not disturb it."""

import msgspec

from pyasynq import ActiveTask, Client, Inspector, Server, Task
from pyasynq.broker import open_broker
from pyasynq.core.verdict import DONE
from tests.interop.gopeer import Peer
from tests.support.factories import a_lease, a_pending, settle


async def test_go_runs_what_follows_a_task_of_python(go_peer: Peer, redis_url: str) -> None:
    async with Client(redis_url) as client, Inspector(redis_url) as inspector:

        async def add(task: ActiveTask) -> None:
            await inspector.pause("q")  # so that Go gets what follows
            task.then(Task("next", b"here", queue="q"), Task("next", b"there", queue="low"))

        await client.enqueue(Task("t", b"of a client"), queue="low")
        await client.enqueue(Task("t"), queue="q")
        async with Server(redis_url, queues={"q": 1}).running(add):
            await go_peer.queue_with("low", pending=2)
        await inspector.unpause("q")
    async with go_peer.work(queues="q,low") as worker:
        events = await worker.wait_for("done", count=3)
    assert sorted(event["payload"] for event in events) == [b"here", b"of a client", b"there"]


async def test_go_inspects_a_queue_with_mail_and_leaves_the_mail(
    go_peer: Peer, redis_url: str
) -> None:
    broker = open_broker(redis_url)
    follower = a_pending("2", queue="low")
    await settle(broker, await a_lease(broker), msgspec.structs.replace(DONE, then=(follower,)))
    [queue] = await go_peer.inspect("queue", "q")
    assert (queue["size"], queue["processed"], queue["failed"]) == (0, 1, 0)
    async with Client(redis_url) as client:
        await client.enqueue(Task("t"), queue="q")
    async with go_peer.work(queues="q") as worker:
        await worker.wait_for("done")
    async with Inspector(redis_url) as inspector:
        assert [letter.task_id for letter in await inspector.mail("q")] == ["2"]
    await broker.mail.deliver("q")
    task = await go_peer.task("low", "2")
    await broker.aclose()
    assert task.type == "t"
