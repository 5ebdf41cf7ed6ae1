"""Flows and batches are listed and shown; flows are cancelled, retried, signalled and skipped."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from pyasynq import Batch, Client, Flow, Task
from pyasynq.broker import Broker
from pyasynq.dashboard import Principal, Role
from tests.dashboard.conftest import Connect
from tests.support.flows import a_flow, end_step, open_flow

API = "/api/v1"


@pytest.fixture
async def client(address: str) -> AsyncIterator[Client]:
    async with Client(address) as client:
        yield client


async def get(http: httpx.AsyncClient, path: str, **params: str) -> dict[str, Any]:
    response = await http.get(f"{API}{path}", params=params)
    assert response.status_code == 200, response.text
    return response.json()


async def do(http: httpx.AsyncClient, action: str, **body: object) -> dict[str, Any]:
    response = await http.post(f"{API}/flows/{action}", json=body)
    assert response.status_code == 200, response.text
    return response.json()


def codes(outcome: dict[str, Any]) -> list[str]:
    return [it["code"] for it in outcome["refused"]]


def approved(flow_id: str = "7", queue: str = "q") -> Flow:
    """Return a flow of a gate, and a step that waits for it."""
    flow = Flow("import", queue=queue, id=flow_id)
    flow.add(Task("publish", b"{}", queue=queue), after=flow.gate("approval"))
    return flow


ONE = {"queue": "q", "id": "7"}


async def test_flows_of_all_queues_are_listed_the_newest_first(
    http: httpx.AsyncClient, client: Client
) -> None:
    await client.enqueue_flow(approved("1", "low"))
    await client.enqueue_flow(approved("2"))
    found = await get(http, "/flows")
    assert {(it["queue"], it["id"]) for it in found["items"]} == {("low", "1"), ("q", "2")}
    assert [it["actions"] for it in found["items"]] == [["cancel", "skip", "signal"]] * 2
    assert [it["created_at"] for it in found["items"]] == sorted(
        (it["created_at"] for it in found["items"]), reverse=True
    )
    assert found["more"] is False
    [only] = (await get(http, "/flows", queue="low"))["items"]
    assert (only["name"], only["total"], only["ended"], only["failed"]) == ("import", 2, 0, 0)
    assert "steps" not in only


async def test_a_list_says_if_older_ones_are_left_out(
    http: httpx.AsyncClient, client: Client
) -> None:
    for flow_id in ("1", "2", "3"):
        await client.enqueue_flow(approved(flow_id))
    found = await get(http, "/flows", limit="2")
    assert (len(found["items"]), found["more"]) == (2, True)


async def test_flows_that_have_ended_are_listed_apart(
    http: httpx.AsyncClient, broker: Broker
) -> None:
    await open_flow(broker, a_flow(("succeeded", ())))
    await end_step(broker, "f")
    assert (await get(http, "/flows"))["items"] == []
    [flow] = (await get(http, "/flows", state="ended"))["items"]
    assert (flow["state"], flow["ended"], flow["failed"]) == ("failed", 1, 1)


@pytest.mark.parametrize("path", ["/flows", "/batches"])
async def test_a_queue_that_is_not_there_is_not_found(path: str, http: httpx.AsyncClient) -> None:
    response = await http.get(f"{API}{path}", params={"queue": "none"})
    assert (response.status_code, response.json()["code"]) == (404, "queue-not-found")


async def test_a_flow_shows_its_steps_what_their_tasks_do_and_what_can_be_done(
    http: httpx.AsyncClient, client: Client
) -> None:
    await client.enqueue_flow(approved())
    flow = await get(http, "/flow", **ONE)
    assert [(it["name"], it["state"]) for it in flow["steps"]] == [
        ("approval", "running"),
        ("publish", "waiting"),
    ]
    assert [it["task"] for it in flow["steps"]] == [None, None]
    assert flow["actions"] == ["cancel", "skip", "signal"]
    assert (flow["open_steps"], flow["gates"]) == (["approval", "publish"], ["approval"])
    assert flow["mermaid"].startswith("flowchart TD")
    await do(http, "signal", **ONE, gate="approval", value=[True])
    flow = await get(http, "/flow", **ONE)
    assert flow["steps"][1]["task"]["state"] == "pending"
    assert flow["actions"] == ["cancel", "skip"]


async def test_the_task_of_a_step_names_its_flow(http: httpx.AsyncClient, client: Client) -> None:
    flow = Flow("import", queue="q", id="7")
    flow.add(Task("publish", queue="q"))
    await client.enqueue_flow(flow)
    task = await get(http, "/task", queue="q", id="7:publish")
    assert task["part_of"] == {"kind": "flow", "queue": "q", "id": "7"}


async def test_a_task_that_is_part_of_nothing_names_nothing(
    http: httpx.AsyncClient, client: Client
) -> None:
    info = await client.enqueue(Task("publish"), queue="q")
    assert (await get(http, "/task", queue="q", id=info.id))["part_of"] is None


@pytest.mark.parametrize("path", ["/flow", "/batch"])
async def test_what_is_no_longer_kept_is_not_found(path: str, http: httpx.AsyncClient) -> None:
    response = await http.get(f"{API}{path}", params=ONE)
    code = f"{path.removeprefix('/')}-not-found"
    assert (response.status_code, response.json()["code"]) == (404, code)


async def test_a_flow_is_cancelled_and_retried(http: httpx.AsyncClient, client: Client) -> None:
    await client.enqueue_flow(approved())
    missing = {"queue": "q", "id": "8"}
    outcome = await do(http, "cancel", flows=[ONE, missing])
    assert (outcome["done"], codes(outcome)) == (1, ["flow-not-found"])
    flow = await get(http, "/flow", **ONE)
    assert (flow["state"], flow["actions"]) == ("cancelled", ["retry"])
    assert codes(await do(http, "cancel", flows=[ONE])) == ["conflict"]
    assert (await do(http, "retry", flows=[ONE]))["done"] == 1
    assert (await get(http, "/flow", **ONE))["state"] == "running"


async def test_steps_are_skipped(http: httpx.AsyncClient, client: Client) -> None:
    await client.enqueue_flow(approved())
    assert (await do(http, "skip", **ONE, steps=["approval"]))["done"] == 1
    assert (await do(http, "skip", **ONE, steps=["publish"]))["done"] == 1
    flow = await get(http, "/flow", **ONE)
    assert (flow["state"], flow["actions"]) == ("succeeded", [])
    assert codes(await do(http, "skip", **ONE, steps=["publish"])) == ["conflict"]
    assert codes(await do(http, "skip", **ONE, steps=["nothing"])) == ["step-not-found"]


async def test_a_gate_takes_one_signal(http: httpx.AsyncClient, client: Client) -> None:
    await client.enqueue_flow(approved())
    assert (await do(http, "signal", **ONE, gate="approval"))["done"] == 1
    assert codes(await do(http, "signal", **ONE, gate="approval")) == ["conflict"]
    assert codes(await do(http, "signal", **ONE, gate="publish")) == ["step-not-found"]


async def test_two_operators_skip_and_signal_the_same_gate_and_one_is_refused(
    http: httpx.AsyncClient, connect: Connect, client: Client
) -> None:
    await client.enqueue_flow(approved())
    other = connect()
    first = await do(http, "signal", **ONE, gate="approval", value=1)
    second = await do(other, "skip", **ONE, steps=["approval"])
    assert (first["done"], second["done"], codes(second)) == (1, 0, ["conflict"])


async def test_what_was_done_to_a_flow_is_in_the_audit(
    http: httpx.AsyncClient, client: Client
) -> None:
    await client.enqueue_flow(approved())
    await do(http, "skip", **ONE, steps=["publish"])
    await do(http, "signal", **ONE, gate="nothing")
    await do(http, "cancel", flows=[ONE])
    entries = (await get(http, "/audit"))["items"]
    assert [(it["action"], it["target"], it["outcome"]) for it in entries] == [
        ("flow.cancel", "q/7", "done"),
        ("flow.signal", "q/7/nothing", "refused"),
        ("flow.skip", "q/7/publish", "done"),
    ]


async def test_who_may_not_act_is_offered_nothing(connect: Connect, client: Client) -> None:
    await client.enqueue_flow(approved())
    viewer = connect(authorize=lambda _request: Principal(name="ann", role=Role.VIEWER))
    assert (await get(viewer, "/flow", **ONE))["actions"] == []
    assert (await get(connect(read_only=True), "/flow", **ONE))["actions"] == []


async def test_batches_are_listed_and_shown_with_the_members_that_failed(
    http: httpx.AsyncClient, client: Client, broker: Broker
) -> None:
    tasks = [Task("resize", b"%d" % n, queue="q") for n in range(2)]
    info = await client.enqueue_batch(Batch(tasks))
    await end_step(broker, "f")
    await end_step(broker)
    [batch] = (await get(http, "/batches"))["items"]
    assert (batch["id"], batch["state"], batch["total"], batch["ended"]) == (
        info.id,
        "failed",
        2,
        2,
    )
    shown = await get(http, "/batch", queue="q", id=info.id)
    assert (shown["failed"], shown["failed_members"]) == (1, [f"{info.id}:0"])
    task = await get(http, "/task", queue="q", id=f"{info.id}:0")
    assert task["part_of"] == {"kind": "batch", "queue": "q", "id": info.id}


async def test_batches_are_cancelled_and_retried(
    http: httpx.AsyncClient, client: Client, broker: Broker
) -> None:
    info = await client.enqueue_batch(Batch([Task("resize", queue="q")]))
    one = {"queue": "q", "id": info.id}
    assert (await get(http, "/batch", **one))["actions"] == ["cancel"]
    await end_step(broker, "f")
    assert (await get(http, "/batch", **one))["actions"] == ["retry"]
    for action, code in (("retry", []), ("cancel", []), ("cancel", ["conflict"])):
        response = await http.post(f"{API}/batches/{action}", json={"batches": [one]})
        assert codes(response.json()) == code
    shown = await get(http, "/batch", **one)
    assert (shown["state"], shown["actions"]) == ("cancelled", [])


async def test_a_step_that_is_a_flow_has_its_id(http: httpx.AsyncClient, client: Client) -> None:
    inner = Flow("import", queue="low")
    inner.add(Task("fetch", queue="low"))
    outer = Flow("nightly", queue="q", id="7")
    outer.add(inner)
    outer.gate("approval")
    await client.enqueue_flow(outer)
    found = await get(http, "/flow", queue="q", id="7")
    assert [it["flow_id"] for it in found["steps"]] == [inner.id, None]
