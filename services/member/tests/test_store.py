"""The database, on SQLite and on PostgreSQL."""

import asyncio
import os
from collections.abc import Generator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError
from sqlalchemy.ext.asyncio import create_async_engine

from member import store
from member.errors import AlreadyExistsError
from member.members import Member
from member.store import database
from member.store.database import Database, url_of
from member.store.tables import Table
from member.verification import Verification

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)

ALICE = Member(
    id=UUID(int=1),
    membername="alice",
    full_name="愛麗絲 🎩",
    email="alice@example.com",
    locale="zh-TW",
    created_at=NOW,
    email_verified_at=None,
)
SECOND = replace(ALICE, id=UUID(int=2))


async def insert(db: Database, member: Member) -> None:
    async with db.writing() as session:
        await store.members.insert(session, member, password_hash="#")


def a_verification() -> Verification:
    return Verification(
        id=uuid4(),
        member_id=ALICE.id,
        email=ALICE.email,
        token_hash=b"\0\xff",
        created_at=NOW,
        expires_at=NOW + timedelta(minutes=15),
    )


async def insert_verification(db: Database) -> None:
    async with db.writing() as session:
        await store.verifications.insert(session, a_verification())


@pytest.fixture
def open_umask() -> Generator[None]:
    """Set a umask that lets everybody read and write new files."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes_in(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}


@pytest.mark.parametrize("before", ["", "member.db"], ids=["new", "there"])
async def test_nobody_but_its_owner_reads_the_file_of_sqlite(
    tmp_path: Path, open_umask: None, before: str
) -> None:
    file = tmp_path / "member.db"
    (tmp_path / before).touch(mode=0o666)
    async with database.open_database(f"sqlite:///{file}") as db:
        await insert(db, ALICE)
        modes = modes_in(tmp_path)
    assert modes == dict.fromkeys(("member.db", "member.db-shm", "member.db-wal"), 0o600)


async def test_a_new_database_has_no_members(db: Database) -> None:
    async with db.reading() as session:
        assert await store.members.after(session, "", limit=1) == []


async def test_a_member_comes_back_as_it_was_stored(db: Database) -> None:
    await insert(db, ALICE)
    async with db.reading() as session:
        assert await store.members.by_name(session, "alice") == ALICE
        assert await store.members.by_id(session, ALICE.id) == ALICE
        assert await store.members.by_name(session, "bob") is None


async def test_an_instant_is_utc_whatever_its_zone_was(db: Database) -> None:
    taipei = NOW.astimezone(timezone(timedelta(hours=8)))
    await insert(db, replace(ALICE, created_at=taipei))
    async with db.reading() as session:
        member = await store.members.by_name(session, "alice")
    assert member == ALICE


async def test_an_instant_without_a_zone_is_refused(db: Database) -> None:
    with pytest.raises(StatementError, match="naive datetime"):
        await insert(db, replace(ALICE, created_at=NOW.replace(tzinfo=None)))


@pytest.mark.parametrize(
    ("second", "fields"),
    [
        (replace(SECOND, email="other@example.com"), ("membername",)),
        (replace(SECOND, membername="other"), ("email",)),
        (SECOND, ("membername", "email")),
    ],
    ids=["name", "address", "both"],
)
async def test_a_duplicate_names_every_field_that_is_taken(
    db: Database, second: Member, fields: tuple[str, ...]
) -> None:
    await insert(db, ALICE)
    with pytest.raises(AlreadyExistsError) as caught:
        await insert(db, second)
    assert caught.value.fields == fields


async def test_of_two_at_the_same_time_one_gets_the_name(db: Database) -> None:
    outcomes = await asyncio.gather(insert(db, ALICE), insert(db, SECOND), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == [
        "AlreadyExistsError",
        "NoneType",
    ]


async def test_a_block_that_raises_is_undone(db: Database) -> None:
    async def fail_after_writing() -> None:
        async with db.writing() as session:
            await store.members.insert(session, ALICE, password_hash="#")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_after_writing()
    async with db.reading() as session:
        assert await store.members.by_name(session, "alice") is None


async def test_a_verification_comes_back_as_it_was_stored(db: Database) -> None:
    await insert(db, ALICE)
    made = a_verification()
    async with db.writing() as session:
        await store.verifications.insert(session, made)
    async with db.reading() as session:
        assert await store.verifications.by_id(session, made.id) == made
        assert await store.verifications.current(session, ALICE.id) == made


async def test_only_one_verification_of_a_member_counts(db: Database) -> None:
    await insert(db, ALICE)
    await insert_verification(db)
    with pytest.raises(IntegrityError):
        await insert_verification(db)


async def test_a_verification_needs_a_member(db: Database) -> None:
    with pytest.raises(IntegrityError):
        await insert_verification(db)


async def test_an_error_does_not_quote_what_a_member_typed(db: Database) -> None:
    await insert(db, ALICE)
    with pytest.raises(DBAPIError) as caught:
        await insert(db, replace(ALICE, membername="other", email="private@example.com"))
    assert "private@example.com" not in str(caught.value)


async def test_the_migrations_make_the_tables_that_the_code_knows(db_source: str) -> None:
    async with database.open_database(db_source):
        engine = create_async_engine(url_of(db_source))
        async with engine.connect() as connection:
            assert await connection.run_sync(differences) == []
        await engine.dispose()


async def test_a_second_start_keeps_what_is_there(db_source: str) -> None:
    async with database.open_database(db_source) as first:
        await insert(first, ALICE)
    async with database.open_database(db_source) as second, second.reading() as session:
        assert await store.members.by_name(session, "alice") == ALICE


async def test_programs_that_start_together_migrate_once(db_source: str) -> None:
    async def start() -> None:
        async with database.open_database(db_source):
            pass

    await asyncio.gather(start(), start(), start())


async def test_readers_do_not_wait_for_a_writer(db: Database) -> None:
    async with db.writing() as writer:
        await store.members.insert(writer, ALICE, password_hash="#")
        async with db.reading() as reader:
            assert await store.members.by_name(reader, "alice") is None


async def test_sqlite_writes_ahead(tmp_path_factory: pytest.TempPathFactory) -> None:
    source = f"sqlite:///{tmp_path_factory.mktemp('db')}/member.db"
    async with database.open_database(source) as db, db.reading() as session:
        assert await session.scalar(text("PRAGMA journal_mode")) == "wal"


@pytest.mark.parametrize(
    ("source", "url"),
    [
        ("sqlite:///member.db", "sqlite+aiosqlite:///member.db"),
        ("postgres://u:p@h:5432/d", "postgresql+asyncpg://u:p@h:5432/d"),
        ("postgresql://u@h/d?sslmode=disable", "postgresql+asyncpg://u@h/d?ssl=disable"),
    ],
)
def test_sources_of_the_lesson_work(source: str, url: str) -> None:
    assert url_of(source).render_as_string(hide_password=False) == url


def differences(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), Table.metadata))
