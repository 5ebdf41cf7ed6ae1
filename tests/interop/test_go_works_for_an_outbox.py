"""Go runs the tasks of an outbox; receipts do not disturb its tools."""

from contextlib import aclosing

from redis.asyncio import Redis

from pyasynq.broker import NotCreated, open_broker
from pyasynq.core.compose import Lock
from tests.interop.gopeer import Peer
from tests.support.factories import a_pending, a_scheduled, relay

LOCK = Lock(digest="0cc1", ttl_s=100)


async def test_go_works_off_what_was_relayed(go_peer: Peer, redis_url: str, r: Redis) -> None:
    rows = [("row 1", a_pending("1", lock=LOCK)), ("row 2", a_scheduled("2", at_s=1))]
    async with aclosing(open_broker(redis_url)) as broker:
        await relay(broker, rows, ttl_s=100)
        async with go_peer.work(queues="q") as worker:
            events = await worker.wait_for("done", count=2)
        assert {event["id"] for event in events} == {"1", "2"}
        assert await relay(broker, rows, ttl_s=100) == [NotCreated(), NotCreated()]
    assert await r.exists("asynq:{q}:unique:t:0cc1") == 0


async def test_gos_inspector_does_not_see_receipts(go_peer: Peer, redis_url: str) -> None:
    async with aclosing(open_broker(redis_url)) as broker:
        await relay(broker, [("row", a_pending("1"))], ttl_s=100)
    queue = await go_peer.queue_with("q", pending=1)
    assert queue["size"] == 1
