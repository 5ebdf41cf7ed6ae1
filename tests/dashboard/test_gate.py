"""Nobody gets past the gate: the attacks that a dashboard has to expect."""

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.requests import Request

from pyasynq.broker import Broker
from pyasynq.dashboard import Dashboard, Permission, Principal, Role
from pyasynq.dashboard.dashboard import all_routes
from pyasynq.dashboard.gate import MAX_BODY, MAX_DISCARDED
from pyasynq.dashboard.routes import Nothing, Route, check_routes
from pyasynq.operations.permissions import LEAST_ROLE
from tests.dashboard.conftest import Connect
from tests.support.factories import a_pending, enqueue
from tests.support.web import serving

ON = ("sqlite",)
"""Requests that the gate refuses reach no broker."""

CHANGING = [route for route in all_routes() if route.changes]
READING = [route for route in all_routes() if not route.changes]
every_change = pytest.mark.parametrize("route", CHANGING, ids=lambda route: route.name)
every_read = pytest.mark.parametrize("route", READING, ids=lambda route: route.name)


def path_of(route: Route) -> str:
    return route.path.replace("{file:path}", "index.html")


def grant(role: Role, *more: str) -> object:
    return lambda _request: Principal(name="ann", role=role, more=frozenset(more))


async def code_of(http: httpx.AsyncClient, route: Route, **more: object) -> tuple[int, str]:
    """Return status and code of the answer to an empty request."""
    body = {"json": {}} if route.changes else {}
    response = await http.request(route.method, path_of(route), **{**body, **more})  # type: ignore[arg-type]
    assert response.headers["content-type"] == "application/problem+json"
    return response.status_code, response.json()["code"]


# -- permissions -----------------------------------------------------------------------------------


def test_there_are_routes_of_both_kinds() -> None:
    assert len(CHANGING) > 10
    assert len(READING) > 15


@every_change
async def test_a_change_asks_for_its_permission(route: Route, connect: Connect) -> None:
    roles = list(Role)
    below = roles[: roles.index(LEAST_ROLE[route.permission])]
    assert below
    http = connect(authorize=grant(below[-1]))
    assert await code_of(http, route) == (403, "forbidden")


@every_change
async def test_a_principal_with_the_permission_is_let_in(route: Route, connect: Connect) -> None:
    http = connect(authorize=grant(LEAST_ROLE[route.permission]))
    assert await code_of(http, route) == (400, "invalid")  # the body is empty


@every_change
async def test_a_permission_may_be_given_beyond_the_role(route: Route, connect: Connect) -> None:
    http = connect(authorize=grant(Role.VIEWER, route.permission.value))
    assert await code_of(http, route) == (400, "invalid")


@every_change
async def test_read_only_means_read_only(route: Route, connect: Connect) -> None:
    http = connect(read_only=True)
    assert await code_of(http, route) == (403, "read-only")


@every_change
async def test_a_change_is_no_get(route: Route, connect: Connect) -> None:
    response = await connect().get(path_of(route))
    assert (response.status_code, response.json()["code"]) == (405, "method-not-allowed")


@pytest.mark.parametrize("route", all_routes(), ids=lambda route: route.name)
async def test_every_route_asks_for_a_login(route: Route, connect: Connect) -> None:
    http = connect(authorize=lambda _request: None)
    assert await code_of(http, route) == (401, "login-required")


@pytest.mark.parametrize("route", all_routes(), ids=lambda route: route.name)
async def test_without_a_login_other_machines_are_refused(route: Route, connect: Connect) -> None:
    assert await code_of(connect(peer="10.0.0.7"), route) == (403, "forbidden")


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "X-Real-IP"])
async def test_without_a_login_a_proxy_is_no_client_on_this_machine(
    header: str, http: httpx.AsyncClient
) -> None:
    response = await http.get("/api/v1/me", headers={header: "127.0.0.1"})
    assert response.status_code == 403


