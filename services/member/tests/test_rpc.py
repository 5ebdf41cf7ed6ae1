"""The gRPC server, without a queue behind it."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from datetime import timedelta
from typing import Any, TypeAlias, cast

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from member import store
from member.errors import DistributeError
from member.health import Health
from member.mailer import Mailer
from member.metrics import Metrics
from member.parts import start
from member.rpc.server import GrpcServer
from member.service import MemberService
from member.store.database import Database
from member.v1 import member_pb2 as pb
from member.v1.member_pb2_grpc import MemberServiceStub
from services.member.tests.doubles import FakeClock, MailFolder, TaskList, token_of

ALICE = pb.CreateMemberRequest(
    membername="alice",
    full_name="Alice Liddell",
    email="Alice@example.com",
    password="curiouser and curiouser",
)


# Other tests cover the differences between databases.
pytestmark = pytest.mark.parametrize("db_source", ["sqlite"], indirect=True)


@pytest.fixture
def stop() -> asyncio.Event:
    """The event that stops the server."""
    return asyncio.Event()


@pytest.fixture
async def channel(service: MemberService, stop: asyncio.Event) -> AsyncGenerator[aio.Channel]:
    server = GrpcServer(
        service, "127.0.0.1:0", health=Health(), metrics=Metrics(), grace=timedelta(seconds=5)
    )
    async with asyncio.TaskGroup() as group:
        async with aio.insecure_channel(await start(group, server, stop)) as opened:
            yield opened
        stop.set()


@pytest.fixture
def stub(channel: aio.Channel) -> MemberServiceStub:
    return MemberServiceStub(channel)


async def refusal(call: aio.UnaryUnaryCall[Any, Any]) -> aio.AioRpcError:
    with pytest.raises(aio.AioRpcError) as caught:
        await call
    return caught.value


def details_of(error: aio.AioRpcError) -> status_pb2.Status:
    metadata = dict(error.trailing_metadata() or ())
    details = metadata["grpc-status-details-bin"]
    assert isinstance(details, bytes)
    return status_pb2.Status.FromString(details)


async def test_a_new_member_is_answered_without_password(stub: MemberServiceStub) -> None:
    member = (await stub.CreateMember(ALICE)).member
    assert (member.membername, member.full_name) == ("alice", "Alice Liddell")
    assert (member.email, member.email_verified) == ("alice@example.com", False)
    assert member.created_at.seconds == 1767225600


async def test_all_violations_arrive_together(stub: MemberServiceStub) -> None:
    error = await refusal(stub.CreateMember(pb.CreateMemberRequest()))
    bad = error_details_pb2.BadRequest()
    assert details_of(error).details[0].Unpack(bad)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert [v.field for v in bad.field_violations] == [
        "membername",
        "full_name",
        "email",
        "password",
    ]


async def test_the_message_says_the_reasons_in_words(stub: MemberServiceStub) -> None:
    request = pb.CreateMemberRequest(membername="a", full_name="A", email="a@b.de", password="x")
    error = await refusal(stub.CreateMember(request))
    assert error.details() == (
        "membername: must be 3 to 32 characters of a-z, 0-9 and _; "
        "password: must be 8 to 128 characters"
    )


async def test_bytes_that_are_no_message_are_the_callers_fault(channel: aio.Channel) -> None:
    raw = cast("Any", channel).unary_unary("/member.v1.MemberService/CreateMember")
    error = await refusal(raw(b"\xff\xff\xff"))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details() == "the request is no valid message"


async def test_a_duplicate_names_its_field_and_shows_no_sql(stub: MemberServiceStub) -> None:
    await stub.CreateMember(ALICE)
    second = pb.CreateMemberRequest()
    second.CopyFrom(ALICE)
    second.membername = "alice2"
    error = await refusal(stub.CreateMember(second))
    info = error_details_pb2.ErrorInfo()
    assert details_of(error).details[0].Unpack(info)
    assert error.code() is grpc.StatusCode.ALREADY_EXISTS
    assert error.details() == "a member with this email already exists"
    assert info.metadata["field"] == "email"


async def test_a_queue_that_is_away_is_reported_in_the_words_of_the_lesson(
    stub: MemberServiceStub, tasks: TaskList
) -> None:
    tasks.error = DistributeError("send verify email", "Redis is away")
    error = await refusal(stub.CreateMember(ALICE))
    assert error.code() is grpc.StatusCode.INTERNAL
    assert error.details() == "failed to distribute task to send verify email: Redis is away"


async def test_an_unexpected_error_is_not_shown(stub: MemberServiceStub, tasks: TaskList) -> None:
    tasks.error = RuntimeError("SELECT password FROM secrets")
    error = await refusal(stub.CreateMember(ALICE))
    assert (error.code(), error.details()) == (grpc.StatusCode.INTERNAL, "internal error")


async def test_a_token_verifies_over_grpc(
    stub: MemberServiceStub, mailer: Mailer, outbox: MailFolder
) -> None:
    await stub.CreateMember(ALICE)
    await mailer.send_verify_email("alice")
    request = pb.VerifyEmailRequest(token=token_of(outbox.mails[0]))
    first, second = await stub.VerifyEmail(request), await stub.VerifyEmail(request)
    assert first.member.email_verified
    assert (first.already_verified, second.already_verified) == (False, True)


async def test_an_unknown_token_is_not_found(stub: MemberServiceStub) -> None:
    error = await refusal(stub.VerifyEmail(pb.VerifyEmailRequest(token="nonsense")))
    assert error.code() is grpc.StatusCode.NOT_FOUND


async def test_a_request_that_is_too_big_is_refused(stub: MemberServiceStub) -> None:
    error = await refusal(stub.CreateMember(pb.CreateMemberRequest(full_name="x" * 100_000)))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_deadline_is_honoured(stub: MemberServiceStub, tasks: TaskList) -> None:
    tasks.gate.clear()
    error = await refusal(stub.CreateMember(ALICE, timeout=1))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await tasks.canceled.wait()


async def test_a_server_that_stops_answers_what_it_has_begun(
    stub: MemberServiceStub, tasks: TaskList, stop: asyncio.Event
) -> None:
    tasks.gate.clear()
    call = stub.CreateMember(ALICE)
    await tasks.reached.wait()
    stop.set()
    tasks.gate.set()
    assert (await call).member.membername == "alice"


async def test_the_service_says_that_it_is_healthy(channel: aio.Channel) -> None:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_reflection_lists_the_services(channel: aio.Channel) -> None:
    ask = reflection_pb2.ServerReflectionRequest(list_services="")
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(cast("Any", channel))
    answer = await anext(aiter(stub.ServerReflectionInfo(iter([ask]))))
    names = {service.name for service in answer.list_services_response.service}
    assert {"member.v1.MemberService", "grpc.health.v1.Health"} <= names


NEW_PASSWORD = "through the looking-glass"
CREDENTIALS = pb.LoginMemberRequest(membername=ALICE.membername, password=ALICE.password)
BOB = pb.CreateMemberRequest(
    membername="bob", full_name="Bob", email="bob@example.com", password=ALICE.password
)


@pytest.fixture
async def alice(stub: MemberServiceStub) -> pb.Session:
    """A session of Alice."""
    await stub.CreateMember(ALICE)
    return (await stub.LoginMember(CREDENTIALS)).session


@pytest.fixture
async def admin(stub: MemberServiceStub, db: Database) -> pb.Session:
    """A session of Bob, who is an administrator."""
    await stub.CreateMember(BOB)
    async with db.writing() as session:
        assert await store.members.set_role(session, "bob", "admin")
    request = pb.LoginMemberRequest(membername="bob", password=BOB.password)
    return (await stub.LoginMember(request)).session


def bearer(session: pb.Session) -> aio.Metadata:
    return aio.Metadata(("authorization", f"Bearer {session.access_token}"))


Ask: TypeAlias = Callable[[MemberServiceStub, str, aio.Metadata], aio.UnaryUnaryCall[Any, Any]]

PROTECTED: dict[str, Ask] = {
    "get": lambda stub, name, shown: stub.GetMember(
        pb.GetMemberRequest(membername=name), metadata=shown
    ),
    "update": lambda stub, name, shown: stub.UpdateMember(
        pb.UpdateMemberRequest(membername=name, full_name="Mallory"), metadata=shown
    ),
    "change password": lambda stub, name, shown: stub.ChangePassword(
        pb.ChangePasswordRequest(
            membername=name, current_password=ALICE.password, new_password=NEW_PASSWORD
        ),
        metadata=shown,
    ),
    "delete": lambda stub, name, shown: stub.DeleteMember(
        pb.DeleteMemberRequest(membername=name), metadata=shown
    ),
    "list": lambda stub, _, shown: stub.ListMembers(pb.ListMembersRequest(), metadata=shown),
}
protected = pytest.mark.parametrize("ask", PROTECTED.values(), ids=PROTECTED.keys())


async def test_a_log_in_answers_with_a_session_and_whose_it_is(stub: MemberServiceStub) -> None:
    await stub.CreateMember(ALICE)
    answer = await stub.LoginMember(CREDENTIALS)
    assert (answer.member.membername, answer.member.role) == ("alice", pb.ROLE_MEMBER)
    assert answer.session.access_token_expires_at.seconds == 1767225600 + 15 * 60
    assert answer.session.refresh_token_expires_at.seconds == 1767225600 + 24 * 3600


async def test_a_wrong_log_in_does_not_say_what_is_wrong(stub: MemberServiceStub) -> None:
    await stub.CreateMember(ALICE)
    errors = [
        await refusal(stub.LoginMember(pb.LoginMemberRequest(membername=name, password="wrong")))
        for name in ("alice", "nobody")
    ]
    assert {error.code() for error in errors} == {grpc.StatusCode.UNAUTHENTICATED}
    assert {error.details() for error in errors} == {"the member name or the password is wrong"}


async def test_a_request_id_answers_again(stub: MemberServiceStub, tasks: TaskList) -> None:
    named = pb.CreateMemberRequest(request_id="9b2d6f0e")
    named.MergeFrom(ALICE)
    assert await stub.CreateMember(named) == await stub.CreateMember(named)
    assert len(tasks.tasks) == 1


async def test_a_member_lives_from_log_in_to_delete(
    stub: MemberServiceStub, alice: pb.Session
) -> None:
    shown = bearer(alice)
    member = (await PROTECTED["get"](stub, "alice", shown)).member
    assert (member.full_name, member.email) == ("Alice Liddell", "alice@example.com")
    assert (await PROTECTED["update"](stub, "alice", shown)).member.full_name == "Mallory"
    request = pb.RenewAccessTokenRequest(refresh_token=alice.refresh_token)
    renewed = (await stub.RenewAccessToken(request)).session
    await PROTECTED["change password"](stub, "alice", bearer(renewed))
    await stub.LogoutMember(pb.LogoutMemberRequest(refresh_token=renewed.refresh_token))
    gone = await refusal(PROTECTED["get"](stub, "alice", bearer(renewed)))
    assert gone.code() is grpc.StatusCode.UNAUTHENTICATED
    again = pb.LoginMemberRequest(membername="alice", password=NEW_PASSWORD)
    await PROTECTED["delete"](stub, "alice", bearer((await stub.LoginMember(again)).session))
    error = await refusal(stub.LoginMember(again))
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_field_that_is_set_to_nothing_is_not_one_that_is_not_set(
    stub: MemberServiceStub, alice: pb.Session
) -> None:
    empty = pb.UpdateMemberRequest(membername="alice", full_name="")
    error = await refusal(stub.UpdateMember(empty, metadata=bearer(alice)))
    assert error.details() == "full_name: must be 1 to 100 characters"
    nothing = pb.UpdateMemberRequest(membername="alice")
    assert (await stub.UpdateMember(nothing, metadata=bearer(alice))).member.email


async def test_another_address_waits_until_it_is_verified(
    stub: MemberServiceStub, alice: pb.Session
) -> None:
    change = pb.UpdateMemberRequest(membername="alice", email="new@example.com")
    error = await refusal(stub.UpdateMember(change, metadata=bearer(alice)))
    assert error.details() == "current_password: is required"
    change.current_password = ALICE.password
    member = (await stub.UpdateMember(change, metadata=bearer(alice))).member
    assert (member.email, member.pending_email) == ("alice@example.com", "new@example.com")


async def test_an_administrator_lists_members_page_by_page(
    stub: MemberServiceStub, alice: pb.Session, admin: pb.Session
) -> None:
    first = await stub.ListMembers(pb.ListMembersRequest(page_size=1), metadata=bearer(admin))
    request = pb.ListMembersRequest(page_size=1, page_token=first.next_page_token)
    second = await stub.ListMembers(request, metadata=bearer(admin))
    assert [m.membername for m in (*first.members, *second.members)] == ["alice", "bob"]
    assert [m.role for m in (*first.members, *second.members)] == [pb.ROLE_MEMBER, pb.ROLE_ADMIN]
    assert second.next_page_token == ""


async def test_an_administrator_learns_that_a_member_does_not_exist(
    stub: MemberServiceStub, admin: pb.Session
) -> None:
    error = await refusal(PROTECTED["get"](stub, "nobody", bearer(admin)))
    assert error.code() is grpc.StatusCode.NOT_FOUND


@protected
@pytest.mark.parametrize(
    "shown",
    ["", "Bearer", "Bearer ", "Bearer nonsense", "Basic YWxpY2U6eA==", "nonsense"],
)
async def test_a_caller_that_proves_nothing_is_unauthenticated(
    stub: MemberServiceStub, alice: pb.Session, ask: Ask, shown: str
) -> None:
    error = await refusal(ask(stub, "alice", aio.Metadata(("authorization", shown))))
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    assert error.details() == "a valid access token is needed"


@protected
async def test_a_caller_without_a_token_is_unauthenticated(
    stub: MemberServiceStub, alice: pb.Session, ask: Ask
) -> None:
    error = await refusal(ask(stub, "alice", aio.Metadata()))
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED


@protected
async def test_another_member_learns_nothing_about_who_is_there(
    stub: MemberServiceStub, alice: pb.Session, admin: pb.Session, ask: Ask
) -> None:
    errors = [await refusal(ask(stub, name, bearer(alice))) for name in ("bob", "nobody", "?")]
    assert {error.code() for error in errors} == {grpc.StatusCode.PERMISSION_DENIED}
    assert {error.details() for error in errors} == {"you may not do this"}


async def test_a_spent_refresh_token_is_unauthenticated(
    stub: MemberServiceStub, alice: pb.Session, clock: FakeClock
) -> None:
    request = pb.RenewAccessTokenRequest(refresh_token=alice.refresh_token)
    await stub.RenewAccessToken(request)
    clock.turn(timedelta(minutes=1))
    error = await refusal(stub.RenewAccessToken(request))
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    assert error.details() == "the refresh token is not valid; log in again"


async def test_a_resend_answers_alike(
    stub: MemberServiceStub, tasks: TaskList, clock: FakeClock
) -> None:
    await stub.CreateMember(ALICE)
    clock.turn(timedelta(minutes=5))
    answers = await asyncio.gather(
        *(
            stub.ResendVerifyEmail(pb.ResendVerifyEmailRequest(email=email))
            for email in ("ALICE@example.com", "nobody@example.com")
        )
    )
    assert answers[0] == answers[1]
    assert len(tasks.tasks) == 2
