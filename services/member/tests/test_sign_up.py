"""Sign-ups that are repeated with the same id."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from member.errors import AlreadyExistsError, DistributeError, RequestIdError
from member.mailer import Mailer
from member.members import Changes, Member, SignUp
from member.service import MemberService
from member.store.database import Database
from member.store.tables import MemberRow, SignUpRow, Table
from services.member.tests.doubles import (
    ALICE,
    ANYBODY,
    BOB,
    MailFolder,
    TaskList,
    log_in_as,
    token_of,
)

ID = "9b2d6f0e"


async def rows_in(db: Database, table: type[Table]) -> int:
    async with db.reading() as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


async def sign_up(service: MemberService, asked: SignUp = ALICE, request_id: str = ID) -> Member:
    return await service.sign_up.create_member(ANYBODY, asked, request_id)


async def test_the_same_request_is_answered_again(
    service: MemberService, tasks: TaskList, db: Database
) -> None:
    first, again = await sign_up(service), await sign_up(service)
    assert again == first
    assert await rows_in(db, MemberRow) == len(tasks.tasks) == 1


async def test_the_same_request_in_other_letters_is_the_same(service: MemberService) -> None:
    first = await sign_up(service)
    shouted = replace(ALICE, email=" ALICE@example.com ", locale="en", full_name="Alice Liddell ")
    assert await sign_up(service, shouted) == first


async def test_it_is_answered_as_first_after_the_address_was_verified(
    service: MemberService, mailer: Mailer, outbox: MailFolder
) -> None:
    first = await sign_up(service)
    await mailer.send_verify_email("alice")
    await service.verifications.verify(ANYBODY, token_of(outbox.mails[0]))
    assert await sign_up(service) == first


async def test_it_is_answered_as_first_after_the_member_changed(service: MemberService) -> None:
    first = await sign_up(service)
    changes = Changes(
        full_name="Alice Hargreaves",
        email="hargreaves@example.com",
        current_password=ALICE.password,
    )
    await service.members.update(await log_in_as(service, ALICE), "alice", changes)
    assert await sign_up(service) == first


@pytest.mark.parametrize(
    "other",
    [
        replace(ALICE, full_name="Alice"),
        replace(ALICE, email="other@example.com"),
        replace(ALICE, locale="zh-TW"),
        replace(ALICE, membername="alice2"),
        replace(ALICE, password="through the looking-glass"),
        BOB,
    ],
    ids=["full name", "address", "language", "member name", "password", "another member"],
)
async def test_another_request_under_the_same_id_is_refused(
    service: MemberService, tasks: TaskList, other: SignUp
) -> None:
    await sign_up(service)
    with pytest.raises(RequestIdError) as caught:
        await sign_up(service, other)
    assert [violation.field for violation in caught.value.violations] == ["request_id"]
    assert len(tasks.tasks) == 1


async def test_twins_at_the_same_time_make_one_member(
    service: MemberService, tasks: TaskList, db: Database
) -> None:
    answers = await asyncio.gather(*(sign_up(service) for _ in range(10)))
    assert len(answers) == 10
    assert len(set(answers)) == 1
    assert await rows_in(db, MemberRow) == len(tasks.tasks) == 1


async def test_of_different_requests_under_one_id_at_the_same_time_one_passes(
    service: MemberService, db: Database
) -> None:
    outcomes = await asyncio.gather(
        sign_up(service, ALICE), sign_up(service, BOB), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Member", "RequestIdError"]
    assert await rows_in(db, MemberRow) == 1


async def test_a_try_that_failed_can_be_tried_again(
    service: MemberService, tasks: TaskList, db: Database
) -> None:
    tasks.error = DistributeError("send verify email", "Redis is away")
    with pytest.raises(DistributeError):
        await sign_up(service)
    assert await rows_in(db, SignUpRow) == 0
    tasks.error = None
    assert (await sign_up(service)).membername == "alice"


async def test_without_an_id_nothing_is_remembered(service: MemberService, db: Database) -> None:
    await sign_up(service, request_id="")
    assert await rows_in(db, SignUpRow) == 0
    with pytest.raises(AlreadyExistsError):
        await sign_up(service, request_id="")


async def test_an_id_does_not_help_to_take_what_another_member_holds(
    service: MemberService,
) -> None:
    await sign_up(service, request_id="")
    with pytest.raises(AlreadyExistsError):
        await sign_up(service)