async def test_authorize_may_be_async(connect: Connect) -> None:
    async def authorize(request: Request) -> Principal:
        return Principal(name=request.headers["x-name"], role=Role.OPERATOR)

    http = connect(authorize=authorize)
    user = (await http.get("/api/v1/me", headers={"X-Name": "bob"})).json()
    assert (user["name"], user["role"]) == ("bob", "operator")
    assert "queue.delete" not in user["actions"]
    assert "task.run" in user["actions"]


@pytest.mark.parametrize(
    ("method", "permission"), [("GET", Permission.TASK_RUN), ("POST", Permission.READ)]
)
def test_a_route_whose_permission_does_not_fit_does_not_start(
    method: str, permission: Permission
) -> None:
    route = Route(
        name="x",
        method=method,  # type: ignore[arg-type]
        path="/x",
        permission=permission,
        input=Nothing,
        handler=lambda _call, _given: None,  # type: ignore[arg-type,return-value]
        summary="",
    )
    with pytest.raises(ValueError, match="route x may not be"):
        check_routes([route])


def test_two_routes_with_the_same_path_do_not_start() -> None:
    with pytest.raises(ValueError, match="two routes have the same name"):
        check_routes([READING[0], READING[0]])


# -- pages of other sites --------------------------------------------------------------------------

FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    {"Origin": "https://evil.example"},
    {"Origin": "http://localhost:9999"},
    {"Origin": "null"},
]


@every_change
async def test_a_page_of_another_site_changes_nothing(route: Route, connect: Connect) -> None:
    http = connect()
    assert await code_of(http, route, headers=FOREIGN[0]) == (403, "cross-site")


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_a_browser_says_that_a_request_comes_from_another_site(
    headers: dict[str, str], connect: Connect
) -> None:
    assert await code_of(connect(), CHANGING[0], headers=headers) == (403, "cross-site")


@every_read
async def test_a_page_of_another_site_reads_nothing(route: Route, connect: Connect) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert await code_of(connect(), route, headers=headers) == (403, "cross-site")


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://localhost:8080"},
        {},  # a program
    ],
    ids=str,
)
async def test_the_own_page_and_programs_may_change_something(
    headers: dict[str, str], http: httpx.AsyncClient, broker: Broker
) -> None:
    await enqueue(broker, a_pending("1"))
    response = await http.post("/api/v1/queues/pause", json={"queues": ["q"]}, headers=headers)
    assert response.json() == {"done": 1, "refused": []}


@pytest.mark.parametrize("site", ["none", "cross-site"])
async def test_a_link_to_the_page_may_be_followed(site: str, http: httpx.AsyncClient) -> None:
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}
    assert (await http.get("/", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""],
)
async def test_what_a_form_can_send_is_refused(type: str, http: httpx.AsyncClient) -> None:
    headers = {"Content-Type": type}
    response = await http.post(path_of(CHANGING[0]), content=b"{}", headers=headers)
    assert (response.status_code, response.json()["code"]) == (415, "not-json")


# -- DNS rebinding ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8080", "", "a b"]
)
@pytest.mark.parametrize("path", ["/", "/api/v1/me", "/nothing"])
async def test_a_foreign_name_is_refused(host: str, path: str, http: httpx.AsyncClient) -> None:
    response = await http.get(path, headers={"Host": host})
    assert (response.status_code, response.json()["code"]) == (421, "host-not-allowed")


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:8080", "192.168.1.7"]
)
async def test_this_machine_and_addresses_are_no_foreign_names(
    host: str, http: httpx.AsyncClient
) -> None:
    assert (await http.get("/api/v1/me", headers={"Host": host})).status_code == 200


async def test_hosts_can_be_named(connect: Connect) -> None:
    http = connect(hosts=["Tasks.example"])
    statuses = [
        (await http.get("/api/v1/me", headers={"Host": host})).status_code
        for host in ("tasks.example:443", "localhost")
    ]
    assert statuses == [200, 421]


