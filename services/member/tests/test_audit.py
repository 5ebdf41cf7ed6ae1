"""The audit trail records who did what, to whom, from where, and the outcome; and no secret."""

import asyncio
import functools
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeAlias
from urllib.parse import quote

import pytest
import structlog
from grpc import aio
from pydantic import SecretStr
from sqlalchemy import Connection, event
from structlog.testing import capture_logs

from member import audit, store
from member.administration import grant, revoke
from member.callers import Caller
from member.errors import DistributeError, MemberError, MemberUnknownError
from member.limits import Limits
from member.limits.memory import MemoryLimiter
from member.limits.rate import parse_rate
from member.service import Dependencies, MemberService, member_service
from member.service.housekeeping import Housekeeping
from member.settings import Settings
from member.store.database import Database
from member.v1 import member_pb2 as pb
from member.v1.member_pb2_grpc import MemberServiceStub
from member.web import rest
from member.web.docs import openapi
from services.member.tests.doubles import (
    ALICE,
    ANYBODY,
    BOB,
    NO_RATES,
    RULES,
    FakeClock,
    TaskList,
    log_in_as,
    token_of,
)
from services.member.tests.scenes import Scenes, Stage
from services.member.tests.transports import grpc_channel, http_site
from tests.support.web import http_client

# Other tests cover the differences between databases.
pytestmark = [
    pytest.mark.usefixtures("at_once"),
    pytest.mark.parametrize("db_source", ["sqlite"], indirect=True),
]

SERVICE = pb.DESCRIPTOR.services_by_name["MemberService"]
READS = {"GetMember", "ListMembers", "ListSessions"}
ENDINGS = {"EndSession", "EndAllSessions"}
REQUEST_ID = "a-request-of-a-test"
DAVE = replace(ALICE, membername="dave", email="dave@example.com")
NEW_PASSWORD = "a new pass/word+3"

RPCS = sorted(SERVICE.methods_by_name)
CHANGES = sorted(set(RPCS) - READS)
GUARDED = sorted({*READS, "UpdateMember", "ChangePassword", "DeleteMember", *ENDINGS})

Fields: TypeAlias = Mapping[str, Any]
Call: TypeAlias = Callable[[str, Fields, str], Awaitable[bool]]
"""Calls an RPC with fields and an access token; returns whether it succeeded."""


class Trail:
    """The written records; each says whether its transaction had ended."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.entries: list[Any] = []

    def note_commit(self, _logger: object, _method: str, entry: Any) -> Any:  # noqa: ANN401 - structlog's
        return entry | {"committed": self._db.engine.pool.checkedout() == 0}  # type: ignore[attr-defined]

    @property
    def records(self) -> list[dict[str, Any]]:
        return [entry for entry in self.entries if "outcome" in entry]

    @property
    def endings(self) -> list[tuple[str, str, str | None]]:
        return [(r["event"], r["outcome"], r.get("reason")) for r in self.records]


@pytest.fixture
def trail(db: Database) -> Generator[Trail]:
    found = Trail(db)
    processors = [structlog.contextvars.merge_contextvars, found.note_commit]
    with capture_logs(processors=processors) as found.entries:
        yield found


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Alice is an administrator, has a session, and has a link in a mail; Bob has signed up.

    Dave has verified his address, and has a link that sets a new password.
    """

    alice: Caller
    refresh_token: str
    link_token: str
    reset_token: str
    other_session_id: str

    def fields(self, rpc: str) -> Fields:
        """Return the fields of an RPC with which it succeeds."""
        return {
            "CreateMember": {
                "membername": "carol",
                "full_name": "Carol",
                "email": "carol@example.com",
                "password": ALICE.password,
            },
            "GetMember": {"membername": "bob"},
            "UpdateMember": {"membername": "alice", "full_name": "Alice", "locale": "zh-TW"},
            "ChangePassword": {
                "membername": "alice",
                "current_password": ALICE.password,
                "new_password": NEW_PASSWORD,
            },
            "DeleteMember": {"membername": "bob"},
            "ListMembers": {},
            "LoginMember": {"membername": "alice", "password": ALICE.password},
            "RenewAccessToken": {"refresh_token": self.refresh_token},
            "LogoutMember": {"refresh_token": self.refresh_token},
            "ListSessions": {"membername": "alice"},
            "EndSession": {"membername": "alice", "session_id": self.other_session_id},
            "EndAllSessions": {"membername": "alice"},
            "VerifyEmail": {"token": self.link_token},
            "ResendVerifyEmail": {"email": ALICE.email},
            "RequestPasswordReset": {"email": DAVE.email},
            "ResetPassword": {"token": self.reset_token, "new_password": NEW_PASSWORD},
        }[rpc]

    @property
    def secrets(self) -> list[str]:
        """The texts that no record may hold: secrets, and e-mail addresses."""
        return [
            *(ALICE.password, NEW_PASSWORD),
            *(self.alice.access_token, self.refresh_token, self.link_token, self.reset_token),
            *(ALICE.email, BOB.email, DAVE.email, "carol@example.com", "example.com"),
            "\x1b[2K\nforged",
        ]


