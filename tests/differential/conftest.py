"""Fixtures: Go and Python, each with a Redis of its own."""

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.differential.go_side import GoSide
from tests.differential.pair import Pair
from tests.differential.python_side import PythonSide
from tests.interop.conftest import go_program, pytest_collection_finish
from tests.support.servers import RedisServer

__all__ = ["go_program", "pytest_collection_finish"]


@pytest.fixture(scope="session")
def go_redis() -> Iterator[RedisServer]:
    """Yield Go's Redis."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def go_side(go_program: Path, go_redis: RedisServer) -> Iterator[GoSide]:
    """Yield Go's side, a running Go program."""
    with closing(GoSide(go_program, go_redis.url)) as side:
        yield side


@pytest.fixture
async def pair(
    go_side: GoSide, go_redis: RedisServer, redis_server: RedisServer
) -> AsyncIterator[Pair]:
    """Yield both sides; Python uses the Redis whose keys are audited after the test."""
    python = PythonSide(redis_server.url)
    with closing(go_redis.client()) as go_client, closing(redis_server.client()) as python_client:
        pair = Pair(go=go_side, python=python, go_redis=go_client, python_redis=python_client)
        await pair.open()
        yield pair
        await pair.close()
    await python.aclose()
