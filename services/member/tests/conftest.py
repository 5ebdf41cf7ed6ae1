"""Shared fixtures: servers, databases, and a service with doubles around it."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import hypothesis
import pytest
from playwright.async_api import Browser

from member.demo.smtp import SmtpSink
from member.mailer import Mailer
from member.passwords import HashCost, Passwords
from member.service import (
    Dependencies,
    MemberService,
    member_service,
    password_resets,
    verifications,
)
from member.settings import Settings
from member.store import database
from member.store.database import Database
from member.store.tables import Table
from services.member.tests.doubles import (
    RULES,
    UNLIMITED,
    FakeClock,
    MailFolder,
    TaskList,
)
from services.member.tests.scenes import Recordings, Scenes, mailed_alice, mailer_of
from services.member.tests.sites import pages_of, serve
from tests.support.chromium import Visitor, chromium
from tests.support.postgres import PostgresServer
from tests.support.servers import RedisServer

# As in tests/conftest.py: child processes start faster with cached bytecode.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# The time of one example depends more on the machine than on the code.
hypothesis.settings.register_profile("member", deadline=None)
hypothesis.settings.load_profile("member")


@pytest.fixture(scope="session")
def postgres() -> Generator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture
def redis() -> Generator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def opened() -> Generator[dict[str, Database]]:
    """Databases with all tables, by their address.

    All tests use the same engines, because an engine compiles each statement once.
    """
    databases: dict[str, Database] = {}
    yield databases
    for each in databases.values():
        asyncio.run(_disconnect(each))


@pytest.fixture(scope="session")
def sqlite_tables(opened: dict[str, Database], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with all tables, beside a copy with which each test begins."""
    path = tmp_path_factory.mktemp("tables") / "member.db"
    opened[f"sqlite:///{path}"] = asyncio.run(_open(f"sqlite:///{path}"))
    shutil.copyfile(path, path.with_suffix(".empty"))
    return path


@pytest.fixture
def sqlite_source(sqlite_tables: Path) -> str:
    """The address of empty tables in SQLite.

    A program of the test before may still write; it must not do so into the new file.
    """
    for end in ("", "-wal", "-shm"):
        Path(f"{sqlite_tables}{end}").unlink(missing_ok=True)
    shutil.copyfile(sqlite_tables.with_suffix(".empty"), sqlite_tables)
    return f"sqlite:///{sqlite_tables}"


@pytest.fixture(scope="session")
def postgres_tables(opened: dict[str, Database], postgres: PostgresServer) -> str:
    """A PostgreSQL database with all tables, for one test after the other."""
    source = postgres.new_database()
    opened[source] = asyncio.run(_open(source))
    return source


async def _open(source: str) -> Database:
    """Make all tables; return the database without connections, which belong to an event loop."""
    stack = AsyncExitStack()
    opened = await stack.enter_async_context(database.open_database(source))
    await _disconnect(opened)
    return opened


