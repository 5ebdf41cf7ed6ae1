"""The migrations, step by step, with members in the tables."""

from collections.abc import AsyncGenerator, Callable
from uuid import UUID

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from member import store
from member.store.database import Database, migrations_config, open_database

ALICE = """
INSERT INTO members (id, membername, full_name, email, password_hash, locale, created_at)
VALUES ('00000000000000000000000000000001', 'alice', '愛麗絲', 'a@b.de', '#', 'zh-TW',
        '2026-01-01 12:00:00')
"""
VERIFICATION = """
INSERT INTO verifications (id, member_id, email, token_hash, created_at, expires_at, wrong_attempts)
VALUES ('00000000000000000000000000000002', '00000000000000000000000000000001', 'a@b.de', '#',
        '2026-01-01 12:00:00', '2026-01-01 12:15:00', 2)
"""


@pytest.fixture
async def old(db_source: str) -> AsyncGenerator[AsyncEngine]:
    """The tables from before the sessions, with a member in them."""
    async with open_database(db_source) as database:
        await downgrade(database.engine, "0002")
        async with database.engine.begin() as connection:
            await connection.execute(text(ALICE))
            await connection.execute(text(VERIFICATION))
        yield database.engine


async def upgrade(engine: AsyncEngine, revision: str) -> None:
    """Upgrade the tables to *revision*."""
    await _move(engine, command.upgrade, revision)


async def downgrade(engine: AsyncEngine, revision: str) -> None:
    """Downgrade the tables to *revision*."""
    await _move(engine, command.downgrade, revision)


async def _move(engine: AsyncEngine, move: Callable[[Config, str], None], revision: str) -> None:
    async with engine.begin() as connection:
        await connection.run_sync(lambda c: move(migrations_config(c), revision))


async def tables_of(engine: AsyncEngine) -> set[str]:
    async with engine.connect() as connection:
        return set(await connection.run_sync(lambda c: inspect(c).get_table_names()))


async def members_columns(engine: AsyncEngine) -> set[str]:
    async with engine.connect() as connection:
        columns = await connection.run_sync(lambda c: inspect(c).get_columns("members"))
    return {column["name"] for column in columns}


async def rows(engine: AsyncEngine) -> list[tuple[str, int]]:
    """Return the name of each member, and the wrong attempts at its link."""
    query = "SELECT membername, wrong_attempts FROM members JOIN verifications v"
    async with engine.connect() as connection:
        found = await connection.execute(text(f"{query} ON v.member_id = members.id"))
        return [(row.membername, row.wrong_attempts) for row in found]


async def test_a_member_from_before_there_were_roles_is_an_ordinary_one(
    old: AsyncEngine,
) -> None:
    await upgrade(old, "head")
    async with Database(old, old).reading() as session:
        member = await store.members.by_name(session, "alice")
    assert member is not None
    assert (member.role, member.full_name) == ("member", "愛麗絲")


async def test_the_step_to_sessions_keeps_members_and_their_links(old: AsyncEngine) -> None:
    await upgrade(old, "0003")
    assert await rows(old) == [("alice", 2)]
    assert {"sessions", "sign_ups"} <= await tables_of(old)


async def test_the_step_back_keeps_members_and_their_links(old: AsyncEngine) -> None:
    await upgrade(old, "0003")
    await downgrade(old, "0002")
    assert await rows(old) == [("alice", 2)]
    assert not {"sessions", "sign_ups"} & await tables_of(old)
    assert "role" not in await members_columns(old)


async def test_the_step_back_can_be_taken_again(old: AsyncEngine) -> None:
    await upgrade(old, "0003")
    await downgrade(old, "0002")
    await upgrade(old, "0003")
    assert await rows(old) == [("alice", 2)]
    assert "role" in await members_columns(old)


SESSION = """
INSERT INTO sessions (id, member_id, generation, created_at, renewed_at, expires_at)
VALUES ('00000000000000000000000000000003', '00000000000000000000000000000001', 4,
        '2026-01-01 12:00:00', '2026-01-01 13:00:00', '2026-01-02 13:00:00')
"""


async def test_a_session_from_an_earlier_version_goes_on_without_the_place_where_it_began(
    old: AsyncEngine,
) -> None:
    await upgrade(old, "0003")
    async with old.begin() as connection:
        await connection.execute(text(SESSION))
    await upgrade(old, "head")
    async with Database(old, old).reading() as session:
        (found,) = await store.sessions.of_member(session, UUID(int=1))
    assert (found.generation, found.address, found.user_agent) == (4, "", "")


async def test_the_step_back_keeps_sessions(old: AsyncEngine) -> None:
    await upgrade(old, "head")
    await downgrade(old, "0003")
    async with old.begin() as connection:
        await connection.execute(text(SESSION))
    await upgrade(old, "head")
    async with Database(old, old).reading() as session:
        assert len(await store.sessions.of_member(session, UUID(int=1))) == 1


async def test_all_steps_back_leave_nothing(old: AsyncEngine) -> None:
    await upgrade(old, "head")
    await downgrade(old, "base")
    assert await tables_of(old) == {"alembic_version"}


async def test_the_step_back_from_addresses_that_wait_keeps_those_that_are_verified(
    old: AsyncEngine,
) -> None:
    await upgrade(old, "head")
    async with old.begin() as connection:
        await connection.execute(text("UPDATE members SET pending_email = 'c@d.de'"))
    await downgrade(old, "0005")
    assert "notices" not in await tables_of(old)
    assert "pending_email" not in await members_columns(old)
    await upgrade(old, "head")
    assert await rows(old) == [("alice", 2)]