@pytest.fixture
async def world(scenes: Scenes) -> World:
    return await scenes.play(_world)


async def _world(stage: Stage) -> World:
    service = stage.service
    for sign_up in (ALICE, BOB, DAVE):
        await service.sign_up.create_member(ANYBODY, sign_up)
    for membername in ("alice", "dave"):
        await stage.mailer.send_verify_email(membername)
    of_alice, of_dave = map(token_of, stage.outbox.mails)
    await service.verifications.verify(ANYBODY, of_dave)
    await stage.mailer.send_password_reset("dave")
    async with stage.db.writing() as session:
        await store.members.set_role(session, "alice", "admin")
    other = await log_in_as(service, ALICE)
    (other_session,) = await service.live_sessions.list_all(other, "alice")
    begun = await service.sessions.log_in(ANYBODY, "alice", ALICE.password)
    return World(
        alice=replace(ANYBODY, access_token=begun.tokens.access_token),
        refresh_token=begun.tokens.refresh_token,
        link_token=of_alice,
        reset_token=token_of(stage.outbox.mails[-1]),
        other_session_id=str(other_session.session.id),
    )


@asynccontextmanager
async def grpc_transport(service: MemberService) -> AsyncGenerator[Call]:
    async with grpc_channel(service) as channel:
        stub: Any = MemberServiceStub(channel)

        async def call(rpc: str, fields: Fields, access_token: str) -> bool:
            metadata = [("authorization", f"Bearer {access_token}"), ("x-request-id", REQUEST_ID)]
            try:
                await getattr(stub, rpc)(getattr(pb, f"{rpc}Request")(**fields), metadata=metadata)
            except aio.AioRpcError:
                return False
            return True

        yield call


@functools.cache
def rest_routes() -> dict[str, tuple[str, str]]:
    """Return the method and the path of each RPC over REST."""
    nobody: Any = None  # no route is called
    paths: dict[str, dict[str, Any]] = openapi(rest.router(nobody))["paths"]
    return {
        operation["operationId"]: (method, path)
        for path, operations in paths.items()
        for method, operation in operations.items()
    }


@asynccontextmanager
async def rest_transport(service: MemberService) -> AsyncGenerator[Call]:
    async with http_site(service) as site, http_client(base_url=site) as client:
        routes = rest_routes()

        async def call(rpc: str, fields: Fields, access_token: str) -> bool:
            method, path = routes[rpc]
            body = {name: value for name, value in fields.items() if f"{{{name}}}" not in path}
            headers = {"Authorization": f"Bearer {access_token}", "X-Request-Id": REQUEST_ID}
            answer = await client.request(
                method.upper(),
                path.format(**{name: quote(value, safe="") for name, value in fields.items()}),
                json=body if method in {"post", "put", "patch"} else None,
                headers=headers,
            )
            return answer.is_success

        yield call


@pytest.fixture(params=[grpc_transport, rest_transport], ids=["grpc", "rest"])
async def transport(request: pytest.FixtureRequest, service: MemberService) -> AsyncGenerator[Call]:
    async with request.param(service) as call:
        yield call


@pytest.fixture
async def over_grpc(service: MemberService) -> AsyncGenerator[Call]:
    """Calls over gRPC only, for tests that do not depend on the transport."""
    async with grpc_transport(service) as call:
        yield call


@pytest.fixture
def failing_commits(db: Database, world: World) -> Generator[None]:
    """A database that refuses every commit after a write."""

    def fail(connection: Connection) -> None:
        if not connection.get_execution_options().get("member_locks_late"):
            raise OSError

    event.listen(db.engine.sync_engine, "commit", fail)
    yield
    event.remove(db.engine.sync_engine, "commit", fail)


@pytest.mark.parametrize("rpc", CHANGES)
async def test_a_call_that_changes_something_leaves_one_record_after_the_commit(
    transport: Call, world: World, trail: Trail, rpc: str
) -> None:
    assert await transport(rpc, world.fields(rpc), world.alice.access_token)
    (record,) = trail.records
    expected = {
        "event": rpc,
        "outcome": "succeeded",
        "address": "127.0.0.1",
        "request_id": REQUEST_ID,
        "committed": True,
    }
    assert expected.items() <= record.items()
    assert "member_id" in record


