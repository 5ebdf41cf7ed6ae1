"""Endpoints get the app and its client, and enqueue after the response."""

import logging
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI, HTTPException, WebSocket

from pyasynq import App, Client, OptionError, PyasynqError, Task
from pyasynq.integrations.fastapi import AfterResponse, get_app, get_client, lifespan
from tests.support.web import serving

ClientDep = Annotated[Client, Depends(get_client)]
LaterDep = Annotated[AfterResponse, Depends()]


async def nothing(*_: object) -> Any:  # noqa: ANN401 - a message
    """Stand for the functions of a connection that nobody uses."""


def scope_with(app: App) -> dict[str, Any]:
    """Return what a server tells about a websocket."""
    return {"type": "websocket", "path": "/", "headers": [], "state": {"pyasynq": app}}


def called(web: FastAPI) -> httpx.AsyncClient:
    """Return a client that calls *web* without a server."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(web), base_url="http://shop")


async def types_in(app: App) -> list[str]:
    """Return the types of the tasks that wait in the queue ``default``."""
    async with app.inspector() as inspector:
        return sorted(info.type for info in await inspector.list_tasks("default", "pending"))


async def test_the_client_is_a_dependency_of_endpoints(app: App) -> None:
    web = FastAPI(lifespan=lifespan(app))

    @web.post("/")
    async def post(client: ClientDep) -> str:
        return (await client.enqueue(Task("posted"))).type

    async with serving(web) as client:
        assert (await client.post("/")).json() == "posted"


async def test_a_websocket_has_the_client_too(app: App) -> None:
    async with app:
        assert get_client(WebSocket(scope_with(app), nothing, nothing)) is app.client


async def test_a_test_may_put_another_app_in_the_place_of_the_dependency(app: App) -> None:
    web = FastAPI(lifespan=lifespan(app))
    other = App("sqlite://")

    @web.get("/")
    def get(found: Annotated[App, Depends(get_app)]) -> bool:
        return found is other

    web.dependency_overrides[get_app] = lambda: other
    async with serving(web) as client:
        assert (await client.get("/")).json() is True


async def test_without_the_lifespan_the_dependency_says_what_is_missing() -> None:
    web = FastAPI()

    @web.get("/")
    async def get(client: ClientDep) -> None: ...

    with pytest.raises(PyasynqError, match=r"make it with lifespan=lifespan\(app\)"):
        await called(web).get("/")


async def test_a_test_may_call_the_application_without_a_server(app: App) -> None:
    web = FastAPI(lifespan=lifespan(app))

    @web.get("/")
    async def get(found: Annotated[App, Depends(get_app)]) -> bool:
        return found is app

    async with web.router.lifespan_context(web), called(web) as client:
        assert (await client.get("/")).json() is True


@pytest.fixture
def web(app: App) -> FastAPI:
    """Return an application that enqueues after its responses."""
    web = FastAPI(lifespan=lifespan(app))

    @web.post("/async/{count}")
    async def in_loop(count: int, later: LaterDep) -> list[str]:
        for number in range(count):
            later.add(Task(f"t{number}"))
        return await types_in(app)

    @web.post("/plain")
    def in_thread(later: LaterDep) -> None:
        later.add(Task("plain", headers={"a": "1"}), task_id="7", headers={"b": "2"})

    @web.post("/failing")
    async def failing(later: LaterDep) -> None:
        later.add(Task("failing"))
        raise HTTPException(409)

    @web.get("/types")
    async def types() -> list[str]:
        return await types_in(app)

    return web


async def test_tasks_are_enqueued_after_the_response(web: FastAPI) -> None:
    async with serving(web) as client:
        await client.post("/plain")  # the queue is known from now on
        assert (await client.post("/async/2")).json() == ["plain"]
        assert (await client.get("/types")).json() == ["plain", "t0", "t1"]


async def test_options_and_headers_reach_the_task(app: App, web: FastAPI) -> None:
    @web.get("/headers")
    async def headers() -> dict[str, str]:
        async with app.inspector() as inspector:
            return dict((await inspector.task_info("default", "7")).headers)

    async with serving(web) as client:
        await client.post("/plain")
        assert (await client.get("/headers")).json() == {"a": "1", "b": "2"}


async def test_an_endpoint_that_fails_enqueues_nothing(web: FastAPI) -> None:
    async with serving(web) as client:
        await client.post("/plain")
        assert (await client.post("/failing")).status_code == 409
        assert (await client.get("/types")).json() == ["plain"]


async def test_a_task_that_exists_is_no_error(
    web: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pyasynq.integrations")
    async with serving(web) as client:
        await client.post("/plain")
        assert (await client.post("/plain")).status_code == 200
    (record,) = [it for it in caplog.records if it.name == "pyasynq.integrations"]
    assert record.levelname == "INFO"
    assert record.getMessage().startswith(
        "plain is not enqueued after the response: task ID conflicts"
    )


async def test_a_lost_task_is_an_error_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    app = App("redis://127.0.0.1:1")
    web = FastAPI(lifespan=lifespan(app))

    @web.post("/")
    async def post(later: LaterDep) -> str:
        later.add(Task("lost"))
        return "accepted"

    async with serving(web) as client:
        assert (await client.post("/")).json() == "accepted"
    (record,) = [it for it in caplog.records if it.name == "pyasynq.integrations"]
    assert record.levelname == "ERROR"
    assert record.getMessage().startswith("lost is lost after the response: ")


async def test_a_mistake_is_raised_in_the_endpoint() -> None:
    web = FastAPI(lifespan=lifespan(App("sqlite://")))

    @web.post("/")
    async def post(later: LaterDep) -> None:
        later.add(Task("t"), max_retry=-1)

    async with web.router.lifespan_context(web), called(web) as client:
        with pytest.raises(OptionError, match="max_retry"):
            await client.post("/")
