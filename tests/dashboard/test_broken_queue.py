"""Broken keys of a queue hide nothing else; only Redis can have them."""

import httpx
from redis.asyncio import Redis

from pyasynq.broker import Broker
from pyasynq.core.info import SchedulerEvent
from tests.support.factories import STARTED, a_pending, an_entry, enqueue

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


async def test_entries_are_shown_although_a_task_of_one_cannot_be_read(
    http: httpx.AsyncClient, broker: Broker, address: str
) -> None:
    await broker.schedules.write_entries("h:1:s", [an_entry("e")], ttl_s=20)
    event = SchedulerEvent(task_id="7", enqueued_at=STARTED)
    await broker.schedules.record([("e", event)])
    async with Redis.from_url(address) as r:
        await r.set("asynq:{low}:t:7", "no hash")
        [shown] = (await http.get("/api/v1/schedules")).json()["items"]
        await r.delete("asynq:{low}:t:7")
    assert [(it["task_id"], it["outcome"]) for it in shown["last"]] == [("7", None)]