@pytest.mark.parametrize("rpc", CHANGES)
@pytest.mark.usefixtures("failing_commits")
async def test_a_change_that_is_not_committed_leaves_no_record(
    over_grpc: Call, world: World, trail: Trail, rpc: str
) -> None:
    assert not await over_grpc(rpc, world.fields(rpc), world.alice.access_token)
    assert trail.records == []


@pytest.mark.parametrize("rpc", sorted(READS))
async def test_a_call_that_only_looks_leaves_no_record(
    over_grpc: Call, world: World, trail: Trail, rpc: str
) -> None:
    assert await over_grpc(rpc, world.fields(rpc), world.alice.access_token)
    assert trail.records == []


@pytest.mark.parametrize("rpc", GUARDED)
async def test_a_call_without_a_good_access_token_leaves_a_record(
    transport: Call, world: World, trail: Trail, rpc: str
) -> None:
    assert not await transport(rpc, world.fields(rpc), "none")
    assert trail.endings == [(rpc, "refused", "access_token")]
    assert "actor" not in trail.records[0]


@pytest.mark.parametrize("rpc", GUARDED)
async def test_a_call_that_is_not_permitted_leaves_a_record_of_both(
    service: MemberService, transport: Call, world: World, trail: Trail, rpc: str
) -> None:
    bob = await log_in_as(service, BOB)
    trail.entries.clear()
    fields = world.fields(rpc)
    about = {"membername": "alice"} if "membername" in fields else {}
    assert not await transport(rpc, {**fields, **about}, bob.access_token)
    assert trail.endings == [(rpc, "refused", "permission_denied")]
    assert trail.records[0]["actor"] == "bob"
    assert trail.records[0].get("member", "alice") == "alice"


async def test_a_record_names_who_acted_and_whom_it_is_about(
    service: MemberService, world: World, trail: Trail
) -> None:
    bob = await service.members.get(world.alice, "bob")
    alice = await service.members.get(world.alice, "alice")
    await service.members.delete(world.alice, "bob")
    (record,) = trail.records
    assert record["actor"] == "alice"
    assert record["actor_id"] == str(alice.id)
    assert record["member"] == "bob"
    assert record["member_id"] == str(bob.id)
    assert record["address"] == ANYBODY.address


@pytest.mark.parametrize(
    ("membername", "named"), [("alice", "alice"), ("hunter2", None), (ALICE.password, None)]
)
async def test_a_bad_log_in_is_recorded_without_what_was_typed(
    service: MemberService, world: World, trail: Trail, membername: str, named: str | None
) -> None:
    with suppress(MemberError):
        await service.sessions.log_in(ANYBODY, membername, "wrong")
    assert trail.endings == [("LoginMember", "refused", "wrong_password")]
    assert trail.records[0].get("member") == named
    assert membername == named or membername not in repr(trail.records)


async def test_a_stolen_refresh_token_is_recorded_with_its_session(
    service: MemberService, world: World, trail: Trail, clock: FakeClock
) -> None:
    await service.sessions.renew(ANYBODY, world.refresh_token)
    clock.turn(timedelta(minutes=1))
    with suppress(MemberError):
        await service.sessions.renew(ANYBODY, world.refresh_token)
    assert trail.endings == [
        ("RenewAccessToken", "succeeded", None),
        ("RenewAccessToken", "refused", "spent_refresh_token"),
    ]
    assert trail.records[0]["session_id"] == trail.records[1]["session_id"]


async def test_a_wrong_current_password_is_recorded(
    service: MemberService, world: World, trail: Trail
) -> None:
    with suppress(MemberError):
        await service.members.change_password(
            world.alice, "alice", current="wrong", new=NEW_PASSWORD
        )
    assert trail.endings == [("ChangePassword", "refused", "current_password")]


async def test_a_guessed_link_is_recorded(
    service: MemberService, world: World, trail: Trail
) -> None:
    with suppress(MemberError):
        await service.verifications.verify(ANYBODY, world.link_token[:-8] + "AAAAAAAA")
    with suppress(MemberError):
        await service.verifications.check(ANYBODY, "nonsense")
    assert trail.endings == [("VerifyEmail", "refused", "link_unknown")] * 2
    assert [record.get("member") for record in trail.records] == ["alice", None]


async def test_the_page_behind_a_link_leaves_the_record_of_the_rpc(
    site: str, world: World, trail: Trail
) -> None:
    link = f"{site}/verify-email?token={world.link_token}"
    async with http_client() as client:
        await client.get(link)
        await client.post(link)
    assert trail.endings == [("VerifyEmail", "succeeded", None)]


