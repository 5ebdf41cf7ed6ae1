"""The dashboard is an ASGI app that can be mounted anywhere, and describes its API."""

import re
from collections.abc import Callable

import anyio
import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pyasynq import Client, OptionError, Task
from pyasynq.broker import Broker
from pyasynq.dashboard import Dashboard
from pyasynq.dashboard.dashboard import all_routes
from pyasynq.dashboard.static_files import FOLDER
from pyasynq.operations.permissions import LEAST_ROLE
from tests.support.servers import free_port


def in_starlette(dashboard: Dashboard) -> ASGIApp:
    return Starlette(routes=[Mount("/ops/tasks", dashboard)])


def in_fastapi(dashboard: Dashboard) -> ASGIApp:
    app = FastAPI()
    app.mount("/ops/tasks", dashboard)
    return app


def client_of(app: ASGIApp) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")


@pytest.mark.parametrize("mount", [in_starlette, in_fastapi])
async def test_it_can_be_mounted_below_a_path(
    mount: Callable[[Dashboard], ASGIApp], address: str
) -> None:
    async with Client(address) as client:
        await client.enqueue(Task("t", queue="q"))
    async with Dashboard(address) as dashboard, client_of(mount(dashboard)) as http:
        page = await http.get("/ops/tasks", follow_redirects=True)
        assert (page.url.path, page.status_code) == ("/ops/tasks/", 200)
        found = (await http.get("/ops/tasks/api/v1/overview")).json()
        assert [queue["queue"] for queue in found["queues"]] == ["q"]
        assert (await http.get("/ops/tasks/static/index.html")).status_code == 200


async def test_a_path_without_its_slash_leads_to_the_page(address: str) -> None:
    async with Dashboard(address) as dashboard:

        async def below(scope: Scope, receive: Receive, send: Send) -> None:
            await dashboard({**scope, "root_path": scope["path"]}, receive, send)

        async with client_of(below) as http:
            response = await http.get("/ops")
            assert (response.status_code, response.headers["location"]) == (307, "/ops/")


@pytest.mark.parametrize("mount", [in_starlette, in_fastapi])
async def test_a_page_whose_plain_path_is_typed_is_shown(
    mount: Callable[[Dashboard], ASGIApp], address: str
) -> None:
    headers = {"Accept": "text/html,*/*;q=0.8", "Sec-Fetch-Mode": "navigate"}
    async with Dashboard(address) as dashboard, client_of(mount(dashboard)) as http:
        typed = await http.get("/ops/tasks/queue/a%20b?sort=id", headers=headers)
        assert typed.status_code == 307
        assert typed.headers["location"] == "/ops/tasks/#/queue/a%20b?sort=id"
        for path in ("/ops/tasks/api/v1/nothing", "/ops/tasks/static/nothing"):
            assert (await http.get(path, headers=headers)).status_code == 404
        program = await http.get("/ops/tasks/queue", headers={"Accept": "application/json"})
        assert (program.status_code, program.json()["code"]) == (404, "not-found")


async def test_an_open_broker_stays_open(broker: Broker) -> None:
    async with Dashboard(broker) as dashboard, client_of(dashboard) as http:
        assert (await http.get("/api/v1/queue", params={"queue": "q"})).status_code == 404
    await broker.ping()


async def test_nothing_is_opened_before_the_first_request() -> None:
    async with Dashboard(f"redis://127.0.0.1:{free_port()}") as dashboard:
        async with client_of(dashboard) as http:
            assert (await http.get("/")).status_code == 200
            away = await http.get("/api/v1/overview")
    assert (away.status_code, away.json()["code"]) == (503, "broker-unavailable")


