"""Fixtures: a file with orders, users of each kind who write to it, and a broker on it."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pyasynq.broker import Broker, open_broker
from pyasynq.sqlite import Outbox
from tests.sqlite.users import CREATE, KINDS, User


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a file that has the table of orders, and nothing of pyasynq."""
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(CREATE)
    return path


@pytest.fixture
def outbox() -> Outbox:
    """Return an outbox without options."""
    return Outbox()


@pytest.fixture(params=KINDS)
async def user(request: pytest.FixtureRequest, path: Path, outbox: Outbox) -> AsyncIterator[User]:
    """Yield a user of each kind."""
    user = KINDS[request.param](path, outbox)
    await user.open()
    yield user
    await user.aclose()


@pytest.fixture
async def broker(path: Path) -> AsyncIterator[Broker]:
    """Yield a broker on the file."""
    broker = open_broker(f"sqlite:///{path}")
    yield broker
    await broker.aclose()


@pytest.fixture
def read(path: Path) -> Iterator[Callable[[str], list[object]]]:
    """Return a function that reads what is committed: the first column of a query."""
    with closing(sqlite3.connect(path)) as connection:
        yield lambda sql: [row[0] for row in connection.execute(sql).fetchall()]
