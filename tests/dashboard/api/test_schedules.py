"""Entries of schedulers are shown, paused, resumed and run."""

from typing import Any

import httpx
import pytest

from pyasynq import Scheduler, Task
from pyasynq.broker import Broker
from pyasynq.core.info import SchedulerEvent
from pyasynq.core.message import instant
from pyasynq.core.options import Options
from tests.support.factories import an_entry, one_of_each
from tests.support.waiting import wait_until

API = "/api/v1"


async def get(http: httpx.AsyncClient, path: str, **params: str) -> dict[str, Any]:
    response = await http.get(f"{API}{path}", params=params)
    assert response.status_code == 200, response.text
    return response.json()


async def do(http: httpx.AsyncClient, action: str, *ids: str, **more: object) -> dict[str, Any]:
    response = await http.post(f"{API}/schedules/{action}", json={"ids": ids, **more})
    assert response.status_code == 200, response.text
    return response.json()


def codes(outcome: dict[str, Any]) -> list[tuple[str, str]]:
    return [(it["id"], it["code"]) for it in outcome["refused"]]


async def scheduled(address: str, http: httpx.AsyncClient) -> str:
    """Run a scheduler until its entry is stored, and return the id of the entry."""
    scheduler = Scheduler(address)
    entry_id = scheduler.register("@every 1h", Task("t", b"p"), queue="low")

    async def is_listed() -> bool:
        return [it["id"] for it in (await get(http, "/schedules"))["items"]] == [entry_id]

    async with scheduler.running():
        await wait_until(is_listed)
    return entry_id


async def test_entries_are_listed_once_with_their_last_runs(
    http: httpx.AsyncClient, broker: Broker
) -> None:
    for scheduler in ("a", "b"):
        await broker.schedules.write_entries(scheduler, [an_entry("e")], ttl_s=60)
    [entry] = (await get(http, "/schedules"))["items"]
    assert (entry["id"], entry["schedulers"], entry["last"]) == ("e", 2, [])
    assert (entry["payload_preview"], "payload" in entry) == ("p", False)
    assert (await get(http, "/schedules/events", id="e"))["items"] == []


async def test_the_last_runs_of_an_entry_have_outcomes(
    http: httpx.AsyncClient, broker: Broker
) -> None:
    await one_of_each(broker)
    await broker.schedules.write_entries("a", [an_entry(options=Options(queue="q"))], ttl_s=60)
    for at_s, task_id in enumerate(["archived", "completed", "deleted"]):
        event = SchedulerEvent(task_id=task_id, enqueued_at=instant(at_s))
        await broker.schedules.record([("e", event)])
    [entry] = (await get(http, "/schedules"))["items"]
    assert (entry["queue"], entry["without_task"]) == ("q", None)
    assert [(it["task_id"], it["outcome"]) for it in entry["last"]] == [
        ("deleted", "not_kept"),
        ("completed", "succeeded"),
        ("archived", "failed"),
    ]


async def test_an_entry_that_is_not_there_is_not_found(http: httpx.AsyncClient) -> None:
    response = await http.get(f"{API}/schedules/events", params={"id": "none"})
    assert (response.status_code, response.json()["code"]) == (404, "entry-not-found")


@pytest.mark.parametrize("cursor", ["x", "-1", "1-2-3", "٣", "0x1"])
async def test_a_wrong_cursor_is_refused(cursor: str, http: httpx.AsyncClient) -> None:
    params = {"cursor": cursor, "id": "e"}
    response = await http.get(f"{API}/schedules/events", params=params)
    assert (response.status_code, response.json()["field"]) == (400, "cursor")


async def test_an_entry_is_paused_and_resumed(address: str, http: httpx.AsyncClient) -> None:
    entry_id = await scheduled(address, http)
    assert await do(http, "pause", entry_id) == {"done": 1, "refused": []}
    again = await do(http, "pause", entry_id, "none")
    assert codes(again) == [(entry_id, "conflict"), ("none", "entry-not-found")]
    assert (await do(http, "resume", entry_id))["done"] == 1
    assert codes(await do(http, "resume", entry_id)) == [(entry_id, "conflict")]


async def test_an_entry_is_run_now(address: str, http: httpx.AsyncClient) -> None:
    entry_id = await scheduled(address, http)
    outcome = await do(http, "run", entry_id)
    [made] = outcome["tasks"]
    task = (await get(http, "/task", **made))["task"]
    assert (task["queue"], task["type"], task["payload"]) == ("low", "t", "p")
    assert [
        it["task_id"] for it in (await get(http, "/schedules/events", id=entry_id))["items"]
    ] == [made["id"]]


async def test_an_entry_of_go_cannot_be_paused_and_needs_a_queue_to_run(
    http: httpx.AsyncClient, broker: Broker
) -> None:
    entry = an_entry("e", options=Options())
    await broker.schedules.write_entries("go", [entry], ttl_s=60)
    assert codes(await do(http, "pause", "e")) == [("e", "conflict")]
    assert codes(await do(http, "run", "e")) == [("e", "invalid")]
    assert (await do(http, "run", "e", queue="low"))["tasks"][0]["queue"] == "low"


async def test_actions_on_entries_are_in_the_audit(address: str, http: httpx.AsyncClient) -> None:
    entry_id = await scheduled(address, http)
    for action in ("pause", "run", "resume", "resume"):
        await do(http, action, entry_id)
    entries = (await get(http, "/audit"))["items"]
    assert [(it["action"], it["count"], it["outcome"]) for it in entries] == [
        ("entry.resume", 0, "refused"),
        ("entry.resume", 1, "done"),
        ("entry.run", 1, "done"),
        ("entry.pause", 1, "done"),
    ]
    assert {it["target"] for it in entries} == {entry_id}
    assert "not paused" in entries[0]["detail"]
    assert {it["detail"] for it in entries[1:]} <= {"t", ""}  # none once the scheduler has ended
