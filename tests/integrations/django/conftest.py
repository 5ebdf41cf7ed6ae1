"""Fixtures: a project of Django, with its databases and a broker."""

import atexit
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import django
import pytest
from django.core.management import call_command
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from pyasynq import Inspector
from tests.support.key_audit import audit_keys
from tests.support.postgres import PostgresServer

FOLDER = Path(tempfile.mkdtemp(prefix="django-"))
"""Where the databases of this test process are."""

SETTINGS = "tests.integrations.django.site.settings"

atexit.register(shutil.rmtree, FOLDER)
os.environ.update(TEST_FOLDER=str(FOLDER), DJANGO_SETTINGS_MODULE=SETTINGS)
django.setup()


@pytest.fixture(scope="session")
def migrated() -> None:
    """Make the tables in SQLite."""
    call_command("migrate", verbosity=0)
    call_command("migrate", verbosity=0, database="other")
    connections.close_all()


@pytest.fixture
def folder() -> Path:
    """Return the folder that has the databases."""
    return FOLDER


@pytest.fixture
def database(migrated: None) -> Generator[None]:
    """Have empty tables in SQLite."""
    from pyasynq.integrations.django.models import OutboxTask
    from tests.integrations.django.site.orders.models import Order

    yield
    for alias in ("default", "other"):
        Order.objects.using(alias).all().delete()
        OutboxTask.objects.using(alias).all().delete()
    connections.close_all()


@pytest.fixture(scope="session")
def postgres_server() -> Generator[PostgresServer]:
    """Yield a PostgreSQL whose database ``postgres`` of the project has its tables."""
    with PostgresServer() as server:
        name = server.new_database().partition("@/")[2].partition("?")[0]
        connections.settings["postgres"].update(HOST=str(server.home), NAME=name)
        call_command("migrate", verbosity=0, database="postgres")
        connections.close_all()
        yield server


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> Generator[PostgresServer]:
    """Yield the server of the database ``postgres``, with empty tables."""
    from pyasynq.integrations.django.models import OutboxTask
    from tests.integrations.django.site.orders.models import Order

    opened: list[BaseDatabaseWrapper] = []

    def note(connection: BaseDatabaseWrapper, **_: object) -> None:
        opened.append(connection)

    connection_created.connect(note)
    yield postgres_server
    connection_created.disconnect(note)
    for connection in opened:  # those of the worker's threads, which end with it
        connection.inc_thread_sharing()
        connection.close()
    Order.objects.using("postgres").all().delete()
    OutboxTask.objects.using("postgres").all().delete()
    connections.close_all()


@pytest.fixture(params=["redis", "sqlite"])
def broker_url(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Generator[str]:
    """Return the address of an empty broker of each kind, which the project uses."""
    if request.param == "sqlite":
        yield from use(f"sqlite:///{tmp_path}/tasks.db", monkeypatch)
        return
    server = request.getfixturevalue("redis_server")
    with audit_keys(server):
        yield from use(server.url, monkeypatch)


@pytest.fixture
def one_broker_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[str]:
    """Return the address of an empty broker, for tests that are not about the broker."""
    yield from use(f"sqlite:///{tmp_path}/tasks.db", monkeypatch)


def use(url: str, monkeypatch: pytest.MonkeyPatch) -> Generator[str]:
    """Let the project use the broker at *url*."""
    from pyasynq.integrations.django import app

    monkeypatch.setenv("PYASYNQ_URI", url)
    yield url
    app.sync_client.close()


@pytest.fixture
async def inspector() -> AsyncGenerator[Inspector]:
    """Yield an inspector of the project's broker."""
    from pyasynq.integrations.django import app

    async with app.inspector() as inspector:
        yield inspector


@pytest.fixture
async def worker() -> AsyncGenerator[None]:
    """Run a worker of the project."""
    from pyasynq.integrations.django import app

    async with app.server().running():
        yield
