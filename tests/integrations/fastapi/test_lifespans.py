"""An app is open while a web application runs, together with what the application opens itself."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI, Request
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from pyasynq import App, PyasynqError
from pyasynq.integrations.fastapi import get_app, lifespan
from pyasynq.integrations.fastapi.lifespans import Lifespan
from tests.support.web import serving


def opening(events: list[str]) -> Lifespan[Starlette]:
    """Return a lifespan that notes in *events* when it begins and ends, and shares a name."""

    @asynccontextmanager
    async def own(web: Starlette) -> AsyncGenerator[dict[str, str]]:
        events.append("opened")
        yield {"name": "shop"}
        events.append("closed")

    return own


async def test_endpoints_enqueue_while_the_lifespan_runs(app: App) -> None:
    @app.task("add")
    async def add(a: int) -> None: ...

    web = FastAPI(lifespan=lifespan(app))

    @web.post("/{a}")
    async def post(a: int) -> str:
        return (await add.enqueue(a)).type

    async with serving(web) as client:
        assert (await client.post("/1")).json() == "add"
    with pytest.raises(PyasynqError, match="no open client"):
        await add.enqueue(1)


async def test_an_application_keeps_its_own_lifespan_and_state(app: App) -> None:
    events: list[str] = []

    async def name(request: Request) -> JSONResponse:
        return JSONResponse([request.state.name, get_app(request) is app])

    web = Starlette(routes=[Route("/", name)], lifespan=lifespan(app, opening(events)))
    async with serving(web) as client:
        assert (await client.get("/")).json() == ["shop", True]
        assert events == ["opened"]
    assert events == ["opened", "closed"]


async def test_the_own_lifespan_runs_while_the_client_is_open(app: App) -> None:
    pinged: list[bool] = []

    @asynccontextmanager
    async def own(web: FastAPI) -> AsyncGenerator[None]:
        await app.client.ping()
        yield
        await app.client.ping()
        pinged.append(True)

    async with serving(FastAPI(lifespan=lifespan(app, own))):
        assert pinged == []
    assert pinged == [True]


async def test_a_mounted_application_finds_the_app(app: App) -> None:
    inner = FastAPI()

    @inner.get("/")
    async def is_there(request: Request) -> bool:
        return get_app(request) is app

    web = Starlette(routes=[Mount("/inner", inner)], lifespan=lifespan(app))
    async with serving(web) as client:
        assert (await client.get("/inner/")).json() is True


async def test_a_worker_in_the_application_runs_tasks_and_enqueues_periodic_ones(app: App) -> None:
    added, beaten = asyncio.Event(), asyncio.Event()

    @app.task("add")
    async def add() -> None:
        added.set()

    @app.periodic("@every 1s")
    @app.task("beat")
    async def beat() -> None:
        beaten.set()

    web = FastAPI(lifespan=lifespan(app, worker={"concurrency": 2}))
    async with serving(web):
        await add.enqueue()
        await added.wait()
        await beaten.wait()


async def test_without_being_asked_for_no_worker_runs(app: App) -> None:
    web = FastAPI(lifespan=lifespan(app))

    @web.get("/servers")
    async def servers() -> int:
        async with app.inspector() as inspector:
            return len(await inspector.servers())

    async with serving(web) as client:
        assert (await client.get("/servers")).json() == 0


async def test_a_failing_start_closes_what_is_open(app: App) -> None:
    events: list[str] = []

    @asynccontextmanager
    async def own(web: FastAPI) -> AsyncGenerator[None]:
        await app.client.ping()
        events.append("opened")
        raise RuntimeError("no database")
        yield

    web = FastAPI(lifespan=lifespan(app, own))
    with pytest.raises(RuntimeError, match="no database"):
        async with web.router.lifespan_context(web):
            pass
    assert events == ["opened"]
    with pytest.raises(PyasynqError, match="no open client"):
        await app.client.ping()


async def test_a_worker_ends_with_the_application_once_its_tasks_have_ended(app: App) -> None:
    ended: list[str] = []

    @app.task("slow")
    async def slow() -> None:
        begun.set()
        await leaving.wait()
        ended.append("slow")

    begun, leaving = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def own(web: FastAPI) -> AsyncGenerator[None]:
        yield
        ended.append("own")

    web = FastAPI(lifespan=lifespan(app, own, worker=True))

    @web.post("/")
    async def post() -> None:
        await slow.enqueue()
        await begun.wait()
        asyncio.get_running_loop().call_later(0.1, leaving.set)

    async with serving(web) as client:
        await client.post("/")
    assert ended == ["slow", "own"]


async def never_yields(web: FastAPI) -> None: ...


async def not_decorated(web: FastAPI) -> AsyncGenerator[None]:
    yield


@pytest.mark.parametrize("own", [never_yields, not_decorated, "text"])
def test_what_is_no_lifespan_is_refused_when_it_is_given(own: Lifespan[FastAPI]) -> None:
    with pytest.raises(TypeError, match="@asynccontextmanager above it"):
        lifespan(App("sqlite://"), own)
