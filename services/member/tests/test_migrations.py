"""The migrations, step by step, with members in the tables."""

from collections.abc import AsyncGenerator

import pytest
from alembic import command
from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from member import store
from member.store.database import Database, migrations_config, opened

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
    """The tables before there were sessions, with a member in them."""
    async with opened(db_source) as database:
        await migrate(database.engine, "0002")
        async with database.engine.begin() as connection:
            await connection.execute(text(ALICE))
            await connection.execute(text(VERIFICATION))
        yield database.engine


async def migrate(engine: AsyncEngine, revision: str) -> None:
    """Bring the tables to *revision*, be it newer or older."""

    def step(connection: Connection) -> None:
        move = command.upgrade if revision == "0003" else command.downgrade
        move(migrations_config(connection), revision)

    async with engine.begin() as connection:
        await connection.run_sync(step)


async def tables_of(engine: AsyncEngine) -> set[str]:
    async with engine.connect() as connection:
        return set(await connection.run_sync(lambda c: inspect(c).get_table_names()))


async def members_columns(engine: AsyncEngine) -> set[str]:
    async with engine.connect() as connection:
        columns = await connection.run_sync(lambda c: inspect(c).get_columns("members"))
    return {column["name"] for column in columns}


async def rows(engine: AsyncEngine) -> list[tuple[str, int]]:
    """Return what is known of each member: its name, and the wrong attempts at its link."""
    query = "SELECT membername, wrong_attempts FROM members JOIN verifications v"
    async with engine.connect() as connection:
        found = await connection.execute(text(f"{query} ON v.member_id = members.id"))
        return [(row.membername, row.wrong_attempts) for row in found]


async def test_who_was_a_member_before_there_were_roles_is_an_ordinary_one(
    old: AsyncEngine,
) -> None:
    await migrate(old, "0003")
    async with Database(old, old).reading() as session:
        member = await store.members.by_name(session, "alice")
    assert member is not None
    assert (member.role, member.full_name) == ("member", "愛麗絲")


async def test_the_step_to_sessions_keeps_members_and_their_links(old: AsyncEngine) -> None:
    await migrate(old, "0003")
    assert await rows(old) == [("alice", 2)]
    assert {"sessions", "sign_ups"} <= await tables_of(old)


async def test_the_step_back_keeps_members_and_their_links(old: AsyncEngine) -> None:
    await migrate(old, "0003")
    await migrate(old, "0002")
    assert await rows(old) == [("alice", 2)]
    assert not {"sessions", "sign_ups"} & await tables_of(old)
    assert "role" not in await members_columns(old)


async def test_the_step_back_can_be_taken_again(old: AsyncEngine) -> None:
    await migrate(old, "0003")
    await migrate(old, "0002")
    await migrate(old, "0003")
    assert await rows(old) == [("alice", 2)]
    assert "role" in await members_columns(old)


async def test_all_steps_back_leave_nothing(db: Database) -> None:
    await migrate(db.engine, "base")
    assert await tables_of(db.engine) == {"alembic_version"}
