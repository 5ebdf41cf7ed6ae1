"""The broker and the audit are shown."""

import logging
from typing import Any

import httpx
import pytest

from pyasynq.broker import Broker
from tests.support.factories import a_pending, enqueue

API = "/api/v1"


async def get(http: httpx.AsyncClient, path: str, **params: str) -> dict[str, Any]:
    response = await http.get(f"{API}{path}", params=params)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize("cursor", ["x", "-1", "1-2-3", "٣", "0x1"])
async def test_a_wrong_cursor_is_refused(cursor: str, http: httpx.AsyncClient) -> None:
    response = await http.get(f"{API}/audit", params={"cursor": cursor})
    assert (response.status_code, response.json()["field"]) == (400, "cursor")


@pytest.mark.parametrize("cursor", ["1-1", "999999999999999999-999999999999999999"])
async def test_a_cursor_of_another_broker_finds_what_there_is(
    cursor: str, http: httpx.AsyncClient
) -> None:
    assert (await get(http, "/audit", cursor=cursor))["items"] == []


async def test_the_broker_says_what_is_wrong(http: httpx.AsyncClient, broker: Broker) -> None:
    await enqueue(broker, a_pending("1"))
    found = await get(http, "/broker")
    assert found["name"] == broker.name
    assert found["nodes"][0]["info"]
    found_by = {check["check"]: check for check in found["checks"]}
    assert found_by["queues"]["status"] == "warning"
    assert found_by["queues"]["code"] == "queues-unserved"
    assert found_by["queues"]["values"]["queue"] == "q"


async def test_what_was_refused_is_in_the_audit_as_refused(http: httpx.AsyncClient) -> None:
    await http.post(f"{API}/queues/pause", json={"queues": ["none"]})
    [entry] = (await get(http, "/audit"))["items"]
    assert (entry["count"], entry["outcome"]) == (0, "refused")
    assert "none" in entry["detail"]


async def test_every_action_is_in_the_audit_and_in_the_log(
    http: httpx.AsyncClient, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    await enqueue(broker, a_pending("1"), a_pending("2"))
    with caplog.at_level(logging.INFO, "pyasynq.audit"):
        await http.post(f"{API}/queues/pause", json={"queues": ["q"]})
        await http.post(f"{API}/tasks/delete", json={"tasks": [{"queue": "q", "id": "1"}]})
        await http.post(f"{API}/tasks/run", json={"tasks": [{"queue": "q", "id": "2"}]})
    entries = (await get(http, "/audit"))["items"]
    assert [(it["action"], it["target"], it["count"], it["outcome"]) for it in entries] == [
        ("task.run", "q/2", 0, "refused"),
        ("task.delete", "q/1", 1, "done"),
        ("queue.pause", "q", 1, "done"),
    ]
    assert "pending" in entries[0]["detail"]
    assert [vars(record)["audit"]["action"] for record in caplog.records] == [
        "queue.pause",
        "task.delete",
        "task.run",
    ]


async def test_the_audit_is_read_page_by_page(http: httpx.AsyncClient, broker: Broker) -> None:
    await enqueue(broker, a_pending("1"))
    for action in ("pause", "resume", "pause"):
        await http.post(f"{API}/queues/{action}", json={"queues": ["q"]})
    first = await get(http, "/audit", limit="2")
    second = await get(http, "/audit", limit="2", cursor=first["cursor"])
    actions = [entry["action"] for page in (first, second) for entry in page["items"]]
    assert actions == ["queue.pause", "queue.resume", "queue.pause"]
    assert second["cursor"] is None


async def test_the_broker_shows_facts_and_its_slow_commands(
    http: httpx.AsyncClient, broker: Broker
) -> None:
    found = await get(http, "/broker")
    facts = {fact["name"]: fact["kind"] for fact in found["nodes"][0]["facts"]}
    name, slow_logs = {"Redis": ("used_memory", 1), "SQLite": ("size", 0)}[broker.name]
    assert facts[name] == "bytes"
    assert (len(found["slow_logs"]), found["most_slow"]) == (slow_logs, 50)
    assert found["places"] == []
