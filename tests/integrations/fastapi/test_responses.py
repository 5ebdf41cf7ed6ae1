"""A response waits for the result of a task, or says where to ask again."""

import asyncio
import json
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any, TypeAlias

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.routing import Route

from pyasynq import App, BrokerUnavailableError, OptionError, SkipRetry, TypedTask
from pyasynq.integrations.fastapi import ResultEvents, ResultResponse, lifespan
from tests.support.waiting import wait_until
from tests.support.web import serving

HOUR = timedelta(hours=1)
LONG = timedelta(seconds=60)
Report: TypeAlias = TypedTask[[str], dict[str, str] | None]
SHORT = timedelta(milliseconds=1)


@pytest.fixture
def app(app_of_each: App) -> App:
    """Return an app on each broker."""
    return app_of_each


@pytest.fixture
def report(app: App) -> Report:
    """Return a task whose results clients wait for."""

    @app.task("report", retention=HOUR)
    async def report(month: str) -> dict[str, str] | None:
        if month == "bad":
            raise SkipRetry("no such month")
        return {"month": month} if month != "none" else None

    return report


@pytest.fixture
def web(app: App, report: Report) -> FastAPI:
    """Return an application that makes reports, and lets clients wait for them."""
    web = FastAPI(lifespan=lifespan(app, worker=True))

    @web.post("/reports/{month}")
    async def make(month: str) -> ResultResponse:
        return ResultResponse(report, await report.enqueue(month), timeout=LONG, later="/")

    @web.post("/delayed")
    async def delayed(request: Request) -> ResultResponse:
        info = await report.options(process_in=HOUR).enqueue("2026-05")
        later = request.url_for("again", report_id=info.id)
        return ResultResponse(report, info, timeout=SHORT, later=later)

    @web.get("/reports/{report_id}", name="again")
    def again(report_id: str, request: Request) -> ResultResponse:
        return ResultResponse(report, report_id, timeout=SHORT, later=request.url)

    @web.get("/events/{report_id}")
    def events(report_id: str) -> ResultEvents:
        return ResultEvents(report, report_id)

    return web


@pytest.fixture
async def client(web: FastAPI) -> AsyncGenerator[httpx.AsyncClient]:
    """Yield a client of the application, which runs."""
    async with serving(web) as client:
        yield client


async def run_now(app: App, report_id: str) -> None:
    """Make a delayed task run."""
    async with app.inspector() as inspector:
        await inspector.run_task("default", report_id)


def events_of(text: str) -> list[tuple[str, Any]]:
    """Return the events of a stream, with their data."""
    blocks = [dict(line.split(": ", 1) for line in it.splitlines()) for it in text.split("\n\n")]
    return [(it["event"], json.loads(it["data"])) for it in blocks if it]


async def test_the_result_is_the_response_if_it_is_there_in_time(client: httpx.AsyncClient) -> None:
    response = await client.post("/reports/2026-05")
    assert (response.status_code, response.json()) == (200, {"month": "2026-05"})
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"


async def test_a_task_without_a_result_answers_null(client: httpx.AsyncClient) -> None:
    response = await client.post("/reports/none")
    assert (response.status_code, response.json()) == (200, None)


async def test_an_archived_task_is_an_error_of_the_server_without_its_text(
    client: httpx.AsyncClient,
) -> None:
    response = await client.post("/reports/bad")
    assert (response.status_code, response.json()["state"]) == (500, "archived")
    assert "month" not in response.text


async def test_a_task_that_takes_longer_has_a_place_to_ask_again(client: httpx.AsyncClient) -> None:
    response = await client.post("/delayed")
    assert (response.status_code, response.headers["retry-after"]) == (202, "1")
    assert response.json()["state"] == "scheduled"
    place = response.headers["location"]
    assert place.endswith(f"/reports/{response.json()['id']}")
    again = await client.get(place)
    assert (again.status_code, again.headers["location"]) == (202, place)


async def test_a_result_that_came_later_is_there_to_ask_for(
    app: App, client: httpx.AsyncClient
) -> None:
    response = await client.post("/delayed")
    await run_now(app, response.json()["id"])
    await app.client.result(response.json()["id"])
    again = await client.get(response.headers["location"])
    assert (again.status_code, again.json()) == (200, {"month": "2026-05"})


