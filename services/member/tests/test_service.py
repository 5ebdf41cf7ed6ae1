"""The service, with doubles for tasks and mails."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from member import store
from member.errors import (
    AlreadyExistsError,
    DistributeError,
    InvalidInputError,
    LinkExpiredError,
    LinkLockedError,
    LinkReplacedError,
    LinkUnknownError,
    MailDelayedError,
    MailPointlessError,
)
from member.mailer import Delivery, Mailer, verifications
from member.service import MemberService
from member.store.database import Database
from member.worker.tasks import PayloadSendVerifyEmail
from services.member.tests.doubles import (
    ALICE,
    ANYBODY,
    BOB,
    FakeClock,
    MailFolder,
    TaskList,
    token_of,
)
from services.member.tests.scenes import Scenes, mailed_alice


@pytest.fixture
async def token(scenes: Scenes) -> str:
    """The token in the mail to Alice."""
    return await scenes.play(mailed_alice)


async def is_verified(db: Database, membername: str) -> bool:
    async with db.reading() as session:
        member = await store.members.by_name(session, membername)
    return member is not None and member.email_verified_at is not None


async def test_a_new_member_is_to_get_a_mail_as_the_lesson_says(
    service: MemberService, tasks: TaskList
) -> None:
    await service.sign_up.create_member(ANYBODY, ALICE)
    assert tasks.tasks == [
        (
            PayloadSendVerifyEmail("alice"),
            {"max_retry": 10, "process_in": timedelta(seconds=10), "queue": "critical"},
        )
    ]


async def test_a_wrong_sign_up_leaves_nothing_behind(
    service: MemberService, tasks: TaskList, db: Database
) -> None:
    with pytest.raises(InvalidInputError):
        await service.sign_up.create_member(ANYBODY, replace(ALICE, full_name=""))
    assert tasks.tasks == []
    async with db.reading() as session:
        assert await store.members.by_name(session, "alice") is None


async def test_a_duplicate_gets_no_mail(service: MemberService, tasks: TaskList) -> None:
    await service.sign_up.create_member(ANYBODY, ALICE)
    with pytest.raises(AlreadyExistsError, match="this email already exists"):
        await service.sign_up.create_member(
            ANYBODY, replace(ALICE, membername="alice2", email="ALICE@example.com")
        )
    assert len(tasks.tasks) == 1


async def test_a_sign_up_can_be_repeated_after_its_task_was_not_queued(
    service: MemberService, tasks: TaskList
) -> None:
    tasks.error = DistributeError("send verify email", "Redis is away")
    with pytest.raises(DistributeError):
        await service.sign_up.create_member(ANYBODY, ALICE)
    tasks.error = None
    await service.sign_up.create_member(ANYBODY, ALICE)
    assert len(tasks.tasks) == 1


async def test_a_link_verifies_the_address_once(
    service: MemberService, token: str, db: Database
) -> None:
    first, second = (
        await service.verifications.verify(ANYBODY, token),
        await service.verifications.verify(ANYBODY, token),
    )
    assert (first.already, second.already) == (False, True)
    assert await is_verified(db, "alice")


async def test_of_two_clicks_at_the_same_time_one_verifies(
    service: MemberService, token: str
) -> None:
    outcomes = await asyncio.gather(
        service.verifications.verify(ANYBODY, token), service.verifications.verify(ANYBODY, token)
    )
    assert sorted(outcome.already for outcome in outcomes) == [False, True]


async def test_looking_at_a_link_verifies_nobody(
    service: MemberService, token: str, db: Database
) -> None:
    assert await service.verifications.check(ANYBODY, token) is False
    assert not await is_verified(db, "alice")
    await service.verifications.verify(ANYBODY, token)
    assert await service.verifications.check(ANYBODY, token) is True


async def test_a_link_expires(service: MemberService, token: str, clock: FakeClock) -> None:
    clock.turn(timedelta(minutes=15))
    with pytest.raises(LinkExpiredError):
        await service.verifications.verify(ANYBODY, token)


async def test_a_link_that_verified_always_says_so(
    service: MemberService, token: str, clock: FakeClock
) -> None:
    await service.verifications.verify(ANYBODY, token)
    clock.turn(timedelta(days=1))
    assert (await service.verifications.verify(ANYBODY, token)).already


@pytest.mark.parametrize("wrong", ["", "nonsense", "A" * 64])
async def test_a_token_that_was_never_sent_verifies_nobody(
    service: MemberService, wrong: str
) -> None:
    with pytest.raises(LinkUnknownError):
        await service.verifications.verify(ANYBODY, wrong)


async def test_wrong_tokens_lock_a_link(service: MemberService, token: str, db: Database) -> None:
    guess = token[:-4] + "AAAA"
    for _ in range(3):
        with pytest.raises(LinkUnknownError):
            await service.verifications.verify(ANYBODY, guess)
    with pytest.raises(LinkLockedError):
        await service.verifications.verify(ANYBODY, token)
    assert not await is_verified(db, "alice")


async def test_a_replaced_link_points_to_the_newer_mail(
    service: MemberService, token: str, db: Database, clock: FakeClock
) -> None:
    async with db.writing() as session:
        member = await store.members.by_name(session, "alice")
        assert member is not None
        await store.verifications.replace(session, member.id, at=clock())
    with pytest.raises(LinkReplacedError):
        await service.verifications.verify(ANYBODY, token)


async def test_a_link_verifies_only_the_member_it_was_sent_to(
    service: MemberService, token: str, db: Database
) -> None:
    await service.sign_up.create_member(ANYBODY, BOB)
    await service.verifications.verify(ANYBODY, token)
    assert not await is_verified(db, "bob")


async def test_a_task_that_runs_again_sends_no_second_mail(
    service: MemberService, mailer: Mailer, outbox: MailFolder
) -> None:
    await service.sign_up.create_member(ANYBODY, ALICE)
    outcomes = [await mailer.send_verify_email("alice") for _ in range(2)]
    assert outcomes == [Delivery.SENT, Delivery.SENT_BEFORE]
    assert len(outbox.mails) == 1


async def test_a_retry_sends_the_same_mail_and_its_link_lives_longer(
    service: MemberService, mailer: Mailer, outbox: MailFolder, clock: FakeClock
) -> None:
    await service.sign_up.create_member(ANYBODY, ALICE)
    outbox.error = MailDelayedError("451 later")
    with pytest.raises(MailDelayedError):
        await mailer.send_verify_email("alice")
    outbox.error = None
    clock.turn(timedelta(hours=1))
    await mailer.send_verify_email("alice")
    assert not (await service.verifications.verify(ANYBODY, token_of(outbox.mails[0]))).already


async def test_a_crash_after_the_sending_repeats_the_same_mail(
    service: MemberService, mailer: Mailer, outbox: MailFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    await service.sign_up.create_member(ANYBODY, ALICE)
    with monkeypatch.context() as patch:
        patch.setattr(store.verifications, "mark_sent", None)
        with pytest.raises(TypeError):
            await mailer.send_verify_email("alice")
    await mailer.send_verify_email("alice")
    first, second = outbox.mails
    assert first.as_bytes() == second.as_bytes()
    assert not (await service.verifications.verify(ANYBODY, token_of(first))).already


async def test_after_a_change_of_the_key_a_retry_sends_a_link_that_works(
    service: MemberService, mailer: Mailer, outbox: MailFolder
) -> None:
    await service.sign_up.create_member(ANYBODY, ALICE)
    outbox.error = MailDelayedError("451 later")
    with pytest.raises(MailDelayedError):
        await mailer.send_verify_email("alice")
    outbox.error = None
    await replace(
        mailer, verifications=verifications(b"another key", timedelta(minutes=15))
    ).send_verify_email("alice")
    assert not (await service.verifications.verify(ANYBODY, token_of(outbox.mails[0]))).already


async def test_two_workers_with_the_same_member_send_the_same_link(
    service: MemberService, mailer: Mailer, outbox: MailFolder
) -> None:
    await service.sign_up.create_member(ANYBODY, ALICE)
    workers = (mailer, replace(mailer))
    await asyncio.gather(*(worker.send_verify_email("alice") for worker in workers))
    assert len({token_of(mail) for mail in outbox.mails}) == 1


async def test_an_unknown_member_gets_no_mail(mailer: Mailer, outbox: MailFolder) -> None:
    with pytest.raises(MailPointlessError, match="no such member"):
        await mailer.send_verify_email("nobody")
    assert outbox.mails == []


async def test_a_verified_member_gets_no_mail(
    service: MemberService, mailer: Mailer, token: str
) -> None:
    await service.verifications.verify(ANYBODY, token)
    with pytest.raises(MailPointlessError, match="already verified"):
        await mailer.send_verify_email("alice")


async def test_a_token_is_nowhere_in_the_database(token: str, db: Database) -> None:
    async with db.reading() as session:
        member = await store.members.by_name(session, "alice")
        assert member is not None
        found = await store.verifications.current(session, member.id)
    assert found is not None
    assert token.encode() not in repr(found).encode()