async def test_a_change_names_its_fields_and_not_their_values(
    service: MemberService, transport: Call, world: World, trail: Trail
) -> None:
    fields = {
        "membername": "alice",
        "full_name": "Alicia",
        "email": "new@example.com",
        "current_password": ALICE.password,
    }
    assert await transport("UpdateMember", fields, world.alice.access_token)
    (record,) = trail.records
    assert record["changed"] == ["full_name", "pending_email"]
    assert "Alicia" not in repr(record)
    assert "new@example.com" not in repr(record)


async def test_a_sign_up_that_is_answered_again_says_so(
    service: MemberService, trail: Trail
) -> None:
    await service.sign_up.create_member(ANYBODY, ALICE, "once")
    await service.sign_up.create_member(ANYBODY, ALICE, "once")
    assert trail.endings == [
        ("CreateMember", "succeeded", None),
        ("CreateMember", "succeeded", "answered_again"),
    ]


async def test_a_caller_who_is_held_up_is_recorded(
    dependencies: Dependencies, trail: Trail
) -> None:
    once = Limits(MemoryLimiter(), replace(NO_RATES, log_in=parse_rate("1/1h")))
    service = member_service(replace(dependencies, limits=once), RULES)
    for _ in range(2):
        with suppress(MemberError):
            await service.sessions.log_in(ANYBODY, "alice", "wrong")
    assert [ending[2] for ending in trail.endings] == ["wrong_password", "limited"]


async def test_a_mail_that_cannot_be_queued_again_leaves_no_record(
    service: MemberService, world: World, tasks: TaskList, trail: Trail
) -> None:
    tasks.error = DistributeError("send verify email", "Redis is away")
    await service.verifications.resend(ANYBODY, ALICE.email)
    assert trail.records == []


async def test_a_caller_who_leaves_in_the_middle_leaves_a_record(
    service: MemberService, tasks: TaskList, trail: Trail
) -> None:
    tasks.gate.clear()
    call = asyncio.create_task(service.sign_up.create_member(ANYBODY, ALICE))
    await tasks.reached.wait()
    call.cancel()
    with suppress(asyncio.CancelledError):
        await call
    assert trail.endings == [("CreateMember", "interrupted", None)]


async def test_the_command_line_leaves_records_of_the_operator(
    world: World, trail: Trail, db_source: str
) -> None:
    settings = Settings(
        environment="development", db_source=SecretStr(db_source), redis_address=SecretStr("[::]:1")
    )
    await grant(settings, "bob")
    await revoke(settings, "bob")
    with suppress(MemberUnknownError):
        await grant(settings, "no such\nmember")
    assert trail.endings == [
        ("GrantAdmin", "succeeded", None),
        ("RevokeAdmin", "succeeded", None),
        ("GrantAdmin", "refused", "member_unknown"),
    ]
    assert {record["operator"] for record in trail.records} == {audit.operator()}
    assert [record.get("member") for record in trail.records] == ["bob", "bob", None]


def askings(world: World) -> Iterator[tuple[str, Fields, str]]:
    """Yield every RPC with secrets in all fields, with secrets in all but the name, and valid.

    An RPC that wants an access token comes with none and with a good one. No call comes twice.
    """
    for rpc in RPCS:
        fields = world.fields(rpc)
        name = {field: value for field, value in fields.items() if field == "membername"}
        secret = [
            dict.fromkeys(fields, text) | kept for text in world.secrets for kept in ({}, name)
        ]
        different = {repr(asked): asked for asked in (*secret, fields)}
        for asked in different.values():
            if rpc in GUARDED:
                yield rpc, asked, "none"
            yield rpc, asked, world.alice.access_token


async def test_no_record_holds_a_secret_or_an_address_of_mail(
    transport: Call, world: World, trail: Trail
) -> None:
    for asking in askings(world):
        await transport(*asking)
    text = " ".join(str(value) for record in trail.records for value in record.values())
    assert {record["event"] for record in trail.records} == set(RPCS)
    assert [secret for secret in world.secrets if secret in text] == []


async def test_a_member_that_is_purged_leaves_a_record(
    service: MemberService, world: World, db: Database, clock: FakeClock, trail: Trail
) -> None:
    week = timedelta(days=7)
    clock.turn(week + timedelta(seconds=1))
    await Housekeeping(database=db, unverified_lifetime=week, clock=clock).purge()
    (record,) = trail.records
    assert (record["event"], record["member"], record["committed"]) == ("PurgeMember", "bob", True)
