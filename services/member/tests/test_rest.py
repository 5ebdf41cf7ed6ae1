"""REST."""

from collections.abc import AsyncGenerator
from dataclasses import asdict
from datetime import timedelta

import httpx
import pytest
from grpc import aio
from structlog.testing import capture_logs

from member import store
from member.mailer import Mailer
from member.service import MemberService
from member.store.database import Database
from member.v1 import member_pb2 as pb
from member.v1.member_pb2_grpc import MemberServiceStub
from services.member.tests.doubles import (
    ALICE,
    BOB,
    FakeClock,
    MailFolder,
    TaskList,
    token_of,
)
from services.member.tests.scenes import Scenes, alice_in_a_session
from services.member.tests.sites import pages_of
from services.member.tests.transports import grpc_channel

# Other tests cover the differences between databases.
pytestmark = pytest.mark.parametrize("db_source", ["sqlite"], indirect=True)

SIGN_UP = asdict(ALICE)
CREDENTIALS = {"membername": ALICE.membername, "password": ALICE.password}
MEMBER = {
    "membername": "alice",
    "full_name": "Alice Liddell",
    "email": "alice@example.com",
    "email_verified": False,
    "created_at": "2026-01-01T00:00:00Z",
    "locale": "en",
    "role": "member",
    "pending_email": None,
}


@pytest.fixture
async def rest(service: MemberService) -> AsyncGenerator[httpx.AsyncClient]:
    """A client that has not logged in."""
    with pages_of(service) as app:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://members") as client:
            yield client


@pytest.fixture
async def alice(scenes: Scenes, rest: httpx.AsyncClient) -> httpx.AsyncClient:
    """A client that has logged in as Alice."""
    caller = await scenes.play(alice_in_a_session)
    rest.headers["Authorization"] = f"Bearer {caller.access_token}"
    return rest


@pytest.fixture
async def admin(alice: httpx.AsyncClient, db: Database) -> httpx.AsyncClient:
    """A client that has logged in as Alice, who is an administrator."""
    async with db.writing() as session:
        await store.members.set_role(session, "alice", "admin")
    return alice


def violations_of(response: httpx.Response) -> dict[str, str]:
    assert response.status_code == 422
    return {v["field"]: v["description"] for v in response.json()["violations"]}


async def test_a_new_member_is_answered_with_its_place(rest: httpx.AsyncClient) -> None:
    response = await rest.post("/v1/members", json=SIGN_UP)
    assert (response.status_code, response.json()) == (201, {"member": MEMBER})
    assert response.headers["Location"] == "/v1/members/alice"


async def test_all_violations_arrive_together(rest: httpx.AsyncClient) -> None:
    bad = {"membername": "a", "full_name": "", "email": "a", "password": "x"}
    response = await rest.post("/v1/members", json=bad)
    assert response.headers["Content-Type"] == "application/problem+json"
    assert list(violations_of(response)) == ["membername", "full_name", "email", "password"]


async def test_fields_that_are_missing_unknown_or_no_text_are_refused(
    rest: httpx.AsyncClient,
) -> None:
    bad = SIGN_UP | {"full_name": 5, "admin": True}
    del bad["email"]
    response = await rest.post("/v1/members", json=bad)
    assert violations_of(response) == {
        "full_name": "must be a text",
        "email": "is required",
        "admin": "is not known",
    }


async def test_a_duplicate_names_its_fields(alice: httpx.AsyncClient) -> None:
    response = await alice.post("/v1/members", json=SIGN_UP | {"membername": "alice2"})
    assert response.status_code == 409
    assert response.json() == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "detail": "a member with this email already exists",
        "code": "ALREADY_EXISTS",
        "fields": ["email"],
    }


@pytest.mark.parametrize(
    ("headers", "field"),
    [({"Idempotency-Key": "once"}, {}), ({}, {"request_id": "once"})],
    ids=["header", "field"],
)
async def test_a_sign_up_that_is_named_is_answered_again(
    rest: httpx.AsyncClient, headers: dict[str, str], field: dict[str, str], tasks: TaskList
) -> None:
    answers = [
        (await rest.post("/v1/members", json=SIGN_UP | field, headers=headers)).status_code
        for _ in range(2)
    ]
    assert (answers, len(tasks.tasks)) == ([201, 201], 1)


async def test_a_sign_up_has_one_name(rest: httpx.AsyncClient) -> None:
    response = await rest.post(
        "/v1/members", json=SIGN_UP | {"request_id": "one"}, headers={"Idempotency-Key": "two"}
    )
    assert violations_of(response) == {
        "request_id": "must be the same as the header Idempotency-Key"
    }


