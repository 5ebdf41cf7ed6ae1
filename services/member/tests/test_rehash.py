"""A log-in renews a password hash of an older cost."""

import asyncio
from collections.abc import Generator
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from member import store
from member.errors import WrongPasswordError
from member.members import Member
from member.passwords import HashCost, Passwords
from member.service import MemberService
from member.service.sessions import LoggedIn, Sessions
from member.store.database import Database
from member.store.tables import SessionRow
from services.member.tests.doubles import ALICE, ANYBODY


@pytest.fixture
async def alice(service: MemberService) -> Member:
    return await service.sign_up.create_member(ANYBODY, ALICE)


async def log_in(sessions: Sessions) -> LoggedIn:
    return await sessions.log_in(ANYBODY, "alice", ALICE.password)


@pytest.fixture
def dearer(service: MemberService) -> Generator[Sessions]:
    """Sessions of a service with a higher hash cost."""
    passwords = Passwords(HashCost(time=2, memory_kib=16, threads=2))
    yield replace(service.sessions, passwords=passwords)
    passwords.close()


async def hash_of(db: Database) -> str:
    async with db.reading() as session:
        found = await store.members.credentials(session, "alice")
    assert found is not None
    return found.password_hash


async def test_a_log_in_brings_the_hash_to_the_cost_of_today(
    alice: Member, dearer: Sessions, db: Database
) -> None:
    assert dearer.passwords.is_outdated(await hash_of(db))
    await log_in(dearer)
    renewed = await hash_of(db)
    assert not dearer.passwords.is_outdated(renewed)
    await log_in(dearer)
    assert await hash_of(db) == renewed


async def test_a_wrong_password_leaves_the_hash_as_it_is(
    alice: Member, dearer: Sessions, db: Database
) -> None:
    before = await hash_of(db)
    with pytest.raises(WrongPasswordError):
        await dearer.log_in(ANYBODY, "alice", "through the looking-glass")
    assert await hash_of(db) == before


async def test_log_ins_at_the_same_time_all_succeed_while_the_cost_changes(
    alice: Member, dearer: Sessions, db: Database
) -> None:
    logged_in = await asyncio.gather(*(log_in(dearer) for _ in range(10)))
    assert len({one.tokens.refresh_token for one in logged_in}) == 10
    async with db.reading() as session:
        assert await session.scalar(select(func.count()).select_from(SessionRow)) == 10
    assert not dearer.passwords.is_outdated(await hash_of(db))
