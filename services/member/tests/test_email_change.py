"""A new address needs the password, causes a notice, and is used once it is verified."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from member import store
from member.callers import Caller
from member.errors import (
    AlreadyExistsError,
    CurrentPasswordError,
    InvalidInputError,
    LimitedError,
    LinkReplacedError,
    MailPointlessError,
    MemberError,
)
from member.limits import Limits
from member.limits.memory import MemoryLimiter
from member.limits.rate import Rate
from member.mailer import Delivery, Mailer
from member.members import Changes
from member.passwords import Passwords
from member.service import Dependencies, MemberService, member_service
from member.service.housekeeping import Housekeeping
from member.service.sessions import Sessions, Viewer
from member.store.database import Database
from member.store.tables import OUTBOX, NoticeRow
from member.worker.distributor import OutboxTaskDistributor
from member.worker.tasks import PayloadSendVerifyEmail
from services.member.tests.doubles import (
    ALICE,
    ANYBODY,
    BOB,
    NO_RATES,
    RULES,
    FakeClock,
    MailFolder,
    TaskList,
    log_in_as,
    sign_up_verified,
    text_of,
    token_of,
)
from services.member.tests.scenes import Scenes, Stage, verified_alice

NEW = "new@example.com"
NEW_EMAIL = Changes(email="New@Example.com", current_password=ALICE.password)
NEW_PASSWORD = "through the looking-glass"


@pytest.fixture
async def alice(scenes: Scenes) -> Caller:
    """Alice, whose address is verified."""
    return await scenes.play(verified_alice)


@pytest.fixture
async def bob(scenes: Scenes) -> Caller:
    return await scenes.play(verified_bob)


async def verified_bob(stage: Stage) -> Caller:
    return await sign_up_verified(stage.service, stage.mailer, stage.outbox, BOB)


async def mailed(mailer: Mailer, outbox: MailFolder, membername: str) -> str:
    """Send the verification mail of a member, and return the token in it."""
    await mailer.send_verify_email(membername)
    return token_of(outbox.mails[-1])


def recipients(outbox: MailFolder) -> list[str]:
    return [mail["To"].addresses[0].addr_spec for mail in outbox.mails]


async def test_until_another_address_is_verified_the_present_one_is_in_use(
    service: MemberService, alice: Caller, tasks: TaskList
) -> None:
    member = await service.members.update(alice, "alice", NEW_EMAIL)
    assert (member.email, member.pending_email) == (ALICE.email, NEW)
    assert member.email_verified_at
    assert len(tasks.tasks) == 2


async def test_the_link_in_the_mail_to_the_other_address_puts_it_in_place(
    service: MemberService, alice: Caller, mailer: Mailer, outbox: MailFolder
) -> None:
    await service.members.update(alice, "alice", NEW_EMAIL)
    await service.verifications.verify(ANYBODY, await mailed(mailer, outbox, "alice"))
    assert recipients(outbox)[-1] == NEW
    member = await service.members.get(alice, "alice")
    assert (member.email, member.pending_email) == (NEW, None)
    assert member.email_verified_at


@pytest.mark.parametrize(("password", "problem"), [("", "is required"), ("wrong", "is wrong")])
async def test_another_address_asks_for_the_password(
    service: MemberService, alice: Caller, tasks: TaskList, password: str, problem: str
) -> None:
    with pytest.raises(InvalidInputError, match=f"current_password: {problem}"):
        await service.members.update(alice, "alice", replace(NEW_EMAIL, current_password=password))
    assert (await service.members.get(alice, "alice")).pending_email is None
    assert (len(tasks.tasks), tasks.notices) == (1, [])


async def test_other_fields_ask_for_no_password(service: MemberService, alice: Caller) -> None:
    changes = Changes(full_name="A. L.", email=ALICE.email, locale="zh-TW")
    assert (await service.members.update(alice, "alice", changes)).full_name == "A. L."


async def test_the_present_address_gets_a_notice_without_a_link_even_after_the_change(
    service: MemberService, alice: Caller, mailer: Mailer, outbox: MailFolder, tasks: TaskList
) -> None:
    await service.members.update(alice, "alice", NEW_EMAIL)
    await service.verifications.verify(ANYBODY, await mailed(mailer, outbox, "alice"))
    (notice,) = tasks.notices
    assert await mailer.send_notice(notice.notice_id) is Delivery.SENT
    assert recipients(outbox)[-1] == ALICE.email
    text = text_of(outbox.mails[-1])
    assert "another e-mail address" in text
    assert "http" not in text
    assert NEW not in text


async def test_a_notice_is_sent_once_and_always_the_same(
    service: MemberService,
    alice: Caller,
    mailer: Mailer,
    outbox: MailFolder,
    tasks: TaskList,
    db: Database,
) -> None:
    await service.members.update(alice, "alice", NEW_EMAIL)
    (notice,) = tasks.notices
    await mailer.send_notice(notice.notice_id)
    assert await mailer.send_notice(notice.notice_id) is Delivery.SENT_BEFORE
    async with db.writing() as session:  # as if the worker had died before it recorded that
        await session.execute(update(NoticeRow).values(sent_at=None))
    assert await mailer.send_notice(notice.notice_id) is Delivery.SENT
    first, second = (mail.as_bytes() for mail in outbox.mails[-2:])
    assert first == second


async def test_an_unverified_address_gets_no_notice(
    service: MemberService, tasks: TaskList
) -> None:
    await service.sign_up.create_member(ANYBODY, BOB)
    bob = await log_in_as(service, BOB)
    await service.members.update(bob, "bob", NEW_EMAIL)
    assert tasks.notices == []


async def test_a_notice_of_a_member_who_is_gone_is_pointless(mailer: Mailer) -> None:
    with pytest.raises(MailPointlessError):
        await mailer.send_notice(UUID(int=7))


async def test_other_members_do_not_see_which_address_waits(
    service: MemberService, alice: Caller, bob: Caller, db: Database
) -> None:
    await service.members.update(alice, "alice", NEW_EMAIL)
    async with db.writing() as session:
        await store.members.set_role(session, "bob", "admin")
    page = await service.members.list_page(bob)
    seen = [await service.members.get(bob, "alice"), *page.members]
    assert {member.pending_email for member in seen} == {None}


async def test_an_address_that_another_member_verified_is_taken(
    service: MemberService, alice: Caller, bob: Caller, tasks: TaskList
) -> None:
    with pytest.raises(AlreadyExistsError) as caught:
        await service.members.update(alice, "alice", replace(NEW_EMAIL, email="BOB@example.com"))
    assert caught.value.fields == ("email",)
    assert tasks.notices == []


async def test_an_address_that_waits_is_not_reserved(
    service: MemberService, alice: Caller, mailer: Mailer, outbox: MailFolder
) -> None:
    await service.members.update(alice, "alice", NEW_EMAIL)
    token = await mailed(mailer, outbox, "alice")
    await sign_up_verified(service, mailer, outbox, replace(BOB, email=NEW))
    with pytest.raises(AlreadyExistsError):
        await service.verifications.verify(ANYBODY, token)
    member = await service.members.get(alice, "alice")
    assert member.email == ALICE.email
    assert member.email_verified_at


async def test_a_member_that_did_not_verify_its_address_loses_it(
    service: MemberService, alice: Caller, mailer: Mailer, outbox: MailFolder
) -> None:
    await service.sign_up.create_member(ANYBODY, replace(BOB, email=NEW))
    await service.members.update(alice, "alice", NEW_EMAIL)
    with capture_logs() as lines:
        await service.verifications.verify(ANYBODY, await mailed(mailer, outbox, "alice"))
    records = [(line["event"], line["member"]) for line in lines if "outcome" in line]
    assert records == [("PurgeMember", "bob"), ("VerifyEmail", "alice")]
    assert (await service.members.get(alice, "alice")).email == NEW
    with pytest.raises(MailPointlessError):
        await mailer.send_verify_email("bob")


async def test_a_member_removed_for_its_address_leaves_no_task(
    service: MemberService, alice: Caller, mailer: Mailer, outbox: MailFolder, db: Database
) -> None:
    await service.sign_up.create_member(ANYBODY, replace(BOB, email=NEW))
    async with db.writing():
        await OutboxTaskDistributor(OUTBOX, db).distribute_task_send_verify_email(
            PayloadSendVerifyEmail("bob")
        )
    await service.members.update(alice, "alice", NEW_EMAIL)
    await service.verifications.verify(ANYBODY, await mailed(mailer, outbox, "alice"))
    async with db.reading() as session:
        assert await store.outbox.waiting(session) == (0, None)


async def outcome(service: MemberService, token: str) -> type[MemberError] | None:
    try:
        await service.verifications.verify(ANYBODY, token)
    except MemberError as error:
        return type(error)
    return None


async def test_of_two_members_that_verify_one_address_at_the_same_time_one_has_it(
    service: MemberService, alice: Caller, bob: Caller, mailer: Mailer, outbox: MailFolder
) -> None:
    await service.members.update(alice, "alice", NEW_EMAIL)
    await service.members.update(bob, "bob", NEW_EMAIL)
    tokens = [await mailed(mailer, outbox, name) for name in ("alice", "bob")]
    outcomes = await asyncio.gather(*(outcome(service, token) for token in tokens))
    assert sorted(map(str, outcomes)) == sorted(map(str, [AlreadyExistsError, None]))
    members = [
        await service.members.get(alice, "alice"),
        await service.members.get(bob, "bob"),
    ]
    assert [member.email for member in members].count(NEW) == 1
    assert all(member.email_verified_at for member in members)


async def test_the_present_address_again_takes_the_change_back(
    service: MemberService, alice: Caller, mailer: Mailer, outbox: MailFolder
) -> None:
    await service.members.update(alice, "alice", NEW_EMAIL)
    token = await mailed(mailer, outbox, "alice")
    member = await service.members.update(alice, "alice", Changes(email=ALICE.email))
    assert member.pending_email is None
    with pytest.raises(LinkReplacedError):
        await service.verifications.verify(ANYBODY, token)


async def test_a_new_password_takes_the_change_back(
    service: MemberService, alice: Caller, mailer: Mailer, outbox: MailFolder
) -> None:
    await service.members.update(alice, "alice", NEW_EMAIL)
    token = await mailed(mailer, outbox, "alice")
    await service.members.change_password(alice, "alice", current=ALICE.password, new=NEW_PASSWORD)
    with pytest.raises(LinkReplacedError):
        await service.verifications.verify(ANYBODY, token)
    assert (await service.members.get(alice, "alice")).pending_email is None


async def test_a_new_password_takes_back_the_change_that_comes_at_the_same_time(
    service: MemberService, alice: Caller, passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_device, fits = await log_in_as(service, ALICE), passwords.fits

    async def fits_until_now(password: str, password_hash: str | None, address: str = "") -> bool:
        monkeypatch.setattr(passwords, "fits", fits)
        fitted = await fits(password, password_hash, address)
        await service.members.change_password(
            other_device, "alice", current=ALICE.password, new=NEW_PASSWORD
        )
        return fitted

    monkeypatch.setattr(passwords, "fits", fits_until_now)
    with pytest.raises(CurrentPasswordError):
        await service.members.update(alice, "alice", NEW_EMAIL)
    assert (await service.members.get(other_device, "alice")).pending_email is None


async def test_an_address_that_was_the_present_one_just_now_asks_for_the_password(
    service: MemberService,
    alice: Caller,
    mailer: Mailer,
    outbox: MailFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await service.members.update(alice, "alice", NEW_EMAIL)
    token, viewer = await mailed(mailer, outbox, "alice"), Sessions.viewer

    async def viewer_of_before(sessions: Sessions, caller: Caller) -> Viewer:
        found = await viewer(sessions, caller)
        await service.verifications.verify(ANYBODY, token)
        return found

    monkeypatch.setattr(Sessions, "viewer", viewer_of_before)
    with pytest.raises(CurrentPasswordError):
        await service.members.update(alice, "alice", Changes(email=ALICE.email))


async def test_a_new_password_sends_a_notice(
    service: MemberService, alice: Caller, mailer: Mailer, outbox: MailFolder, tasks: TaskList
) -> None:
    await service.members.change_password(alice, "alice", current=ALICE.password, new=NEW_PASSWORD)
    (notice,) = tasks.notices
    await mailer.send_notice(notice.notice_id)
    assert recipients(outbox)[-1] == ALICE.email
    assert "was changed" in outbox.mails[-1]["Subject"]


async def test_another_mail_goes_to_the_address_that_waits(
    service: MemberService,
    alice: Caller,
    mailer: Mailer,
    outbox: MailFolder,
    tasks: TaskList,
    clock: FakeClock,
) -> None:
    await service.members.update(alice, "alice", NEW_EMAIL)
    old = await mailed(mailer, outbox, "alice")
    clock.turn(timedelta(hours=1))
    await service.verifications.resend(ANYBODY, NEW)
    assert len(tasks.tasks) == 3
    new = await mailed(mailer, outbox, "alice")
    assert recipients(outbox)[-1] == NEW
    with pytest.raises(LinkReplacedError):
        await service.verifications.verify(ANYBODY, old)
    assert (await service.verifications.verify(ANYBODY, new)).member.email == NEW


async def test_for_the_present_address_there_is_no_other_mail(
    service: MemberService, alice: Caller, tasks: TaskList, clock: FakeClock
) -> None:
    await service.members.update(alice, "alice", NEW_EMAIL)
    clock.turn(timedelta(hours=1))
    await service.verifications.resend(ANYBODY, ALICE.email)
    assert len(tasks.tasks) == 2


async def test_a_member_that_changes_a_verified_address_is_not_removed_as_unverified(
    service: MemberService, alice: Caller, db: Database, clock: FakeClock
) -> None:
    await service.members.update(alice, "alice", NEW_EMAIL)
    clock.turn(timedelta(days=8))
    week = timedelta(days=7)
    await Housekeeping(database=db, unverified_lifetime=week, clock=clock).purge()
    assert await log_in_as(service, ALICE)


async def test_new_addresses_count_as_sign_ups(dependencies: Dependencies, alice: Caller) -> None:
    rates = replace(NO_RATES, create_member=Rate(burst=2, per=timedelta(hours=1)))
    limited = replace(dependencies, limits=Limits(MemoryLimiter(), rates))
    service = member_service(limited, RULES)
    await service.members.update(alice, "alice", replace(NEW_EMAIL, email="a@example.com"))
    await service.sign_up.create_member(alice, replace(BOB, email="b@example.com"))
    with pytest.raises(LimitedError):
        await service.members.update(alice, "alice", replace(NEW_EMAIL, email="c@example.com"))


async def test_a_wrong_password_takes_no_mail_from_the_other_address(
    dependencies: Dependencies, alice: Caller
) -> None:
    rates = replace(NO_RATES, resend=Rate(burst=1, per=timedelta(hours=1)))
    limited = replace(dependencies, limits=Limits(MemoryLimiter(), rates))
    service = member_service(limited, RULES)
    with pytest.raises(CurrentPasswordError):
        await service.members.update(alice, "alice", replace(NEW_EMAIL, current_password="wrong"))
    await service.members.update(alice, "alice", NEW_EMAIL)
    with pytest.raises(LimitedError):
        await service.members.update(alice, "alice", NEW_EMAIL)


async def test_the_mail_to_the_other_address_speaks_of_no_sign_up(
    service: MemberService, alice: Caller, mailer: Mailer, outbox: MailFolder
) -> None:
    await service.members.update(alice, "alice", NEW_EMAIL)
    await mailer.send_verify_email("alice")
    assert "sign up" not in text_of(outbox.mails[-1])
