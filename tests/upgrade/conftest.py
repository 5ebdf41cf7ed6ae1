"""Fixtures for tests of an upgrade: two versions on one Redis, in either order."""

import functools
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from tests.support.servers import RedisServer
from tests.upgrade.queue import Queue
from tests.upgrade.sides import TODAY, VERSIONS, Side, Sides
from tools import earlier

python_of = functools.cache(earlier.python_of)


@pytest.fixture(scope="session")
def sides(redis_server: RedisServer) -> Iterator[Sides]:
    """Yield the processes of all versions."""
    with closing(Sides(redis_server.url)) as sides:
        yield sides


@pytest.fixture(
    params=[(version, way) for version in VERSIONS for way in ("upgrade", "rollback")],
    ids=lambda param: f"{param[1]}-{param[0][:7]}",
)
def way(request: pytest.FixtureRequest) -> tuple[Path, Path]:
    """Return the Python of the replaced version, and that of the version that replaces it."""
    version, name = cast("tuple[str, str]", request.param)
    python = python_of(version)
    return (python, TODAY) if name == "upgrade" else (TODAY, python)


@pytest.fixture
def before(way: tuple[Path, Path], sides: Sides) -> Iterator[Side]:
    """Yield the replaced version: on an upgrade the earlier one, on a rollback today's."""
    with sides.borrow(way[0]) as side:
        yield side


@pytest.fixture
def after(way: tuple[Path, Path], sides: Sides) -> Iterator[Side]:
    """Yield the version that replaces it."""
    with sides.borrow(way[1]) as side:
        yield side


@pytest.fixture(params=VERSIONS, ids=lambda version: version[:7])
def earlier_side(request: pytest.FixtureRequest, sides: Sides) -> Iterator[Side]:
    """Yield an earlier version."""
    with sides.borrow(python_of(request.param)) as side:
        yield side


@pytest.fixture
def today(sides: Sides) -> Iterator[Side]:
    """Yield today's version."""
    with sides.borrow(TODAY) as side:
        yield side


@pytest.fixture
def queue(redis_server: RedisServer) -> Iterator[Queue]:
    """Yield the queue ``default``, read without either version."""
    with closing(Queue(redis_server)) as queue:
        yield queue


@pytest.fixture
def database(tmp_path: Path) -> str:
    """Return the path for the database of an outbox."""
    return str(tmp_path / "outbox.db")
