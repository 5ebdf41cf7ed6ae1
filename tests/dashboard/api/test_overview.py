"""The overview is read, and streamed to many at once."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import anyio
import httpx
import pytest
import uvicorn
from starlette.types import Message

from pyasynq import Client, Server, Task
from pyasynq.broker import Broker
from pyasynq.broker.ports import OPTIONAL
from pyasynq.dashboard import Dashboard, Permission
from pyasynq.dashboard.api import overview
from pyasynq.dashboard.api.overview import EventStream
from pyasynq.dashboard.streams import Streams
from pyasynq.operations.sampler import Sampler
from tests.dashboard.conftest import Connect
from tests.support.factories import a_pending, enqueue
from tests.support.servers import free_port
from tests.support.waiting import wait_until
from tests.support.web import http_client

EVENTS = "/api/v1/events"


@pytest.fixture
async def served(address: str) -> AsyncIterator[str]:
    """Yield the URL of a dashboard that a server serves."""
    port = free_port()
    dashboard = Dashboard(address)
    config = uvicorn.Config(dashboard, port=port, log_config=None, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    await wait_until(lambda: server.started)
    yield f"http://127.0.0.1:{port}"
    dashboard.end_streams()
    server.should_exit = True
    await serving


async def next_sample(lines: AsyncIterator[str]) -> dict[str, Any]:
    """Return the data of the next event."""
    async for line in lines:
        if line.startswith("data: "):
            return json.loads(line.removeprefix("data: "))
    raise EOFError


async def test_the_user_knows_what_it_may_do(http: httpx.AsyncClient, broker: Broker) -> None:
    user = (await http.get("/api/v1/me")).json()
    assert (user["name"], user["role"], user["actions"]) == ("local", "admin", list(Permission))
    assert user["broker"]["name"] == broker.name
    assert user["features"] == {port: broker.supports(port) for port in OPTIONAL}


async def test_who_may_only_read_sees_no_actions(connect: Connect) -> None:
    user = (await connect(read_only=True).get("/api/v1/me")).json()
    assert (user["read_only"], user["actions"]) == (True, ["read"])


async def test_the_overview_shows_queues_and_alerts(
    http: httpx.AsyncClient, broker: Broker
) -> None:
    await enqueue(broker, a_pending("1"), a_pending("2"))
    found = (await http.get("/api/v1/overview")).json()
    assert [(it["queue"], it["pending"], it["servers"]) for it in found["queues"]] == [("q", 2, 0)]
    assert found["totals"]["size"] == 2
    assert "queue-without-worker:q" in [alert["id"] for alert in found["alerts"]]
    assert found["queues"][0]["hour"] == [0] * 60


async def test_what_ran_is_shown_by_type_and_by_minute(
    http: httpx.AsyncClient, broker: Broker
) -> None:
    async def succeed(task: object) -> None: ...

    async with Client(broker) as client:
        async with Server(broker, queues={"q": 1}).running(succeed):
            await client.enqueue_many([Task("t", queue="q", retention=timedelta(hours=1))] * 3)

            async def ran() -> bool:
                found = (await http.get("/api/v1/queue", params={"queue": "q"})).json()
                return found["completed"] == 3

            await wait_until(ran)
    types = (await http.get("/api/v1/types", params={"queue": "q", "last": 600})).json()
    [one] = types["items"]
    assert sum(one["run_histogram"]) == 3
    assert len(types["run_limits"]) == len(one["run_histogram"]) - 1
    assert (one["type"], one["runs"], one["failure_rate"]) == ("t", 3, 0)
    assert one["per_s"] == pytest.approx(3 / 600)
    assert one["run_p50"] > 0
    spans = (await http.get("/api/v1/types/history", params={"type": "t"})).json()["items"]
    assert sum(span["runs"] for span in spans) == 3
    assert all(span["run_p99"] is not None for span in spans)
    totals = (await http.get("/api/v1/types/history")).json()["items"]
    assert [span["succeeded"] for span in totals] == [span["runs"] for span in spans]
    assert (await http.get("/api/v1/types/history", params={"type": "x"})).json()["items"] == []


async def test_failed_runs_are_divided_by_what_followed_them(
    http: httpx.AsyncClient, broker: Broker
) -> None:
    async def fail(task: object) -> None:
        raise ValueError

    async def archived_now() -> list[tuple[str, int]]:
        found = (await http.get("/api/v1/errors", params={"state": "archived"})).json()
        return [(group["type"], group["count"]) for group in found["items"]]

    async def ended() -> bool:
        return await archived_now() == [("t", 1)]

    async with Client(broker) as client:
        await client.enqueue(Task("t", queue="q", max_retry=2))
    async with Server(broker, queues={"q": 1}, retry_delay=lambda *_: timedelta(0)).running(fail):
        await wait_until(ended)
    [one] = (await http.get("/api/v1/types")).json()["items"]
    assert (one["runs"], one["failed"], one["retried"], one["archived"]) == (3, 3, 2, 1)


@pytest.mark.parametrize("last", ["0", "-1", "259201", "x"])
async def test_a_time_that_cannot_be_looked_back_is_refused(
    last: str, http: httpx.AsyncClient
) -> None:
    assert (await http.get("/api/v1/types", params={"last": last})).status_code == 400


async def test_samples_are_streamed(served: str, broker: Broker) -> None:
    await enqueue(broker, a_pending("1"))
    async with http_client(base_url=served) as http, http.stream("GET", EVENTS) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = response.aiter_lines()
        first, second = await next_sample(lines), await next_sample(lines)
    assert [queue["queue"] for queue in first["queues"]] == ["q"]
    assert second["at"] > first["at"]


async def test_more_streams_than_allowed_are_told_to_poll(
    served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "MOST_STREAMS", 1)
    async with http_client(base_url=served) as http, http.stream("GET", EVENTS) as response:
        await next_sample(response.aiter_lines())
        refused = await http.get(EVENTS)
        assert (refused.status_code, refused.json()["code"]) == (503, "too-many")
        assert (await http.get("/api/v1/overview")).status_code == 200

    async def has_place() -> bool:
        async with (
            http_client(base_url=served) as http,
            http.stream("GET", EVENTS) as response,
        ):
            return response.status_code == 200

    await wait_until(has_place)  # the place of one that has left is free


async def test_streams_that_come_together_are_counted(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "MOST_STREAMS", 2)
    statuses: list[int] = []

    async def receive() -> Message:
        await wait_until(lambda: len(statuses) == 5)
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        await asyncio.sleep(0)
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {
        "type": "http",
        "method": "GET",
        "path": EVENTS,
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 1),
    }
    async with Dashboard(address) as dashboard:
        await asyncio.gather(*(dashboard(dict(scope), receive, send) for _ in range(5)))
    assert sorted(statuses) == [200, 200, 503, 503, 503]


async def test_a_reader_that_takes_nothing_is_cut_off(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "SEND_S", 0.01)
    from pyasynq import Inspector

    streams = Streams(Sampler(broker, Inspector(broker)), dict)
    sent: list[str] = []

    async def receive() -> dict[str, object]:
        await anyio.sleep_forever()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message["type"])
        if len(sent) > 1:
            await anyio.sleep_forever()

    await EventStream(streams)({"type": "http", "method": "GET"}, receive, send)
    assert (sent, streams.streams) == (["http.response.start", "http.response.body"], 0)


async def test_a_stream_ends_after_some_time_so_that_its_user_passes_the_gate_again(
    served: str, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "LONGEST_S", 0.0)
    await enqueue(broker, a_pending("1"))
    async with http_client(base_url=served) as http:
        answer = await http.get(EVENTS)
    assert answer.text.count("event: sample") == 1


async def test_the_head_of_a_stream_ends(served: str) -> None:
    async with http_client(base_url=served) as http:
        assert (await http.head(EVENTS)).status_code == 200
