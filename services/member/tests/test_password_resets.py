"""A member who forgot the password sets a new one by a link in a mail, once and in time."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

import httpx
import pytest
from grpc import aio
from sqlalchemy import select
from structlog.testing import capture_logs

import pyasynq
from member.callers import Caller
from member.errors import (
    AccessTokenError,
    DistributeError,
    InvalidInputError,
    LimitedError,
    LinkExpiredError,
    LinkLockedError,
    LinkReplacedError,
    LinkUnknownError,
    LinkUsedError,
    MailPointlessError,
    WrongPasswordError,
)
from member.limits import Limits
from member.limits.memory import MemoryLimiter
from member.limits.rate import Rate
from member.mailer import Delivery, Mailer
from member.members import Changes
from member.metrics import Metrics
from member.service import Dependencies, MemberService, member_service
from member.service.housekeeping import Housekeeping
from member.store.database import Database
from member.store.tables import PasswordResetRow
from member.tokens import TOKEN_CHARACTERS, TokenMint
from member.v1 import member_pb2 as pb
from member.v1.member_pb2_grpc import MemberServiceStub
from member.worker.processor import RedisTaskProcessor
from member.worker.tasks import (
    QUEUE_CRITICAL,
    TASK_SEND_NOTICE,
    TASK_SEND_PASSWORD_RESET,
    PayloadError,
    PayloadSendNotice,
    PayloadSendPasswordReset,
)
from services.member.tests.doubles import (
    ALICE,
    ANYBODY,
    NO_RATES,
    RULES,
    FakeClock,
    MailFolder,
    TaskList,
    link_of,
    log_in_as,
    text_of,
    token_of,
)
from services.member.tests.scenes import Scenes, Stage, verified_alice
from services.member.tests.transports import grpc_channel
from tests.support.servers import RedisServer
from tests.support.waiting import wait_until
from tests.support.web import http_client

pytestmark = pytest.mark.usefixtures("at_once")

NEW_PASSWORD = "through the looking-glass"
WITH_NEW_PASSWORD = replace(ALICE, password=NEW_PASSWORD)


@pytest.fixture
async def alice(scenes: Scenes) -> Caller:
    """Alice, whose address is verified."""
    return await scenes.play(verified_alice)


@pytest.fixture
async def token(scenes: Scenes, alice: Caller) -> str:
    """The token in the mail to Alice."""
    return await scenes.play(_token)


async def _token(stage: Stage) -> str:
    return await asked_for(stage.service, stage.mailer, stage.outbox)


async def asked_for(service: MemberService, mailer: Mailer, outbox: MailFolder) -> str:
    await service.password_resets.request(ANYBODY, ALICE.email)
    await mailer.send_password_reset("alice")
    return token_of(outbox.mails[-1])


async def reset(service: MemberService, token: str, caller: Caller = ANYBODY) -> None:
    await service.password_resets.reset(caller, token, NEW_PASSWORD)


async def test_a_new_password_logs_in_and_the_old_one_does_not(
    service: MemberService, token: str
) -> None:
    await reset(service, token)
    assert await log_in_as(service, WITH_NEW_PASSWORD)
    with pytest.raises(WrongPasswordError):
        await log_in_as(service, ALICE)


async def test_a_new_password_ends_all_sessions(
    service: MemberService, alice: Caller, token: str
) -> None:
    await reset(service, token)
    with pytest.raises(AccessTokenError):
        await service.members.get(alice, "alice")


async def test_a_new_password_sends_a_notice_to_the_address(
    service: MemberService, token: str, mailer: Mailer, outbox: MailFolder, tasks: TaskList
) -> None:
    await reset(service, token)
    (notice,) = tasks.notices
    await mailer.send_notice(notice.notice_id)
    assert outbox.mails[-1]["To"].addresses[0].addr_spec == ALICE.email
    assert outbox.mails[-1]["Subject"] == "Your password was changed"


async def test_a_new_password_takes_a_change_of_the_address_back(
    service: MemberService, alice: Caller, mailer: Mailer, outbox: MailFolder
) -> None:
    thief = Changes(email="thief@example.com", current_password=ALICE.password)
    await service.members.update(alice, "alice", thief)
    await mailer.send_verify_email("alice")
    thiefs_token = token_of(outbox.mails[-1])
    await reset(service, await asked_for(service, mailer, outbox))
    assert outbox.mails[-1]["To"].addresses[0].addr_spec == ALICE.email
    with pytest.raises(LinkReplacedError):
        await service.verifications.verify(ANYBODY, thiefs_token)


async def test_the_mail_has_a_link_to_the_page_and_says_for_whom(
    token: str, outbox: MailFolder
) -> None:
    mail = outbox.mails[-1]
    assert link_of(mail) == f"http://members.example.com/reset-password?token={token}"
    assert "alice" in text_of(mail)
    assert mail["Message-ID"].startswith("<reset.")


async def test_a_link_works_once(service: MemberService, token: str) -> None:
    await reset(service, token)
    with pytest.raises(LinkUsedError):
        await reset(service, token)


async def test_a_link_works_for_a_short_time(
    service: MemberService, token: str, clock: FakeClock
) -> None:
    clock.turn(timedelta(minutes=15))
    with pytest.raises(LinkExpiredError):
        await reset(service, token)


async def test_a_new_mail_makes_the_link_of_the_old_one_void(
    service: MemberService, token: str, mailer: Mailer, outbox: MailFolder
) -> None:
    second = await asked_for(service, mailer, outbox)
    with pytest.raises(LinkReplacedError):
        await reset(service, token)
    await reset(service, second)


async def test_a_void_link_says_so_for_a_month(
    service: MemberService,
    token: str,
    mailer: Mailer,
    outbox: MailFolder,
    clock: FakeClock,
) -> None:
    housekeeping = Housekeeping(
        database=mailer.database, unverified_lifetime=timedelta(days=7), clock=clock
    )
    await asked_for(service, mailer, outbox)
    clock.turn(timedelta(days=30))
    await housekeeping.purge()
    with pytest.raises(LinkReplacedError):
        await reset(service, token)
    clock.turn(timedelta(microseconds=1))
    await housekeeping.purge()
    assert await is_unknown(service, token)


async def test_of_uses_at_the_same_time_one_sets_the_password(
    service: MemberService, token: str
) -> None:
    uses = (
        service.password_resets.reset(ANYBODY, token, f"{NEW_PASSWORD} {number}")
        for number in range(4)
    )
    outcomes = await asyncio.gather(*uses, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes if outcome is not None] == [LinkUsedError] * 3
    (winner,) = [number for number, outcome in enumerate(outcomes) if outcome is None]
    assert await log_in_as(service, replace(ALICE, password=f"{NEW_PASSWORD} {winner}"))


async def test_a_link_is_locked_after_too_many_wrong_tokens(
    service: MemberService, token: str
) -> None:
    wrong = token[:-8] + "AAAAAAAA"
    tried = [await is_unknown(service, wrong) for _ in range(RULES.max_wrong)]
    assert all(tried)
    with pytest.raises(LinkLockedError):
        await reset(service, token)


async def is_unknown(service: MemberService, token: str) -> bool:
    with pytest.raises(LinkUnknownError):
        await reset(service, token)
    return True


@pytest.mark.parametrize("token", ["", "A" * TOKEN_CHARACTERS, "é" * TOKEN_CHARACTERS, "\ud800"])
async def test_a_token_that_was_never_sent_sets_no_password(
    service: MemberService, token: str
) -> None:
    assert await is_unknown(service, token)


async def test_a_link_that_verifies_sets_no_password(
    service: MemberService, mailer: Mailer, outbox: MailFolder
) -> None:
    await service.sign_up.create_member(ANYBODY, ALICE)
    await mailer.send_verify_email("alice")
    assert await is_unknown(service, token_of(outbox.mails[-1]))


async def test_only_the_hash_of_a_token_is_stored(token: str, db: Database) -> None:
    async with db.reading() as session:
        row = (await session.scalars(select(PasswordResetRow))).one()
        assert row.token_hash == sha256(token.encode()).digest()
        assert token != TokenMint(b"key").token(row.id, row.email)


@pytest.mark.parametrize("password", ["short", "Password2026!", "alice2026!"])
async def test_an_unfit_password_is_refused_and_the_link_stays_good(
    service: MemberService, token: str, password: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        await service.password_resets.reset(ANYBODY, token, password)
    assert [violation.field for violation in caught.value.violations] == ["new_password"]
    await reset(service, token)


async def test_an_address_that_nobody_verified_gets_no_mail(
    service: MemberService, mailer: Mailer, tasks: TaskList
) -> None:
    await service.sign_up.create_member(ANYBODY, ALICE)
    await service.password_resets.request(ANYBODY, ALICE.email)
    assert tasks.resets == []
    with pytest.raises(MailPointlessError):
        await mailer.send_password_reset("alice")


async def test_an_address_that_waits_gets_no_mail(
    service: MemberService, alice: Caller, tasks: TaskList
) -> None:
    change = Changes(email="new@example.com", current_password=ALICE.password)
    await service.members.update(alice, "alice", change)
    await service.password_resets.request(ANYBODY, "new@example.com")
    assert tasks.resets == []


async def test_another_address_makes_a_link_to_the_old_one_void(
    service: MemberService, alice: Caller, mailer: Mailer, outbox: MailFolder
) -> None:
    change = Changes(email="new@example.com", current_password=ALICE.password)
    await service.members.update(alice, "alice", change)
    await mailer.send_verify_email("alice")
    verifies = token_of(outbox.mails[-1])
    resets = await asked_for(service, mailer, outbox)
    await service.verifications.verify(ANYBODY, verifies)
    with pytest.raises(LinkReplacedError):
        await reset(service, resets)


async def test_a_changed_password_makes_a_link_void(
    service: MemberService, alice: Caller, token: str
) -> None:
    change = {"current": ALICE.password, "new": NEW_PASSWORD}
    await service.members.change_password(alice, "alice", **change)
    with pytest.raises(LinkReplacedError):
        await reset(service, token)


async def test_a_mail_that_cannot_be_queued_tells_nothing(
    service: MemberService, alice: Caller, tasks: TaskList
) -> None:
    tasks.error = DistributeError("send password reset", "Redis is away")
    with capture_logs() as lines:
        await service.password_resets.request(ANYBODY, ALICE.email)
    assert "a mail for a new password was not queued" in [line["event"] for line in lines]


async def test_a_task_that_is_done_again_sends_the_same_mail(
    service: MemberService, alice: Caller, mailer: Mailer, outbox: MailFolder
) -> None:
    await service.password_resets.request(ANYBODY, ALICE.email)
    outbox.error = MailPointlessError("member alice", "the worker dies")
    with pytest.raises(MailPointlessError):
        await mailer.send_password_reset("alice")
    async with mailer.database.reading() as session:
        first = (await session.scalars(select(PasswordResetRow))).one().id
    outbox.error = None
    assert await mailer.send_password_reset("alice") is Delivery.SENT
    assert first.hex in outbox.mails[-1]["Message-ID"]
    assert await mailer.send_password_reset("alice") is Delivery.SENT_BEFORE


async def test_a_member_who_is_gone_gets_no_mail(mailer: Mailer) -> None:
    with pytest.raises(MailPointlessError):
        await mailer.send_password_reset("nobody")


@pytest.fixture
def limited(dependencies: Dependencies) -> MemberService:
    """The service on the same database, with low limits."""
    few = Rate(burst=2, per=timedelta(hours=1))
    rates = replace(NO_RATES, verify_email=few, resend=few, guess=few)
    return member_service(replace(dependencies, limits=Limits(MemoryLimiter(), rates)), RULES)


async def test_the_number_of_mails_to_one_address_is_limited(
    limited: MemberService, alice: Caller
) -> None:
    callers = [Caller(address=f"192.0.2.{number}") for number in range(3)]
    await limited.password_resets.request(callers[0], ALICE.email)
    await limited.password_resets.request(callers[1], "ALICE@example.com")
    with pytest.raises(LimitedError):
        await limited.password_resets.request(callers[2], ALICE.email)


async def test_the_number_of_tried_links_is_limited(limited: MemberService, token: str) -> None:
    await is_unknown(limited, "x")
    await is_unknown(limited, "x")
    with pytest.raises(LimitedError):
        await reset(limited, token)


async def test_where_a_password_was_set_strangers_lock_nobody_out(
    limited: MemberService, token: str
) -> None:
    home = Caller(address="192.0.2.77")
    tries = [Caller(address=f"198.51.100.{number}") for number in range(2)]
    wrong = [await is_wrong(limited, caller) for caller in tries]
    assert all(wrong)
    await reset(limited, token, home)
    assert await limited.sessions.log_in(home, "alice", NEW_PASSWORD)


async def is_wrong(service: MemberService, caller: Caller) -> bool:
    with pytest.raises(WrongPasswordError):
        await service.sessions.log_in(caller, "alice", "wrong")
    return True


async def test_no_secret_is_in_the_record(service: MemberService, token: str) -> None:
    with capture_logs() as lines:
        await reset(service, token)
    (record,) = [line for line in lines if line["event"] == "ResetPassword"]
    assert (record["member"], record["sessions_ended"]) == ("alice", 1)
    printed = repr(record)
    assert [text for text in (token, NEW_PASSWORD, ALICE.email) if text in printed] == []


@pytest.fixture
async def page(site: str, token: str) -> AsyncGenerator[httpx.AsyncClient]:
    """A client that has opened the link in the mail."""
    english = {"Accept": "text/html", "Accept-Language": "en"}
    async with http_client(base_url=site, params={"token": token}, headers=english) as client:
        yield client


async def test_opening_the_link_changes_nothing_and_asks_for_a_password(
    page: httpx.AsyncClient,
) -> None:
    opened = [await page.get("/reset-password"), await page.get("/reset-password")]
    assert [answer.status_code for answer in opened] == [200, 200]
    assert '<form method="post">' in opened[1].text
    assert 'type="password" autocomplete="new-password"' in opened[1].text
    assert "script" not in opened[1].text
    assert "form-action 'self'" in opened[1].headers["Content-Security-Policy"]


async def test_the_form_sets_the_password_and_leads_to_an_address_without_token(
    page: httpx.AsyncClient, service: MemberService
) -> None:
    posted = await page.post("/reset-password", data={"new_password": NEW_PASSWORD})
    assert (posted.status_code, posted.headers["Location"]) == (303, "reset-password/done")
    done = await page.get("/reset-password/done")
    assert "Your password is changed" in done.text
    assert await log_in_as(service, WITH_NEW_PASSWORD)


async def test_no_browser_cuts_a_password_that_is_too_long(page: httpx.AsyncClient) -> None:
    again = await page.post("/reset-password", data={"new_password": NEW_PASSWORD * 9})
    assert again.status_code == 422
    assert "maxlength" not in again.text  # it would cut pasted text without a warning


@pytest.mark.parametrize(
    ("language", "title"), [("en", "This password cannot be used"), ("zh-TW", "無法使用這個密碼")]
)
@pytest.mark.parametrize("body", ["new_password=password1", "", "\u00ff", "a=1&" * 20])
async def test_the_form_asks_again_for_a_password_that_is_unfit(
    page: httpx.AsyncClient, body: str, language: str, title: str
) -> None:
    again = await page.post(
        "/reset-password", content=body.encode(), headers={"Accept-Language": language}
    )
    assert again.status_code == 422
    assert title in again.text
    assert '<form method="post">' in again.text


async def test_a_used_link_is_gone(page: httpx.AsyncClient) -> None:
    await page.post("/reset-password", data={"new_password": NEW_PASSWORD})
    again = await page.get("/reset-password")
    assert again.status_code == 410
    assert "This link was used before" in again.text


async def test_a_password_is_set_over_rest(
    site: str, token: str, service: MemberService, tasks: TaskList
) -> None:
    async with http_client(base_url=f"{site}/v1") as rest:
        asked = [
            await rest.post("/members:requestPasswordReset", json={"email": email})
            for email in ("nobody@example.com", "bob@example.com")
        ]
        change = {"token": token, "new_password": NEW_PASSWORD}
        changed = await rest.post("/members:resetPassword", json=change)
        again = await rest.post("/members:resetPassword", json=change)
    assert [(answer.status_code, answer.content) for answer in asked] == [(202, b"")] * 2
    assert (changed.status_code, again.status_code) == (204, 410)
    assert again.json()["code"] == "FAILED_PRECONDITION"
    assert len(tasks.resets) == 1


async def test_a_password_is_set_over_grpc(
    token: str, service: MemberService, tasks: TaskList
) -> None:
    async with grpc_channel(service) as channel:
        stub = MemberServiceStub(channel)
        await stub.RequestPasswordReset(pb.RequestPasswordResetRequest(email="nobody@example.com"))
        change = pb.ResetPasswordRequest(token=token, new_password=NEW_PASSWORD)
        await stub.ResetPassword(change)
        with pytest.raises(aio.AioRpcError, match="used before"):
            await stub.ResetPassword(change)
    assert len(tasks.resets) == 1
    assert await log_in_as(service, WITH_NEW_PASSWORD)


async def is_sent(outbox: MailFolder, subjects: set[str]) -> bool:
    return subjects <= {mail["Subject"] for mail in outbox.mails}


@pytest.mark.parametrize("db_source", ["sqlite"], indirect=True)
async def test_a_worker_sends_the_mails(
    redis: RedisServer,
    service: MemberService,
    token: str,
    mailer: Mailer,
    outbox: MailFolder,
    tasks: TaskList,
) -> None:
    await reset(service, token)
    await service.password_resets.request(ANYBODY, ALICE.email)
    link, notice = tasks.resets[-1].to_json(), tasks.notices[-1].to_json()
    outbox.mails.clear()
    async with pyasynq.Client(redis.url) as client:
        await client.enqueue(pyasynq.Task(TASK_SEND_PASSWORD_RESET, link, queue=QUEUE_CRITICAL))
        await client.enqueue(pyasynq.Task(TASK_SEND_NOTICE, notice, queue=QUEUE_CRITICAL))
        server = pyasynq.Server(redis.url, queues={QUEUE_CRITICAL: 1})
        housekeeping = Housekeeping(database=mailer.database, unverified_lifetime=timedelta(days=7))
        async with RedisTaskProcessor(server, mailer, housekeeping, Metrics()).running():
            sent = {"Set a new password", "Your password was changed"}
            await wait_until(lambda: is_sent(outbox, sent))


@pytest.mark.parametrize("kind", [PayloadSendPasswordReset, PayloadSendNotice])
def test_a_malformed_payload_is_reported(
    kind: type[PayloadSendPasswordReset] | type[PayloadSendNotice],
) -> None:
    with pytest.raises(PayloadError):
        kind.from_json(b'{"membername": "A B", "notice_id": "7"}')
