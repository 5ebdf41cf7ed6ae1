"""A queue whose keys are broken hides no other queue; only Redis can have one."""

import httpx
from redis.asyncio import Redis

from pyasynq.broker import Broker
from tests.support.factories import a_pending, enqueue

ON = ("redis",)


async def test_a_queue_that_cannot_be_read_hides_no_other(
    http: httpx.AsyncClient, broker: Broker, address: str
) -> None:
    await enqueue(broker, a_pending("1"), a_pending("2", queue="r"))
    async with Redis.from_url(address) as r:
        await r.set("asynq:{r}:retry", "no sorted set")
        overview = (await http.get("/api/v1/overview")).json()
        tasks = (await http.get("/api/v1/tasks", params={"q": "state:pending"})).json()
        await r.delete("asynq:{r}:retry")
    assert [queue["queue"] for queue in overview["queues"]] == ["q"]
    assert "queue-unreadable:r" in [alert["id"] for alert in overview["alerts"]]
    assert [task["id"] for task in tasks["items"]] == ["1"]
