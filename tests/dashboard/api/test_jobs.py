"""All tasks that match are changed in batches, which can be counted first, followed and stopped."""

from typing import Any

import httpx
import pytest

from pyasynq.broker import Broker
from pyasynq.operations import jobs
from tests.dashboard.conftest import Connect
from tests.support.factories import (
    a_pending,
    a_scheduled,
    enqueue,
    many_pending,
    one_of_each,
)
from tests.support.waiting import wait_until

API = "/api/v1"


async def begin(http: httpx.AsyncClient, action: str, line: str, **more: object) -> dict[str, Any]:
    response = await http.post(f"{API}/jobs/{action}", json={"q": line, **more})
    assert response.status_code == 202, response.text
    return response.json()


async def end_of(http: httpx.AsyncClient, job: dict[str, Any]) -> dict[str, Any]:
    """Wait for the end of a job, and return it."""

    async def is_over() -> bool:
        found = await http.get(f"{API}/job", params={"id": job["id"]})
        return found.json()["status"] != "running"

    await wait_until(is_over)
    return (await http.get(f"{API}/job", params={"id": job["id"]})).json()


async def do(http: httpx.AsyncClient, action: str, line: str, **more: object) -> dict[str, Any]:
    return await end_of(http, await begin(http, action, line, **more))


async def ids(http: httpx.AsyncClient, line: str) -> list[str]:
    found = await http.get(f"{API}/tasks", params={"q": line, "limit": 100})
    return [task["id"] for task in found.json()["items"]]


async def prepare(broker: Broker) -> None:
    """Schedule six tasks, of which two have the payload b."""
    await enqueue(broker, *(a_scheduled(str(n), payload=b"aab"[n % 3 :][:1]) for n in range(6)))


async def test_all_that_match_are_counted_first(http: httpx.AsyncClient, broker: Broker) -> None:
    await prepare(broker)
    job = await do(http, "delete", "payload:b", dry_run=True)
    assert (job["status"], job["matched"], job["done"], job["looked_at"]) == ("done", 2, 0, 6)
    assert (job["queues"], job["total"], job["dry_run"]) == ({"q": 2}, 6, True)
    assert len(await ids(http, "")) == 6


@pytest.mark.parametrize(
    ("action", "state"), [("run", "pending"), ("archive", "archived"), ("delete", "completed")]
)
async def test_all_that_match_are_moved(
    action: str, state: str, http: httpx.AsyncClient, broker: Broker
) -> None:
    await prepare(broker)
    job = await do(http, action, "payload:b state:scheduled")
    assert (job["status"], job["matched"], job["done"], job["refused"]) == ("done", 2, 2, 0)
    assert (job["looked_at"], job["queues"], job["by"]) == (6, {"q": 2}, "local")
    assert await ids(http, "state:scheduled") == ["0", "1", "3", "4"]
    moved = await ids(http, f"state:{state}")
    assert moved == ["2", "5"] * (action != "delete")


@pytest.mark.parametrize("line", ["error:BOOM", "error:boom type:t", "error:boom older:0s"])
async def test_all_tasks_with_an_error_are_moved(
    line: str, http: httpx.AsyncClient, broker: Broker
) -> None:
    tasks = [
        a_scheduled(f"{n}", error_msg=f"a boom {n}" if n % 3 else "other", last_failed_at=1)
        for n in range(1500)
    ]
    await enqueue(broker, *tasks, a_pending("p", error_msg="boom", last_failed_at=1))
    counted = await do(http, "delete", line, dry_run=True)
    job = await do(http, "delete", line)
    for it in (counted, job):
        assert (it["status"], it["matched"], it["looked_at"]) == ("done", 1001, 1501)
    assert (job["done"], job["refused"]) == (1001, 0)
    assert (await http.get(f"{API}/queue", params={"queue": "q"})).json()["size"] == 500