async def test_with_a_login_every_name_is_accepted(connect: Connect) -> None:
    http = connect(authorize=grant(Role.VIEWER))
    assert (await http.get("/api/v1/me", headers={"Host": "a.example"})).status_code == 200


# -- large and broken bodies -----------------------------------------------------------------------


@every_change
async def test_a_body_that_is_too_large_is_refused(route: Route, connect: Connect) -> None:
    headers = {"Content-Type": "application/json"}
    body = b" " * (10 * MAX_BODY)
    response = await connect().post(path_of(route), content=body, headers=headers)
    assert (response.status_code, response.json()["code"]) == (413, "too-large")


async def test_a_body_that_does_not_say_its_length_is_read_up_to_the_limit(
    http: httpx.AsyncClient,
) -> None:
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += MAX_BODY // 8
            yield b" " * (MAX_BODY // 8)

    headers = {"Content-Type": "application/json"}
    response = await http.post("/api/v1/queues/pause", content=body(), headers=headers)
    assert (response.status_code, response.json()["code"]) == (413, "too-large")
    assert sent <= MAX_DISCARDED + MAX_BODY


async def test_a_client_that_sends_too_much_reads_why(address: str) -> None:
    headers = {"Content-Type": "application/json"}
    async with Dashboard(address, hosts=["shop"], authorize=grant(Role.ADMIN)) as dashboard:  # type: ignore[arg-type]
        async with serving(dashboard) as http:
            body = b" " * (10 * MAX_BODY)
            response = await http.post("/api/v1/queues/pause", content=body, headers=headers)
    assert (response.status_code, response.json()["code"]) == (413, "too-large")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"queues": "q"}',
        b'{"queues": []}',
        b'{"queues": ["q"], "x": 1}',
        b'{"queues": ["\xff"]}',
        b"[" * 100_000,
    ],
)
async def test_a_broken_body_is_refused(body: bytes, http: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/json"}
    response = await http.post("/api/v1/queues/pause", content=body, headers=headers)
    assert (response.status_code, response.json()["code"]) == (400, "invalid")


async def test_a_parameter_that_is_not_there_is_refused(http: httpx.AsyncClient) -> None:
    response = await http.get("/api/v1/tasks", params={"limt": "3"})
    assert (response.status_code, response.json()["field"]) == (400, "limt")


# -- files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "../gate.py",
        "..%2fgate.py",
        "%2e%2e/gate.py",
        "..%5cgate.py",
        "%00",
        "index.html%00.js",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "....//gate.py",
        "",
        ".",
    ],
)
async def test_only_files_of_the_page_are_served(name: str, http: httpx.AsyncClient) -> None:
    url = httpx.URL("http://localhost:8080", raw_path=f"/static/{name}".encode())
    response = await http.get(url)
    assert response.status_code == 404
    assert "gate" not in response.text


# -- headers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/api/v1/me", "/nothing", "/api/v1/task"])
async def test_every_answer_forbids_what_the_page_does_not_need(
    path: str, http: httpx.AsyncClient
) -> None:
    headers = (await http.get(path)).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in headers


async def test_pages_that_may_embed_the_dashboard_are_named(connect: Connect) -> None:
    http = connect(frame_ancestors=["'self'", "https://ops.example"])
    policy = (await http.get("/")).headers["content-security-policy"]
    assert policy.endswith("frame-ancestors 'self' https://ops.example")


async def test_answers_of_the_api_are_not_stored(http: httpx.AsyncClient) -> None:
    assert (await http.get("/api/v1/me")).headers["cache-control"] == "no-store"


async def test_a_fault_says_nothing_about_the_inside(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: object) -> None:
        msg = "a secret"
        raise ZeroDivisionError(msg)

    monkeypatch.setattr("pyasynq.inspector.Inspector.servers", fail)
    response = await http.get("/api/v1/servers")
    assert (response.status_code, response.json()["code"]) == (500, "internal")
    assert "secret" not in response.text
    assert "a secret" in caplog.text
