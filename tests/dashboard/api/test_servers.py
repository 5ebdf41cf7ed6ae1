"""Servers are shown, and operators change them."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from pyasynq import Inspector, ProcessInfo
from pyasynq.broker import Broker
from tests.support.factories import a_server, a_worker

API = "/api/v1"


async def get(http: httpx.AsyncClient, path: str) -> dict[str, Any]:
    response = await http.get(f"{API}{path}")
    assert response.status_code == 200, response.text
    return response.json()


async def do(http: httpx.AsyncClient, action: str, **asked: object) -> dict[str, Any]:
    response = await http.post(f"{API}/servers/{action}", json=asked)
    assert response.status_code == 200, response.text
    return response.json()


async def wanted(http: httpx.AsyncClient) -> list[tuple[object, ...]]:
    controls = (await get(http, "/servers"))["controls"]
    return [(it["target"], it["state"], it["concurrency"], it["queues"]) for it in controls]


@pytest.fixture
async def servers(broker: Broker) -> None:
    """Two servers of a deployment, and one of Go."""
    for name in ("a", "b"):
        server = a_server(name, version="1", deployment="web")
        await broker.registry.write_server(server, ttl_s=60)
    await broker.registry.write_server(a_server("go"), ttl_s=60)


async def test_servers_are_listed_with_their_running_tasks(
    http: httpx.AsyncClient, broker: Broker
) -> None:
    await broker.registry.write_server(a_server("s", a_worker("1", payload=b"p")), ttl_s=60)
    found = await get(http, "/servers")
    [server] = found["items"]
    assert (server["id"], server["queues"], server["active_worker_count"]) == ("s", {"q": 2}, 1)
    [worker] = server["active_workers"]
    assert (worker["task_id"], worker["payload_preview"]) == ("1", "p")
    assert "task_payload" not in worker
    assert found["controls"] == []


async def test_servers_show_what_they_have_measured(
    http: httpx.AsyncClient, broker: Broker
) -> None:
    measured = ProcessInfo(tasks_per_s=2.5, loop_lag=timedelta(milliseconds=1.5), memory=3_000)
    await broker.registry.write_server(a_server("s", process=measured), ttl_s=60)
    [server] = (await get(http, "/servers"))["items"]
    assert server["process"] == {"tasks_per_s": 2.5, "loop_lag": 0.0015, "memory": 3_000}


@pytest.mark.parametrize(
    ("action", "state"), [("quiet", "quiet"), ("resume", "active"), ("stop", "stop")]
)
@pytest.mark.usefixtures("servers")
async def test_what_is_wanted_of_servers_is_kept(
    action: str, state: str, http: httpx.AsyncClient
) -> None:
    assert await do(http, action, target="a") == {"servers": ["a"]}
    assert await wanted(http) == [("a", state, None, None)]


@pytest.mark.parametrize(
    ("target", "named"), [("web", ["a", "b"]), ("*", ["a", "b"]), ("go", []), ("none", [])]
)
@pytest.mark.usefixtures("servers")
async def test_servers_are_named_by_deployment_or_all_together(
    target: str, named: list[str], http: httpx.AsyncClient
) -> None:
    found = await do(http, "quiet", target=target)
    assert sorted(found["servers"]) == named


@pytest.mark.usefixtures("servers")
async def test_slots_and_queues_are_changed_and_reset(http: httpx.AsyncClient) -> None:
    await do(http, "set", target="web", concurrency=7)
    await do(http, "set", target="web", queues={"low": 1})
    assert await wanted(http) == [("web", None, 7, {"low": 1})]
    await do(http, "reset", target="web")
    assert await wanted(http) == []


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({}, None),
        ({"concurrency": 0}, "concurrency"),
        ({"queues": {}}, "queues"),
        ({"queues": {"q": 0}}, "queues"),
        ({"concurrency": "many"}, "concurrency"),
    ],
)
@pytest.mark.usefixtures("servers")
async def test_a_wrong_setting_is_refused_and_named(
    asked: dict[str, object], field: str | None, http: httpx.AsyncClient
) -> None:
    response = await http.post(f"{API}/servers/set", json={"target": "web", **asked})
    assert (response.status_code, response.json().get("field")) == (400, field)
    assert await wanted(http) == []


@pytest.mark.usefixtures("servers")
async def test_changes_of_servers_are_in_the_audit(http: httpx.AsyncClient) -> None:
    await do(http, "quiet", target="a")
    await do(http, "set", target="web", concurrency=7, queues={"low": 1})
    entries = (await get(http, "/audit"))["items"]
    assert [(it["action"], it["target"], it["count"], it["detail"]) for it in entries] == [
        ("server.set", "web", 2, 'concurrency 7, queues {"low":1}'),
        ("server.quiet", "a", 1, "h:1"),
    ]


@pytest.mark.usefixtures("servers")
async def test_a_quiet_server_is_not_counted_as_serving(
    http: httpx.AsyncClient, broker: Broker
) -> None:
    await broker.registry.write_server(a_server("a", status="stopped"), ttl_s=60)
    totals = (await get(http, "/overview"))["totals"]
    assert (totals["servers"], totals["quiet"], totals["slots"]) == (3, 1, 8)


async def test_the_command_line_sees_what_is_wanted(
    http: httpx.AsyncClient, broker: Broker
) -> None:
    await do(http, "stop", target="web")
    [control] = await Inspector(broker).controls()
    assert (control.target, control.state) == ("web", "stop")
