"""What tests of an upgrade ask for: two versions on one Redis, in either order."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from tests.support.servers import RedisServer
from tests.upgrade.queue import Queue
from tests.upgrade.sides import TODAY, VERSIONS, Side, Sides
from tools import earlier


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
    """Return the Pythons of what is replaced and of what replaces it."""
    version, name = cast("tuple[str, str]", request.param)
    python = earlier.python_of(version)
    return (python, TODAY) if name == "upgrade" else (TODAY, python)


@pytest.fixture
def before(way: tuple[Path, Path], sides: Sides) -> Iterator[Side]:
    """Yield what is replaced: on an upgrade the earlier version, on a rollback today's."""
    with sides.lent(way[0]) as side:
        yield side


@pytest.fixture
def after(way: tuple[Path, Path], sides: Sides) -> Iterator[Side]:
    """Yield what replaces it."""
    with sides.lent(way[1]) as side:
        yield side


@pytest.fixture
def queue(redis_server: RedisServer) -> Iterator[Queue]:
    """Yield a look at the queue ``default``, past both versions."""
    with closing(Queue(redis_server)) as queue:
        yield queue


@pytest.fixture
def database(tmp_path: Path) -> str:
    """Return where an outbox may be."""
    return str(tmp_path / "outbox.db")