async def _disconnect(opened: Database) -> None:
    await opened.engine.dispose()
    await opened.watch.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def db_source(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of each kind; with tables if the test uses `db`, else empty."""
    has_tables = "db" in request.fixturenames
    if has_tables:
        sources = {"sqlite": "sqlite_source", "postgresql": "postgres_tables"}
        return str(request.getfixturevalue(sources[request.param]))
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/member.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
async def db(opened: dict[str, Database], db_source: str) -> AsyncGenerator[Database]:
    shared = opened[db_source]
    if shared.engine.dialect.name == "postgresql":
        await _empty(shared)
    yield Database(shared.engine, shared.watch)
    await _disconnect(shared)


async def _empty(opened: Database) -> None:
    """Delete all rows; TRUNCATE would take six times as long."""
    async with opened.engine.begin() as connection:
        for table in reversed(Table.metadata.sorted_tables):
            await connection.execute(table.delete())


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def tasks() -> TaskList:
    return TaskList()


@pytest.fixture
def outbox() -> MailFolder:
    return MailFolder()


@pytest.fixture
def passwords() -> Generator[Passwords]:
    cheap = Passwords(HashCost(time=1, memory_kib=8, threads=2))
    yield cheap
    cheap.close()


@pytest.fixture
def dependencies(
    db: Database, passwords: Passwords, tasks: TaskList, clock: FakeClock
) -> Dependencies:
    """The dependencies of the service; tests override this fixture."""
    return Dependencies(
        database=db, passwords=passwords, distributor=tasks, limits=UNLIMITED, clock=clock
    )


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let requests for mails take no longer than their work, in tests of something else."""
    for module in (verifications, password_resets):
        monkeypatch.setattr(module, "RESEND_TIME", timedelta(0))


@pytest.fixture
def service(dependencies: Dependencies) -> MemberService:
    return member_service(dependencies, RULES)


@pytest.fixture
def mailer(db: Database, outbox: MailFolder, clock: FakeClock) -> Mailer:
    return mailer_of(db, outbox, clock)


@pytest.fixture(scope="session")
def recordings() -> Recordings:
    """What scenes leave."""
    return {}


@pytest.fixture
def scenes(
    recordings: Recordings,
    db: Database,
    passwords: Passwords,
    clock: FakeClock,
    outbox: MailFolder,
    tasks: TaskList,
) -> Scenes:
    """Begin the test with members, without the time that their sign-ups take."""
    return Scenes(
        recordings=recordings, db=db, passwords=passwords, clock=clock, outbox=outbox, tasks=tasks
    )


@pytest.fixture
async def sink() -> AsyncGenerator[tuple[SmtpSink, str]]:
    """A mail server and its address."""
    server = SmtpSink()
    async with server.running() as address:
        yield server, address


@pytest.fixture
def variables(
    redis: RedisServer, sink: tuple[SmtpSink, str], sqlite_tables: Path, tmp_path: Path
) -> dict[str, str]:
    """Environment variables of the program, with the shortest delay.

    The program finds its tables; other tests let it make them.
    """
    _, smtp = sink
    shutil.copyfile(sqlite_tables.with_suffix(".empty"), tmp_path / "member.db")
    return {
        "ENVIRONMENT": "development",
        "DB_SOURCE": f"sqlite:///{tmp_path}/member.db",
        "REDIS_ADDRESS": redis.url,
        "GRPC_SERVER_ADDRESS": "127.0.0.1:0",
        "HTTP_SERVER_ADDRESS": "127.0.0.1:0",
        "SMTP_ADDRESS": smtp,
        "SMTP_SECURITY": "none",
        "VERIFY_EMAIL_DELAY": "1s",
        "PASSWORD_HASH_MEMORY_KIB": "64",
        "LOG_FORMAT": "json",
    }


@pytest.fixture
def settings(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Settings:
    monkeypatch.chdir(tmp_path)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return Settings()


@pytest.fixture(scope="session")
def mailboxes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mailboxes")


@pytest.fixture
def mailbox(mailboxes: Path) -> Generator[Path]:
    """The folder that the development inbox shows; it does not exist yet."""
    yield mailboxes / "mailbox"
    shutil.rmtree(mailboxes / "mailbox", ignore_errors=True)


@pytest.fixture
async def site(service: MemberService, mailbox: Path) -> AsyncGenerator[str]:
    """The address of the pages."""
    with pages_of(service, mailbox) as app:
        async with serve(app) as address:
            yield address


@pytest.fixture
async def link(site: str, scenes: Scenes) -> str:
    """The link in the mail to Alice."""
    return f"{site}/verify-email?token={await scenes.play(mailed_alice)}"


@pytest.fixture(scope="session")
async def browser() -> AsyncGenerator[Browser]:
    """One browser for all tests; each test has its own context."""
    async with chromium() as launched:
        yield launched


@pytest.fixture
async def visitor(browser: Browser) -> AsyncGenerator[Visitor]:
    """A reader that opens pages; fails the test if a page did something forbidden."""
    visitor = Visitor(browser)
    yield visitor
    await visitor.leave()
    assert visitor.faults == []


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run async tests on asyncio, the only event loop that gRPC and Redis support."""
    return "asyncio"