async def test_its_own_lifespan_closes_it(address: str) -> None:
    dashboard = Dashboard(address)
    to_app, of_test = anyio.create_memory_object_stream[dict[str, str]](2)
    sent: list[str] = []

    async def send(message: Message) -> None:
        sent.append(message["type"])

    await to_app.send({"type": "lifespan.startup"})
    await to_app.send({"type": "lifespan.shutdown"})
    await dashboard({"type": "lifespan"}, of_test.receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    to_app.close()
    of_test.close()


async def test_a_websocket_is_refused(address: str) -> None:
    sent: list[str] = []

    async def send(message: Message) -> None:
        sent.append(message["type"])

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async with Dashboard(address) as dashboard:
        await dashboard({"type": "websocket", "headers": []}, receive, send)
    assert sent == ["websocket.close"]


@pytest.mark.parametrize("source", ["https://a.example; script-src *", "*\n", "'unsafe-inline'"])
def test_a_source_that_would_change_the_policy_is_refused(source: str) -> None:
    with pytest.raises(OptionError, match="frame_ancestors"):
        Dashboard("redis://127.0.0.1", frame_ancestors=[source])


def test_a_broker_that_cannot_be_used_is_refused() -> None:
    with pytest.raises(OptionError):
        Dashboard("ftp://127.0.0.1")


# -- files -----------------------------------------------------------------------------------------


async def test_files_are_compressed_and_sent_once(http: httpx.AsyncClient) -> None:
    first = await http.get("/", headers={"Accept-Encoding": "gzip"})
    assert first.headers["content-encoding"] == "gzip"
    assert first.content == await anyio.Path(FOLDER / "index.html").read_bytes()
    again = await http.get("/", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    plain = await http.get("/", headers={"Accept-Encoding": "identity"})
    assert ("content-encoding" in plain.headers, plain.content) == (False, first.content)


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "gzip"),
        ("br;q=1.0, GZIP;q=0.2", "gzip"),
        ("*", "gzip"),
        ("gzip;q=1.000, *;q=0", "gzip"),
        ("identity;q=0.5, *;q=0.8", "gzip"),
        ("", ""),
        ("br", ""),
        ("notgzip", ""),
        ("gzip;q=0", ""),
        ("gzip; q=0.000, *", ""),
        ("*;q=0", ""),
        ("identity, gzip;q=0.5", ""),
        ("gzip;q=much", ""),
        ("gzip;q=2", ""),
    ],
)
async def test_files_are_compressed_for_those_who_want_that(
    http: httpx.AsyncClient, accepted: str, encoding: str
) -> None:
    response = await http.get("/", headers={"Accept-Encoding": accepted})
    assert response.headers.get("content-encoding", "") == encoding
    assert response.content == await anyio.Path(FOLDER / "index.html").read_bytes()


@pytest.mark.parametrize("form", ["W/{}", '"other", {}'])
async def test_files_are_sent_once_also_behind_proxies(http: httpx.AsyncClient, form: str) -> None:
    tag = (await http.get("/static/app.js")).headers["etag"]
    again = await http.get("/static/app.js", headers={"If-None-Match": form.format(tag)})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "name", [f"{'x' * 300}.js", f"{'x/' * 3000}x.js", "a%00.js", "%2e%2e/a.py"]
)
async def test_a_name_that_no_file_has_is_not_found(http: httpx.AsyncClient, name: str) -> None:
    assert (await http.get(f"/static/{name}")).status_code == 404


# -- OpenAPI ---------------------------------------------------------------------------------------


async def test_every_route_of_the_api_is_described(http: httpx.AsyncClient) -> None:
    document = (await http.get("/api/v1/openapi.json")).json()
    described = {
        (path, method.upper()): operation
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    routes = [it for it in all_routes() if it.path.startswith("/api/v1")]
    served = [it for it in routes if it.name != "showOpenapi"]
    assert described.keys() == {(it.path.removeprefix("/api/v1"), it.method) for it in served}
    permissions = {it["operationId"]: it["x-permission"] for it in described.values()}
    assert permissions == {it.name: it.permission.value for it in served}
    assert all(("requestBody" in it) == (where[1] == "POST") for where, it in described.items())


async def test_every_reference_of_the_document_leads_somewhere(http: httpx.AsyncClient) -> None:
    response = await http.get("/api/v1/openapi.json")
    names = set(re.findall(r'"#/components/schemas/(\w+)"', response.text))
    assert names
    assert names <= response.json()["components"]["schemas"].keys()


def test_every_permission_has_a_least_role_and_a_route() -> None:
    used = {route.permission for route in all_routes()}
    assert used == set(LEAST_ROLE)
