"""Queues are shown, paused, resumed and deleted; their failures are grouped."""

from typing import Any

import httpx
import pytest

from pyasynq.broker import Broker
from pyasynq.operations import jobs
from tests.support.factories import a_grouped, a_pending, enqueue, one_of_each
from tests.support.waiting import wait_until

API = "/api/v1"


async def get(http: httpx.AsyncClient, path: str, **params: str) -> dict[str, Any]:
    response = await http.get(f"{API}{path}", params=params)
    assert response.status_code == 200, response.text
    return response.json()


async def test_a_queue_is_shown_with_memory_and_days(
    http: httpx.AsyncClient, broker: Broker
) -> None:
    await one_of_each(broker)
    queue = await get(http, "/queue", queue="q")
    assert (queue["size"], queue["retry"], queue["paused"]) == (7, 1, False)
    assert queue["memory_usage"] > 0
    assert [len(queue["days"]), queue["days"][0]["failed"]] == [10, 2]
    assert (queue["servers"], queue["nodes"]) == (0, [])


async def test_a_queue_is_paused_and_resumed(http: httpx.AsyncClient, broker: Broker) -> None:
    await enqueue(broker, a_pending("1"))
    done = await http.post(f"{API}/queues/pause", json={"queues": ["q", "none"]})
    assert done.json()["done"] == 1
    assert [it["code"] for it in done.json()["refused"]] == ["queue-not-found"]
    assert (await get(http, "/queue", queue="q"))["paused"]
    again = await http.post(f"{API}/queues/pause", json={"queues": ["q"]})
    assert [it["code"] for it in again.json()["refused"]] == ["conflict"]
    await http.post(f"{API}/queues/resume", json={"queues": ["q"]})
    assert not (await get(http, "/queue", queue="q"))["paused"]


async def test_a_queue_is_deleted_with_its_tasks_only_by_force(
    http: httpx.AsyncClient, broker: Broker
) -> None:
    await enqueue(broker, a_pending("1"), a_pending("2"))
    refused = await http.post(f"{API}/queues/delete", json={"queue": "q"})
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    begun = await http.post(f"{API}/queues/delete", json={"queue": "q", "force": True})
    assert begun.status_code == 202

    async def is_gone() -> bool:
        return (await http.get(f"{API}/queue", params={"queue": "q"})).status_code == 404

    await wait_until(is_gone)


async def test_a_deletion_that_cannot_begin_is_not_in_the_audit(
    http: httpx.AsyncClient, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await enqueue(broker, a_pending("1"))
    monkeypatch.setattr(jobs, "MOST_RUNNING", 0)
    refused = await http.post(f"{API}/queues/delete", json={"queue": "q", "force": True})
    assert refused.status_code == 429
    assert (await get(http, "/audit"))["items"] == []


async def test_a_queue_with_running_tasks_is_not_deleted(
    http: httpx.AsyncClient, broker: Broker
) -> None:
    await one_of_each(broker)
    refused = await http.post(f"{API}/queues/delete", json={"queue": "q", "force": True})
    assert (refused.status_code, "running" in refused.json()["detail"]) == (409, True)


async def test_groups_are_counted(http: httpx.AsyncClient, broker: Broker) -> None:
    await enqueue(broker, a_grouped("1"), a_grouped("2"))
    assert (await get(http, "/groups", queue="q"))["items"] == [
        {"queue": "q", "group": "g", "size": 2}
    ]


async def test_failures_are_grouped(http: httpx.AsyncClient, broker: Broker) -> None:
    await one_of_each(broker)
    found = await get(http, "/errors")
    assert (found["looked_at"], found["total"], found["complete"]) == (2, 2, True)
    assert sum(group["count"] for group in found["items"]) == 2
    assert {group["queue"] for group in found["items"]} == {"q"}
    only = await get(http, "/errors", queue="q", state="archived")
    assert (only["total"], only["items"][0]["task_id"]) == (1, "archived")


@pytest.mark.parametrize("state", ["pending", "x"])
async def test_only_failed_tasks_are_grouped(state: str, http: httpx.AsyncClient) -> None:
    response = await http.get(f"{API}/errors", params={"state": state})
    assert (response.status_code, response.json()["field"]) == (400, "state")


@pytest.mark.parametrize("path", ["/queue", "/groups", "/errors", "/types"])
async def test_a_queue_that_is_not_there_is_not_found(path: str, http: httpx.AsyncClient) -> None:
    response = await http.get(f"{API}{path}", params={"queue": "none"})
    assert (response.status_code, response.json()["code"]) == (404, "queue-not-found")