async def test_a_session_begins_goes_on_and_ends(alice: httpx.AsyncClient) -> None:
    begun = (await alice.post("/v1/members:login", json=CREDENTIALS)).json()
    token = {"refresh_token": begun["session"]["refresh_token"]}
    renewed = (await alice.post("/v1/members:renewAccessToken", json=token)).json()
    token = {"refresh_token": renewed["session"]["refresh_token"]}
    ended = await alice.post("/v1/members:logout", json=token)
    refused = await alice.post("/v1/members:renewAccessToken", json=token)
    assert begun["member"] == MEMBER
    assert renewed["session"]["access_token_expires_at"] == "2026-01-01T00:15:00Z"
    assert (ended.status_code, ended.content, refused.status_code) == (204, b"", 401)


async def test_a_wrong_password_says_no_more_than_that(alice: httpx.AsyncClient) -> None:
    response = await alice.post("/v1/members:login", json=CREDENTIALS | {"password": "wrong"})
    assert response.status_code == 401
    assert response.json()["detail"] == "the member name or the password is wrong"


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer é\x7f", "Basic YTpi"])
async def test_a_caller_without_a_valid_token_learns_which_is_needed(
    rest: httpx.AsyncClient, authorization: str
) -> None:
    headers = {b"Authorization": authorization.encode("latin-1")}
    response = await rest.get("/v1/members/alice", headers=headers)
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")


async def test_a_member_sees_itself(alice: httpx.AsyncClient) -> None:
    assert (await alice.get("/v1/members/alice")).json() == {"member": MEMBER}


@pytest.mark.parametrize("path", ["/v1/members/bob", "/v1/members/%00", "/v1/members"])
async def test_a_member_sees_nobody_else(alice: httpx.AsyncClient, path: str) -> None:
    assert (await alice.get(path)).status_code == 403


@pytest.mark.parametrize("name", ["nobody", "%00", "%ED%A0%80", "x" * 5000])
async def test_an_administrator_learns_that_a_member_does_not_exist(
    admin: httpx.AsyncClient, name: str
) -> None:
    assert (await admin.get(f"/v1/members/{name}")).status_code == 404


async def test_an_administrator_turns_pages(admin: httpx.AsyncClient) -> None:
    await admin.post("/v1/members", json=asdict(BOB))
    first = (await admin.get("/v1/members", params={"page_size": 1})).json()
    query = {"page_size": "1", "page_token": first["next_page_token"]}
    second = (await admin.get("/v1/members", params=query)).json()
    assert [m["membername"] for m in first["members"] + second["members"]] == ["alice", "bob"]
    assert second["next_page_token"] == ""


@pytest.mark.parametrize(
    "query", ["page_size=x", "page_size=101", "page_size=" + "9" * 5000, "page_token=%00", "x=1"]
)
async def test_an_invalid_page_of_members_is_refused(admin: httpx.AsyncClient, query: str) -> None:
    assert len(violations_of(await admin.get(f"/v1/members?{query}"))) == 1


async def test_a_member_changes_what_is_set(alice: httpx.AsyncClient) -> None:
    response = await alice.patch("/v1/members/alice", json={"full_name": "Alice", "locale": None})
    assert response.json() == {"member": MEMBER | {"full_name": "Alice"}}


async def test_another_address_waits_until_it_is_verified(alice: httpx.AsyncClient) -> None:
    change = {"email": "new@example.com"}
    refused = await alice.patch("/v1/members/alice", json=change)
    change["current_password"] = ALICE.password
    response = await alice.patch("/v1/members/alice", json=change)
    assert violations_of(refused) == {"current_password": "is required"}
    assert response.json() == {"member": MEMBER | {"pending_email": "new@example.com"}}


async def test_a_password_is_changed(alice: httpx.AsyncClient) -> None:
    change = {"current_password": ALICE.password, "new_password": "through the looking-glass"}
    changed = await alice.put("/v1/members/alice/password", json=change)
    again = await alice.put("/v1/members/alice/password", json=change)
    assert (changed.status_code, changed.content) == (204, b"")
    assert violations_of(again) == {"current_password": "is wrong"}


async def test_a_member_who_left_is_nobody(alice: httpx.AsyncClient) -> None:
    statuses = [(await alice.delete("/v1/members/alice")).status_code for _ in range(2)]
    assert statuses == [204, 401]


