"""Members and administrators read, change and delete accounts."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select, text

from member import store
from member.callers import Caller
from member.errors import (
    AccessTokenError,
    CurrentPasswordError,
    DistributeError,
    InvalidInputError,
    LinkReplacedError,
    LinkUnknownError,
    MemberUnknownError,
    PermissionDeniedError,
    WrongPasswordError,
)
from member.mailer import Mailer
from member.members import Changes, Member
from member.service import MemberService
from member.service.members import page_position
from member.store.database import Database
from member.store.tables import LinkRow, Table
from member.validation import is_membername
from services.member.tests.doubles import (
    ALICE,
    ANYBODY,
    BOB,
    MailFolder,
    TaskList,
    log_in_as,
    token_of,
)
from services.member.tests.scenes import Scenes, Stage
from tests.support.waiting import wait_until

NEW_PASSWORD = "through the looking-glass"
CAROL = replace(ALICE, membername="carol", email="carol@example.com")

Ask: TypeAlias = Callable[[MemberService, Caller, str], Awaitable[object]]

ASKS: dict[str, Ask] = {
    "get": lambda service, caller, name: service.members.get(caller, name),
    "update": lambda service, caller, name: service.members.update(caller, name, Changes()),
    "change password": lambda service, caller, name: service.members.change_password(
        caller, name, current=ALICE.password, new=NEW_PASSWORD
    ),
    "delete": lambda service, caller, name: service.members.delete(caller, name),
    "list": lambda service, caller, _: service.members.list_page(caller),
}
every_ask = pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS.keys())


@pytest.fixture
async def alice(scenes: Scenes) -> Caller:
    return await scenes.play(_alice)


async def _alice(stage: Stage) -> Caller:
    await stage.service.sign_up.create_member(ANYBODY, ALICE, "sign-up-of-alice")
    return await log_in_as(stage.service, ALICE)


@pytest.fixture
async def bob(scenes: Scenes) -> Caller:
    return await scenes.play(_bob)


async def _bob(stage: Stage) -> Caller:
    await stage.service.sign_up.create_member(ANYBODY, BOB)
    return await log_in_as(stage.service, BOB)


@pytest.fixture
async def admin(scenes: Scenes) -> Caller:
    return await scenes.play(_admin)


async def _admin(stage: Stage) -> Caller:
    await stage.service.sign_up.create_member(ANYBODY, CAROL)
    async with stage.db.writing() as session:
        assert await store.members.set_role(session, "carol", "admin")
    return await log_in_as(stage.service, CAROL)


async def rows_in(db: Database, table: type[Table]) -> int:
    async with db.reading() as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


async def verified_alice(service: MemberService, mailer: Mailer, outbox: MailFolder) -> str:
    """Verify the address of Alice; return the token that verified it."""
    await mailer.send_verify_email("alice")
    token = token_of(outbox.mails[-1])
    await service.verifications.verify(ANYBODY, token)
    return token


@every_ask
async def test_a_caller_without_a_token_may_do_nothing(
    service: MemberService, alice: Caller, ask: Ask
) -> None:
    with pytest.raises(AccessTokenError):
        await ask(service, ANYBODY, "alice")


@every_ask
@pytest.mark.parametrize("whose", ["bob", "nobody", "No Name", ""])
async def test_another_member_gets_the_same_answer_for_known_and_unknown_members(
    service: MemberService, alice: Caller, bob: Caller, ask: Ask, whose: str
) -> None:
    with pytest.raises(PermissionDeniedError) as caught:
        await ask(service, alice, whose)
    assert str(caught.value) == "you may not do this"


async def test_a_member_sees_itself(service: MemberService, alice: Caller) -> None:
    member = await service.members.get(alice, "alice")
    assert (member.membername, member.email, member.role) == (
        "alice",
        "alice@example.com",
        "member",
    )


async def test_an_administrator_sees_others(
    service: MemberService, alice: Caller, admin: Caller
) -> None:
    assert (await service.members.get(admin, "alice")).membername == "alice"
    assert (await service.members.get(admin, "carol")).is_admin


@pytest.mark.parametrize("nobody", ["nobody", "No Name", "", "x" * 10_000, "\x00"])
async def test_an_administrator_learns_that_a_member_does_not_exist(
    service: MemberService, admin: Caller, nobody: str
) -> None:
    with pytest.raises(MemberUnknownError):
        await service.members.get(admin, nobody)


@pytest.mark.parametrize("change", ["update", "change password"])
async def test_an_administrator_changes_nobody_else(
    service: MemberService, alice: Caller, admin: Caller, change: str
) -> None:
    with pytest.raises(PermissionDeniedError):
        await ASKS[change](service, admin, "alice")


async def all_pages(service: MemberService, caller: Caller, size: int) -> list[tuple[Member, ...]]:
    pages, token = list[tuple[Member, ...]](), ""
    while not pages or token:
        page = await service.members.list_page(caller, size=size, token=token)
        pages.append(page.members)
        token = page.next_token
    return pages


@pytest.mark.parametrize(("size", "lengths"), [(1, [1, 1, 1]), (2, [2, 1]), (3, [3]), (0, [3])])
async def test_page_tokens_walk_through_all_members(
    service: MemberService,
    alice: Caller,
    bob: Caller,
    admin: Caller,
    size: int,
    lengths: list[int],
) -> None:
    pages = await all_pages(service, admin, size)
    assert [len(page) for page in pages] == lengths
    assert [m.membername for page in pages for m in page] == ["alice", "bob", "carol"]


async def test_sign_ups_and_deletions_between_two_pages_shift_nobody(
    service: MemberService, alice: Caller, bob: Caller, admin: Caller
) -> None:
    first = await service.members.list_page(admin, size=1)
    await service.members.delete(admin, "alice")
    await service.sign_up.create_member(ANYBODY, replace(ALICE, membername="aaa"))
    second = await service.members.list_page(admin, size=1, token=first.next_token)
    assert [member.membername for member in second.members] == ["bob"]


@pytest.mark.parametrize("size", [-1, 101, 2**31 - 1])
async def test_a_page_of_another_size_is_refused(
    service: MemberService, admin: Caller, size: int
) -> None:
    with pytest.raises(InvalidInputError, match="page_size: must be 1 to 100"):
        await service.members.list_page(admin, size=size)


@given(token=st.text(min_size=1))
def test_a_page_token_is_a_member_name_or_refused(token: str) -> None:
    with suppress(InvalidInputError):
        assert is_membername(page_position(token))


async def test_fields_that_are_not_set_stay_as_they_are(
    service: MemberService, alice: Caller, tasks: TaskList
) -> None:
    before = await service.members.get(alice, "alice")
    assert await service.members.update(alice, "alice", Changes()) == before
    renamed = await service.members.update(alice, "alice", Changes(full_name="愛麗絲"))
    assert renamed == replace(before, full_name="愛麗絲")
    assert await service.members.get(alice, "alice") == renamed
    assert len(tasks.tasks) == 1


async def test_the_same_address_again_stays_verified(
    service: MemberService, alice: Caller, mailer: Mailer, outbox: MailFolder, tasks: TaskList
) -> None:
    await verified_alice(service, mailer, outbox)
    same = await service.members.update(alice, "alice", new_email("ALICE@example.com"))
    assert same.email_verified_at
    assert len(tasks.tasks) == 1


async def test_an_update_whose_mail_is_not_queued_changes_nothing(
    service: MemberService, alice: Caller, tasks: TaskList
) -> None:
    before = await service.members.get(alice, "alice")
    tasks.error = DistributeError("send verify email", "Redis is away")
    with pytest.raises(DistributeError):
        await service.members.update(alice, "alice", new_email("new@example.com"))
    assert await service.members.get(alice, "alice") == before


async def test_all_that_is_wrong_with_an_update_is_reported(
    service: MemberService, alice: Caller
) -> None:
    changes = Changes(full_name="", email="nowhere", locale="?")
    with pytest.raises(InvalidInputError) as caught:
        await service.members.update(alice, "alice", changes)
    fields = [violation.field for violation in caught.value.violations]
    assert fields == ["full_name", "email", "locale"]


async def test_of_updates_at_the_same_time_none_is_lost(
    service: MemberService, alice: Caller
) -> None:
    changes = [Changes(full_name="A. L."), Changes(locale="zh-TW"), new_email("a@b.de")]
    updates = (service.members.update(alice, "alice", changes[n % 3]) for n in range(10))
    await asyncio.gather(*updates)
    member = await service.members.get(alice, "alice")
    assert (member.full_name, member.locale, member.pending_email) == ("A. L.", "zh-TW", "a@b.de")


def new_email(email: str) -> Changes:
    return Changes(email=email, current_password=ALICE.password)


async def waits_for_a_lock(db: Database) -> bool:
    """Tell whether a transaction on PostgreSQL waits for another one."""
    async with db.reading() as session:
        waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(await session.scalar(waiting))


@pytest.mark.parametrize("db_source", ["postgresql"], indirect=True)
async def test_a_click_during_an_update_waits_for_it_and_finds_its_link_replaced(
    service: MemberService, alice: Caller, mailer: Mailer, outbox: MailFolder, db: Database
) -> None:
    await mailer.send_verify_email("alice")
    member = await service.members.get(alice, "alice")
    async with db.writing() as updating:
        await store.members.by_id(updating, member.id, lock=True)
        token = token_of(outbox.mails[0])
        click = asyncio.create_task(service.verifications.verify(ANYBODY, token))
        await wait_until(lambda: waits_for_a_lock(db))
        await store.verifications.replace(updating, member.id, at=member.created_at)
    with pytest.raises(LinkReplacedError):
        await click


async def test_clicks_and_new_addresses_at_the_same_time_all_come_to_an_end(
    service: MemberService, alice: Caller, mailer: Mailer, outbox: MailFolder
) -> None:
    await mailer.send_verify_email("alice")
    token = token_of(outbox.mails[0])
    changes = [new_email(f"alice{n}@example.com") for n in range(5)]
    outcomes = await asyncio.gather(
        *(service.members.update(alice, "alice", change) for change in changes),
        *(service.verifications.verify(ANYBODY, token) for _ in range(5)),
        return_exceptions=True,
    )
    raised = {type(outcome) for outcome in outcomes if isinstance(outcome, BaseException)}
    assert raised <= {LinkReplacedError}
    assert (await service.members.get(alice, "alice")).pending_email


async def test_after_a_new_password_only_it_logs_in(service: MemberService, alice: Caller) -> None:
    await service.members.change_password(alice, "alice", current=ALICE.password, new=NEW_PASSWORD)
    with pytest.raises(WrongPasswordError):
        await log_in_as(service, ALICE)
    assert await log_in_as(service, replace(ALICE, password=NEW_PASSWORD))


async def test_a_new_password_ends_the_other_sessions_of_this_member_alone(
    service: MemberService, alice: Caller, bob: Caller
) -> None:
    other = await log_in_as(service, ALICE)
    await service.members.change_password(alice, "alice", current=ALICE.password, new=NEW_PASSWORD)
    with pytest.raises(AccessTokenError):
        await service.members.get(other, "alice")
    assert await service.members.get(alice, "alice")
    assert await service.members.get(bob, "bob")


async def test_a_wrong_current_password_changes_nothing(
    service: MemberService, alice: Caller
) -> None:
    other = await log_in_as(service, ALICE)
    with pytest.raises(CurrentPasswordError, match="current_password: is wrong"):
        await service.members.change_password(
            alice, "alice", current=NEW_PASSWORD, new=NEW_PASSWORD
        )
    assert await service.members.get(other, "alice")
    assert await log_in_as(service, ALICE)


@pytest.mark.parametrize("new", ["short", "alice@example.com", "password1", "x" * 129])
async def test_an_unfit_new_password_is_refused(
    service: MemberService, alice: Caller, new: str
) -> None:
    with pytest.raises(InvalidInputError, match="new_password: "):
        await service.members.change_password(alice, "alice", current=ALICE.password, new=new)


async def test_of_password_changes_at_the_same_time_one_wins(
    service: MemberService, alice: Caller
) -> None:
    news = [f"{NEW_PASSWORD} {n}" for n in range(10)]
    outcomes = await asyncio.gather(
        *(
            service.members.change_password(alice, "alice", current=ALICE.password, new=new)
            for new in news
        ),
        return_exceptions=True,
    )
    [winner] = [new for new, outcome in zip(news, outcomes, strict=True) if outcome is None]
    assert {type(outcome) for outcome in outcomes} == {type(None), CurrentPasswordError}
    assert await log_in_as(service, replace(ALICE, password=winner))


async def test_with_a_member_goes_everything_about_it(
    service: MemberService, alice: Caller, mailer: Mailer, outbox: MailFolder, db: Database
) -> None:
    token = await verified_alice(service, mailer, outbox)
    await service.password_resets.request(ANYBODY, ALICE.email)
    await mailer.send_password_reset("alice")
    await service.members.update(alice, "alice", new_email("new@example.com"))
    tables = (*Table.__subclasses__(), *LinkRow.__subclasses__())
    kept = [table for table in tables if hasattr(table, "__tablename__")]
    assert all([await rows_in(db, table) for table in kept])
    await service.members.delete(alice, "alice")
    assert not any([await rows_in(db, table) for table in kept])
    with pytest.raises(AccessTokenError):
        await service.members.get(alice, "alice")
    with pytest.raises(LinkUnknownError):
        await service.verifications.verify(ANYBODY, token)


async def test_an_administrator_deletes_others(
    service: MemberService, alice: Caller, bob: Caller, admin: Caller
) -> None:
    await service.members.delete(admin, "alice")
    with pytest.raises(MemberUnknownError):
        await service.members.delete(admin, "alice")
    assert await service.members.get(bob, "bob")


async def test_the_name_of_a_deleted_member_is_free(service: MemberService, alice: Caller) -> None:
    before = await service.members.get(alice, "alice")
    await service.members.delete(alice, "alice")
    again = await service.sign_up.create_member(ANYBODY, ALICE, "sign-up-of-alice")
    assert again.id != before.id