async def test_pending_tasks_that_are_not_the_next_to_run_are_moved(
    http: httpx.AsyncClient, broker: Broker
) -> None:
    await enqueue(broker, *(a_pending(f"{n}", payload=b"ab"[n // 100 :][:1]) for n in range(200)))
    job = await do(http, "delete", "payload:b")
    assert (job["matched"], job["done"], job["refused"]) == (100, 100, 0)


async def test_without_a_look_at_tasks_more_are_moved_at_once(
    http: httpx.AsyncClient, broker: Broker
) -> None:
    await enqueue(broker, *many_pending(2300), a_scheduled("s"))
    job = await do(http, "delete", "queue:q state:pending")
    assert (job["matched"], job["done"], job["looked_at"], job["total"]) == (2300,) * 4
    assert await ids(http, "") == ["s"]


async def test_tasks_whose_state_forbids_it_are_left_alone(
    http: httpx.AsyncClient, broker: Broker
) -> None:
    await one_of_each(broker)
    job = await do(http, "delete", "queue:q")
    assert (job["done"], job["refused"]) == (6, 0)
    assert await ids(http, "") == ["active"]


async def test_all_that_match_are_rescheduled(http: httpx.AsyncClient, broker: Broker) -> None:
    await prepare(broker)
    job = await do(http, "reschedule", "payload:b", at="2040-01-02T12:00:00Z")
    assert (job["done"], job["matched"]) == (2, 2)
    found = await http.get(f"{API}/tasks", params={"q": "payload:b"})
    due = {task["next_process_at"] for task in found.json()["items"]}
    assert due == {"2040-01-02T12:00:00Z"}


async def test_running_tasks_that_match_are_canceled(
    http: httpx.AsyncClient, broker: Broker
) -> None:
    await one_of_each(broker)
    job = await do(http, "cancel", "type:t")
    assert (job["done"], job["matched"], job["total"]) == (1, 1, 1)


async def test_a_job_that_is_stopped_keeps_what_is_done(
    http: httpx.AsyncClient, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyasynq.inspector.actions.BATCH", 10)
    await enqueue(broker, *many_pending(500))
    job = await begin(http, "delete", "state:pending")
    stopped = await http.post(f"{API}/jobs/stop", json={"id": job["id"]})
    assert stopped.status_code == 200
    ended = await end_of(http, job)
    assert ended["status"] == "stopped"
    assert 0 < ended["done"] < 500
    left = (await http.get(f"{API}/queue", params={"queue": "q"})).json()["pending"]
    assert left == 500 - ended["done"]


async def test_few_jobs_run_at_once(
    http: httpx.AsyncClient, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "MOST_RUNNING", 0)
    response = await http.post(f"{API}/jobs/run", json={"q": "state:*"})
    assert (response.status_code, response.json()["code"]) == (429, "too-many")
    assert response.headers["retry-after"] == "5"


async def test_the_last_jobs_are_listed(
    http: httpx.AsyncClient, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "KEPT", 2)
    done = [await do(http, "run", f"state:* id:{n}", dry_run=True) for n in range(4)]
    listed = (await http.get(f"{API}/jobs")).json()["items"]
    assert [job["id"] for job in listed] == [job["id"] for job in done[:0:-1]][: len(listed)]
    assert 2 <= len(listed) <= 3
    overview = (await http.get(f"{API}/overview")).json()
    assert overview["jobs"] == listed


@pytest.mark.parametrize("line", ["", "  "])
async def test_an_empty_line_does_not_mean_all_tasks(line: str, http: httpx.AsyncClient) -> None:
    response = await http.post(f"{API}/jobs/delete", json={"q": line})
    assert (response.status_code, response.json()["field"]) == (400, "q")


async def test_a_job_that_is_not_there_is_not_found(http: httpx.AsyncClient) -> None:
    shown = await http.get(f"{API}/job", params={"id": "x"})
    stopped = await http.post(f"{API}/jobs/stop", json={"id": "x"})
    assert [shown.status_code, stopped.status_code] == [404, 404]


async def test_a_job_is_in_the_audit_when_it_begins_and_when_it_ends(
    http: httpx.AsyncClient, broker: Broker
) -> None:
    await prepare(broker)
    await do(http, "delete", "payload:b", dry_run=True)
    await do(http, "delete", "payload:b")

    async def has_both() -> bool:
        found = (await http.get(f"{API}/audit")).json()["items"]
        return [(it["outcome"], it["count"]) for it in found] == [("done", 2), ("begun", 0)]

    await wait_until(has_both)
    [ended, _] = (await http.get(f"{API}/audit")).json()["items"]
    assert (ended["principal"], ended["role"], ended["action"], ended["target"]) == (
        "local",
        "admin",
        "task.delete",
        "payload:b",
    )


async def test_a_search_that_redaction_changes_moves_what_is_shown(
    connect: Connect, broker: Broker
) -> None:
    await enqueue(broker, a_pending("1", payload=b"a secret"))
    http = connect(redact=lambda type, content: b"***")
    assert (await do(http, "delete", "payload:secret"))["matched"] == 0
    assert (await do(http, "delete", "payload:***"))["done"] == 1