@pytest.mark.parametrize("report_id", ["unknown", "x" * 300, "%00", "%FF"])
async def test_an_unknown_id_is_not_found(report_id: str, client: httpx.AsyncClient) -> None:
    response = await client.get(f"/reports/{report_id}")
    assert (response.status_code, response.json()["state"]) == (404, "unknown")


async def test_the_id_of_another_task_gives_nothing_away(
    app: App, client: httpx.AsyncClient
) -> None:
    @app.task("secret", retention=HOUR)
    async def secret() -> str:
        return "secret"

    info = await secret.enqueue()
    await app.client.result(info)
    assert (await client.get(f"/reports/{info.id}")).status_code == 404
    assert events_of((await client.get(f"/events/{info.id}")).text) == [
        ("failed", {"id": info.id, "state": "unknown"})
    ]


async def test_a_call_whose_result_is_not_kept_is_refused(app: App) -> None:
    @app.task("kept by nobody")
    async def task() -> int:
        return 1

    async with app:
        info = await task.enqueue()
    with pytest.raises(OptionError, match="result of 'kept by nobody' is kept"):
        ResultResponse(task, info, timeout=LONG, later="/")
    with pytest.raises(OptionError, match="retention"):
        ResultEvents(task, info)


def test_a_timeout_that_is_no_timedelta_is_refused_where_it_is_written(report: Report) -> None:
    with pytest.raises(OptionError, match="timeout must be a timedelta"):
        ResultResponse(report, "1", timeout=5, later="/")  # type: ignore[arg-type]


async def test_events_tell_the_states_and_then_the_result(
    app: App, report: Report, client: httpx.AsyncClient
) -> None:
    info = await report.options(process_in=HOUR).enqueue("2026-05")
    async with client.stream("GET", f"/events/{info.id}") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        chunks = response.aiter_text()
        first = await anext(chunks)
        await run_now(app, info.id)
        rest = "".join([chunk async for chunk in chunks])
    assert events_of(first) == [("state", {"id": info.id, "state": "scheduled", "retried": 0})]
    assert events_of(rest)[-1] == ("result", {"month": "2026-05"})


async def test_events_end_with_a_failure_that_is_final(
    report: Report, client: httpx.AsyncClient
) -> None:
    info = await report.enqueue("bad")
    response = await client.get(f"/events/{info.id}")
    assert events_of(response.text)[-1] == ("failed", {"id": info.id, "state": "archived"})


async def test_a_browser_that_connects_again_after_the_end_is_told_to_stop(
    report: Report, client: httpx.AsyncClient
) -> None:
    info = await report.enqueue("2026-05")
    assert "\nid: end\n" in (await client.get(f"/events/{info.id}")).text
    again = await client.get(f"/events/{info.id}", headers={"Last-Event-ID": "end"})
    assert (again.status_code, again.text) == (204, "")


async def test_events_end_quietly_if_the_broker_does_not_answer(
    app: App,
    report: Report,
    client: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    info = await report.options(process_in=HOUR).enqueue("2026-05")

    async def fail(*_arguments: object) -> None:
        raise BrokerUnavailableError("it is away")

    with monkeypatch.context() as patch:
        patch.setattr(type(app.client.broker.inspection), "task", fail)
        response = await client.get(f"/events/{info.id}")
    assert (response.status_code, response.text) == (200, "")
    assert f"events of task {info.id} end" in caplog.text


async def test_a_client_that_goes_away_leaves_no_waiter(
    app: App, report: Report, client: httpx.AsyncClient
) -> None:
    info = await report.options(process_in=HOUR).enqueue("2026-05")
    before = running()
    async with client.stream("GET", f"/events/{info.id}") as response:
        await anext(response.aiter_text())
    await wait_until(lambda: running() <= before)


def running() -> set[asyncio.Task[object]]:
    """Return the asyncio tasks, but those in which an actor of the worker sleeps."""
    asleep = {"Actor._sleep", "Event.wait"}
    return {
        job
        for job in asyncio.all_tasks()
        if getattr(job.get_coro(), "__qualname__", "") not in asleep
    }


async def test_starlette_alone_will_do(app: App) -> None:
    @app.task("add", retention=HOUR)
    async def add(a: int, b: int) -> int:
        return a + b

    async def endpoint(request: StarletteRequest) -> ResultResponse:
        return ResultResponse(add, await add.enqueue(1, 2), timeout=LONG, later="/")

    web = Starlette(routes=[Route("/", endpoint)], lifespan=lifespan(app, worker=True))
    async with serving(web) as client:
        assert (await client.get("/")).json() == 3