async def test_a_token_verifies_over_rest(
    alice: httpx.AsyncClient, mailer: Mailer, outbox: MailFolder, clock: FakeClock
) -> None:
    await mailer.send_verify_email("alice")
    token = {"token": token_of(outbox.mails[0])}
    answers = [(await alice.post("/v1/members:verifyEmail", json=token)).json() for _ in range(2)]
    assert [answer["already_verified"] for answer in answers] == [False, True]


async def test_a_token_that_expired_is_gone(
    alice: httpx.AsyncClient, mailer: Mailer, outbox: MailFolder, clock: FakeClock
) -> None:
    await mailer.send_verify_email("alice")
    clock.turn(timedelta(days=1))
    token = {"token": token_of(outbox.mails[0])}
    response = await alice.post("/v1/members:verifyEmail", json=token)
    assert (response.status_code, response.json()["code"]) == (410, "FAILED_PRECONDITION")


@pytest.mark.parametrize("email", ["alice@example.com", "nobody@example.com"])
async def test_a_resend_tells_nothing(alice: httpx.AsyncClient, email: str) -> None:
    response = await alice.post("/v1/members:resendVerifyEmail", json={"email": email})
    assert (response.status_code, response.content) == (202, b"")


# --- Invalid requests -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 422),
        (b"null", 422),
        (b"[]", 422),
        (b"\xff\xfe", 422),
        (b"[" * 60_000, 400),
        (b"9" * 60_000, 400),
        (b'{"token": "\\ud800"}', 422),
        (b'{"\\ud800": 1}', 422),
        (b'{"token": "\\u0000"}', 404),
        (b'{"token": "a", "token": "b"}', 404),
        (b'{"token": NaN}', 422),
    ],
    ids=lambda value: repr(value[:20]) if isinstance(value, bytes) else str(value),
)
async def test_a_body_that_is_no_message_is_the_callers_fault(
    rest: httpx.AsyncClient, body: bytes, status: int
) -> None:
    headers = {"Content-Type": "application/json"}
    response = await rest.post("/v1/members:verifyEmail", content=body, headers=headers)
    assert response.headers["Content-Type"] == "application/problem+json"
    assert (response.status_code, response.json()["status"]) == (status, status)


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", ";"])
async def test_a_body_that_does_not_say_it_is_json_is_not_read(
    rest: httpx.AsyncClient, kind: str
) -> None:
    response = await rest.post(
        "/v1/members:verifyEmail", content=b'{"token": "x"}', headers={"Content-Type": kind}
    )
    assert "application/json" in violations_of(response)["body"]


async def test_the_request_is_not_quoted(rest: httpx.AsyncClient) -> None:
    secret = {"membername": "alice", "password": ["secret password"]}
    response = await rest.post("/v1/members:login", json=secret)
    assert list(violations_of(response)) == ["password"]
    assert "secret password" not in response.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/nothing", 404), ("GET", "/v1/members/", 404), ("PUT", "/v1/members", 405)],
)
async def test_an_unknown_path_is_answered_with_a_problem(
    rest: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    response = await rest.request(method, path)
    assert response.headers["Content-Type"] == "application/problem+json"
    assert (response.status_code, response.json()["status"]) == (status, status)


async def test_a_wrong_method_learns_the_allowed_ones(rest: httpx.AsyncClient) -> None:
    responses = [await rest.put("/v1/members"), await rest.put("/v1/members/alice")]
    assert [r.headers["Allow"] for r in responses] == ["GET, POST", "DELETE, GET, PATCH"]


async def test_an_unexpected_error_is_logged_once_and_not_shown(
    rest: httpx.AsyncClient, tasks: TaskList
) -> None:
    tasks.error = RuntimeError("SELECT password FROM secrets")
    with capture_logs() as logged:
        response = await rest.post("/v1/members", json=SIGN_UP)
    assert response.status_code == 500
    assert response.json() == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "detail": "internal error",
        "code": "INTERNAL",
    }
    assert [line["log_level"] for line in logged] == ["error"]


# --- The same faults over gRPC and HTTP -----------------------------------------------------------


async def test_both_transports_refuse_the_same_sign_up_alike(
    rest: httpx.AsyncClient, service: MemberService
) -> None:
    bad = SIGN_UP | {"email": "alice@", "password": "12345678"}
    problem = (await rest.post("/v1/members", json=bad)).json()
    async with grpc_channel(service) as channel:
        with pytest.raises(aio.AioRpcError) as caught:
            await MemberServiceStub(channel).CreateMember(pb.CreateMemberRequest(**bad))
    assert (problem["code"], problem["detail"]) == (
        caught.value.code().name,
        caught.value.details(),
    )
