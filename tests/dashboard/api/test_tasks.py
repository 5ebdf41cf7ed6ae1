"""Tasks are found, shown in detail, and changed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import httpx
import pytest

from pyasynq import ActiveTask, Client, Server, Task
from pyasynq.broker import Broker
from tests.dashboard.conftest import Connect
from tests.support.factories import (
    a_grouped,
    a_lease,
    a_message,
    a_pending,
    a_scheduled,
    a_server,
    a_worker,
    archived,
    enqueue,
    one_of_each,
    settle,
)
from tests.support.waiting import wait_until

API = "/api/v1"


async def search(http: httpx.AsyncClient, line: str, **more: str | int) -> dict[str, Any]:
    response = await http.get(f"{API}/tasks", params={"q": line, **more})
    assert response.status_code == 200, response.text
    return response.json()


async def ids(http: httpx.AsyncClient, line: str) -> list[str]:
    return [task["id"] for task in (await search(http, line, limit=100))["items"]]


async def detail(http: httpx.AsyncClient, task_id: str, queue: str = "q") -> dict[str, Any]:
    response = await http.get(f"{API}/task", params={"queue": queue, "id": task_id})
    assert response.status_code == 200, response.text
    return response.json()


async def post(http: httpx.AsyncClient, path: str, **body: object) -> dict[str, Any]:
    response = await http.post(f"{API}{path}", json=body)
    assert response.status_code == 200, response.text
    return response.json()


def named(*task_ids: str) -> list[dict[str, str]]:
    return [{"queue": "q", "id": task_id} for task_id in task_ids]


# -- search ----------------------------------------------------------------------------------------


async def test_all_tasks_are_found_in_the_order_of_their_states(
    http: httpx.AsyncClient, broker: Broker
) -> None:
    await one_of_each(broker)
    order = ["active", "pending", "aggregating", "scheduled", "retry", "archived", "completed"]
    assert await ids(http, "") == order


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("state:retry,archived", ["retry", "archived"]),
        ("queue:q state:a*", ["active", "aggregating", "archived"]),
        ("queue:other", []),
        ("group:g", ["aggregating"]),
        ("type:t id:*ed", ["scheduled", "archived", "completed"]),
        ("id:retry,pending,none", ["retry", "pending"]),
        ("state:retry id:pending", []),
        ("-state:a* -id:retry", ["pending", "scheduled", "completed"]),
    ],
)
async def test_a_line_finds_the_tasks_that_meet_it(
    line: str, found: list[str], http: httpx.AsyncClient, broker: Broker
) -> None:
    await one_of_each(broker)
    assert await ids(http, line) == found


async def test_a_row_has_a_preview_instead_of_the_payload(
    http: httpx.AsyncClient, broker: Broker
) -> None:
    await enqueue(broker, a_pending("1", payload=b"x" * 5000))
    [row] = (await search(http, "state:pending"))["items"]
    assert (row["payload_preview"], row["payload_size"]) == ("x" * 200, 5000)
    assert row["state"] == "pending"
    assert row.keys().isdisjoint({"payload", "payload_base64", "result", "attempts"})


async def test_pages_follow_each_other_to_the_end(http: httpx.AsyncClient, broker: Broker) -> None:
    await enqueue(broker, *(a_pending(f"p{n}") for n in range(5)), a_scheduled("s"))
    first = await search(http, "", limit=4)
    second = await search(http, "", limit=4, cursor=first["cursor"])
    found = [task["id"] for page in (first, second) for task in page["items"]]
    assert found == ["p0", "p1", "p2", "p3", "p4", "s"]
    assert (first["total"], second["cursor"]) == (6, None)


async def test_pages_of_what_a_word_finds_follow_each_other(
    http: httpx.AsyncClient, broker: Broker
) -> None:
    await enqueue(broker, *(a_pending(str(n), payload=b"ab"[n % 2 :][:1]) for n in range(10)))
    first = await search(http, "payload:a", limit=2)
    second = await search(http, "payload:a", limit=2, cursor=first["cursor"])
    third = await search(http, "payload:a", limit=2, cursor=second["cursor"])
    found = [task["id"] for page in (first, second, third) for task in page["items"]]
    assert found == ["0", "2", "4", "6", "8"]
    assert [first["looked_at"], second["looked_at"], third["looked_at"]] == [3, 4, 3]


async def test_a_search_stops_at_its_bound_and_goes_on_from_there(
    http: httpx.AsyncClient, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyasynq.operations.finder.MOST_LOOKED_AT", 10)
    await enqueue(broker, *(a_pending(str(n), payload=b"%d" % n) for n in range(15)))
    first = await search(http, "payload:14")
    second = await search(http, "payload:14", cursor=first["cursor"])
    assert (first["items"], first["looked_at"], first["stopped"]) == ([], 10, True)
    assert ([task["id"] for task in second["items"]], second["stopped"]) == (["14"], False)


async def test_a_search_that_takes_long_stops_and_goes_on_from_there(
    http: httpx.AsyncClient, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyasynq.operations.finder.LONGEST_S", 0.0)
    monkeypatch.setattr("pyasynq.operations.finder.STEP", 2)
    await enqueue(broker, *(a_pending(str(n), payload=b"%d" % n) for n in range(3)))
    first = await search(http, "payload:2")
    second = await search(http, "payload:2", cursor=first["cursor"])
    assert (first["items"], first["looked_at"], first["stopped"]) == ([], 2, True)
    assert [task["id"] for task in second["items"]] == ["2"]


async def test_a_cursor_outlives_the_place_that_it_is_in(
    http: httpx.AsyncClient, broker: Broker
) -> None:
    await enqueue(broker, a_pending("p"), a_pending("p2"), a_scheduled("s"))
    first = await search(http, "", limit=1)
    await post(http, "/tasks/delete", tasks=named("p", "p2"))
    rest = await search(http, "", cursor=first["cursor"])
    assert [task["id"] for task in rest["items"]] == ["s"]


@pytest.mark.parametrize("cursor", ["x", "W10", "eyJhIjoxfQ", "WyJxIiwibm9uZSIsIiIsMF0"])
async def test_a_wrong_cursor_is_refused(cursor: str, http: httpx.AsyncClient) -> None:
    response = await http.get(f"{API}/tasks", params={"cursor": cursor})
    assert (response.status_code, response.json()["field"]) == (400, "cursor")


@pytest.mark.parametrize("limit", ["0", "101", "x", "-1"])
async def test_a_wrong_limit_is_refused(limit: str, http: httpx.AsyncClient) -> None:
    response = await http.get(f"{API}/tasks", params={"limit": limit})
    assert response.status_code == 400


async def test_a_line_that_cannot_be_read_is_refused_with_its_place(
    http: httpx.AsyncClient,
) -> None:
    response = await http.get(f"{API}/tasks", params={"q": "x stat:retry"})
    found = response.json()
    assert (response.status_code, found["field"], found["at"]) == (400, "q", 2)
    assert response.headers["content-type"] == "application/problem+json"


async def test_what_may_follow_is_suggested(http: httpx.AsyncClient, broker: Broker) -> None:
    await one_of_each(broker)
    params = {"q": "state:re", "at": "8"}
    found = (await http.get(f"{API}/tasks/suggest", params=params)).json()
    assert (found["from"], found["to"]) == (0, 8)
    assert (found["items"][0]["text"], found["items"][0]["count"]) == ("state:retry", 1)


async def test_groups_are_suggested(http: httpx.AsyncClient, broker: Broker) -> None:
    await enqueue(broker, a_grouped("1"))
    params = {"q": "group:", "at": "6"}
    found = (await http.get(f"{API}/tasks/suggest", params=params)).json()
    assert [item["text"] for item in found["items"]] == ["group:g"]


# -- one task --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("pending", "position"),
        ("scheduled", "due"),
        ("retry", "retry"),
        ("aggregating", "group"),
    ],
)
async def test_a_waiting_task_says_why_it_waits(
    state: str, code: str, http: httpx.AsyncClient, broker: Broker
) -> None:
    await one_of_each(broker)
    found = await detail(http, state)
    codes = [reason["code"] for reason in found["waiting"]["reasons"]]
    assert (found["task"]["state"], codes) == (state, [code, "no-worker"])


@pytest.mark.parametrize(
    ("state", "actions"),
    [
        ("pending", {"archive", "delete", "duplicate"}),
        ("active", {"cancel", "duplicate"}),
        ("retry", {"run", "archive", "delete", "update", "reschedule", "duplicate"}),
        ("archived", {"run", "delete", "update", "duplicate"}),
    ],
)
async def test_a_task_says_what_can_be_done_to_it(
    state: str, actions: set[str], http: httpx.AsyncClient, broker: Broker
) -> None:
    await one_of_each(broker)
    assert set((await detail(http, state))["actions"]) == actions


async def test_a_task_whose_workers_take_no_tasks_says_so(
    http: httpx.AsyncClient, broker: Broker
) -> None:
    await enqueue(broker, a_pending("1"))
    await broker.registry.write_server(a_server(status="stopped"), ttl_s=60)
    reasons = (await detail(http, "1"))["waiting"]["reasons"]
    assert [it["code"] for it in reasons] == ["position", "quiet"]


async def test_a_pending_task_knows_its_place_and_that_the_queue_is_paused(
    http: httpx.AsyncClient, broker: Broker
) -> None:
    await enqueue(broker, *(a_pending(str(n)) for n in range(4)))
    await post(http, "/queues/pause", queues=["q"])
    reasons = (await detail(http, "2"))["waiting"]["reasons"]
    assert [(it["code"], it["position"]) for it in reasons] == [
        ("position", 2),
        ("paused", None),
        ("no-worker", None),
    ]


async def test_a_pending_task_behind_very_many_says_so(
    http: httpx.AsyncClient, broker: Broker
) -> None:
    await enqueue(broker, *(a_pending(str(n)) for n in range(251)))
    reasons = (await detail(http, "250"))["waiting"]["reasons"]
    assert [(it["code"], it["position"]) for it in reasons] == [
        ("many-before", None),
        ("no-worker", None),
    ]


async def test_a_payload_is_decoded(http: httpx.AsyncClient, broker: Broker) -> None:
    await enqueue(broker, a_pending("1", payload=b'{"to": ["Ann"]}'))
    found = await detail(http, "1")
    assert found["payload"] == {
        "format": "json",
        "value": {"to": ["Ann"]},
        "hex": b'{"to": ["Ann"]}'.hex(" "),
        "size": 15,
        "truncated": False,
        "redacted": False,
    }
    assert found["task"]["payload"] == '{"to": ["Ann"]}'


async def test_failures_are_on_the_time_line(http: httpx.AsyncClient, broker: Broker) -> None:
    async def fail(task: ActiveTask) -> None:
        msg = "no route"
        raise ValueError(msg)

    async with Client(broker) as client, Server(broker, queues={"q": 1}).running(fail):
        await client.enqueue(Task("t", queue="q"), task_id="1")

        async def failed() -> bool:
            return (await detail(http, "1"))["task"]["state"] == "retry"

        await wait_until(failed)
    found = await detail(http, "1")
    assert [moment["what"] for moment in found["timeline"]] == ["failed", "due"]
    assert "no route" in found["timeline"][0]["detail"]
    [attempt] = found["task"]["attempts"]
    assert "ValueError" in attempt["traceback"]


async def test_a_running_task_names_its_worker(http: httpx.AsyncClient, broker: Broker) -> None:
    await a_lease(broker, a_pending("1"))
    await broker.registry.write_server(a_server("s", a_worker("1")), ttl_s=60)
    found = await detail(http, "1")
    assert (found["worker"]["server_id"], found["worker"]["host"]) == ("s", "h")
    assert [moment["what"] for moment in found["timeline"]] == ["started", "deadline"]
    assert found["waiting"]["reasons"] == []


async def test_a_running_task_is_canceled(http: httpx.AsyncClient, broker: Broker) -> None:
    started = anyio.Event()
    canceled: list[str] = []

    async def wait(task: ActiveTask) -> None:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            canceled.append(task.id)

    async with Client(broker) as client, Server(broker, queues={"q": 1}).running(wait):
        await client.enqueue(Task("t", queue="q"), task_id="1", max_retry=0)
        await started.wait()  # a task canceled earlier never reaches its handler

        async def cancel() -> list[str]:  # again, as the worker may not listen yet
            await post(http, "/tasks/cancel", tasks=named("1"))
            return canceled

        await wait_until(cancel)
    assert canceled == ["1"]


async def test_a_task_can_be_copied_as_a_command_and_as_python(
    http: httpx.AsyncClient, broker: Broker
) -> None:
    await enqueue(broker, a_pending("1", payload=b"it's", headers={"a": "b"}))
    found = (await detail(http, "1"))["copy"]
    assert found["cli"].startswith(
        "pyasynq task enqueue -q q -t t -l 'it'\"'\"'s' -H a=b --retry 3"
    )
    task = eval(found["python"], {"pyasynq": __import__("pyasynq"), "timedelta": timedelta})
    assert (task.type, task.payload, dict(task.headers)) == ("t", b"it's", {"a": "b"})


async def test_a_command_has_the_payload_even_if_it_is_empty(
    http: httpx.AsyncClient, broker: Broker
) -> None:
    await enqueue(broker, a_pending("1", payload=b""))
    found = (await detail(http, "1"))["copy"]
    assert found["cli"].startswith("pyasynq task enqueue -q q -t t -l '' --retry 3")


@pytest.mark.parametrize(
    ("queue", "task_id", "code"), [("q", "none", "task-not-found"), ("r", "1", "queue-not-found")]
)
async def test_what_is_not_there_is_not_found(
    queue: str, task_id: str, code: str, http: httpx.AsyncClient, broker: Broker
) -> None:
    await enqueue(broker, a_pending("1"))
    response = await http.get(f"{API}/task", params={"queue": queue, "id": task_id})
    assert (response.status_code, response.json()["code"]) == (404, code)


# -- actions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "state"), [("run", "pending"), ("archive", "archived"), ("delete", None)]
)
async def test_selected_tasks_are_moved(
    action: str, state: str | None, http: httpx.AsyncClient, broker: Broker
) -> None:
    await one_of_each(broker)
    done = await post(http, f"/tasks/{action}", tasks=named("retry", "scheduled"))
    assert done == {"done": 2, "refused": []}
    found = (await search(http, "id:retry,scheduled"))["items"]
    assert [task["state"] for task in found] == [state] * 2 * bool(state)


async def test_tasks_that_cannot_be_moved_are_named(
    http: httpx.AsyncClient, broker: Broker
) -> None:
    await one_of_each(broker)
    done = await post(http, "/tasks/archive", tasks=named("active", "none", "retry"))
    refused = {it["id"]: (it["code"], it["queue"]) for it in done["refused"]}
    assert (done["done"], refused) == (
        1,
        {"active": ("conflict", "q"), "none": ("task-not-found", "q")},
    )


@pytest.mark.parametrize("when", [{"at": "2040-01-02T12:00:00Z"}, {"in": 3600}])
async def test_tasks_are_rescheduled(
    when: dict[str, object], http: httpx.AsyncClient, broker: Broker
) -> None:
    await enqueue(broker, a_scheduled("1"))
    assert (await post(http, "/tasks/reschedule", tasks=named("1"), **when))["done"] == 1
    due = datetime.fromisoformat((await detail(http, "1"))["task"]["next_process_at"])
    assert due < datetime(2041, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "when",
    [{}, {"at": "2040-01-02T12:00:00Z", "in": 1}, {"at": "2040-01-02T12:00:00"}, {"in": 1e300}],
)
async def test_a_time_that_is_none_is_refused(
    when: dict[str, object], http: httpx.AsyncClient
) -> None:
    body = {"tasks": named("1"), **when}
    response = await http.post(f"{API}/tasks/reschedule", json=body)
    assert (response.status_code, response.json()["code"]) == (400, "invalid")


async def test_a_copy_of_a_task_is_enqueued(http: httpx.AsyncClient, broker: Broker) -> None:
    lease = await a_lease(broker, a_pending("1", payload=b"p", headers={"a": "b"}))
    await settle(broker, lease, archived(lease))
    done = await post(http, "/tasks/duplicate", tasks=named("1"))
    [made] = done["tasks"]
    copy = (await detail(http, made["id"]))["task"]
    assert (copy["state"], copy["payload"], copy["headers"]) == ("pending", "p", {"a": "b"})
    assert (copy["type"], copy["max_retry"], copy["last_error"]) == ("t", 3, None)


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ({"payload": "new"}, "payload", "new"),
        ({"payload_base64": "/w=="}, "payload_base64", "/w=="),
        ({"max_retry": 7}, "max_retry", 7),
        ({"timeout": 1.0}, "timeout", 1.0),
        ({"headers": {"a": "b"}}, "headers", {"a": "b"}),
    ],
)
async def test_a_waiting_task_is_changed(
    change: dict[str, object], field: str, value: object, http: httpx.AsyncClient, broker: Broker
) -> None:
    await enqueue(broker, a_scheduled("1"))
    found = await post(http, "/task/update", queue="q", id="1", **change)
    assert found["task"][field] == value


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"payload_base64": "x"},
        {"timeout": 1e300},
        {"max_retry": -1},
        {"payload": 5},
        {"x": 1},
    ],
)
async def test_a_change_that_is_not_allowed_is_refused(
    change: dict[str, object], http: httpx.AsyncClient, broker: Broker
) -> None:
    await enqueue(broker, a_scheduled("1"))
    response = await http.post(f"{API}/task/update", json={"queue": "q", "id": "1", **change})
    assert (response.status_code, response.json()["code"]) == (400, "invalid")


# -- what is hidden --------------------------------------------------------------------------------


def hide(type: str, content: bytes) -> bytes:
    return content.replace(b"secret", b"***")


async def test_what_is_redacted_is_nowhere(connect: Connect, broker: Broker) -> None:
    http = connect(redact=hide)
    await enqueue(broker, a_scheduled("1", payload=b"a secret"))
    lease = await a_lease(broker, a_pending("2", payload=b"a secret"))
    await broker.work.write_result(lease, b"secret")
    texts = [
        (await http.get(f"{API}/tasks")).text,
        (await http.get(f"{API}/task", params={"queue": "q", "id": "1"})).text,
        (await http.get(f"{API}/task", params={"queue": "q", "id": "2"})).text,
    ]
    assert not any("secret" in text or b"secret".hex(" ") in text for text in texts)
    assert (await detail(http, "1"))["payload"]["redacted"]


async def test_a_search_cannot_find_out_what_is_redacted(connect: Connect, broker: Broker) -> None:
    http = connect(redact=hide)
    await enqueue(broker, a_scheduled("1", payload=b"a secret"))
    assert await ids(http, "payload:secret") == []
    assert await ids(http, "secret") == []
    assert await ids(http, "payload:***") == ["1"]


async def test_nothing_is_shown_if_redact_fails(connect: Connect, broker: Broker) -> None:
    def fail(type: str, content: bytes) -> bytes:
        raise KeyError(type)

    http = connect(redact=fail)
    await enqueue(broker, a_scheduled("1", payload=b"a secret"))
    response = await http.get(f"{API}/tasks")
    assert response.json()["items"][0]["payload_preview"] == "(hidden: redact failed)"


async def test_hostile_text_stays_text(http: httpx.AsyncClient, broker: Broker) -> None:
    text = "<script>alert(1)</script>\u202e\x00\"'"
    message = a_message(text, payload=text.encode())
    await enqueue(broker, a_pending(text, payload=text.encode(), type=text))
    response = await http.get(f"{API}/tasks", params={"q": "state:pending"})
    [row] = response.json()["items"]
    assert (row["id"], row["type"], row["payload_preview"]) == (message.id, text, text)
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-content-type-options"] == "nosniff"
    found = await detail(http, text)
    assert found["task"]["id"] == text
