"""Fixtures of the tests that run on Redis and on a file of SQLite, for a conftest to import."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from pyasynq.broker import Broker, open_broker
from tests.support.key_audit import audit_keys

BROKERS = ("redis", "sqlite")

ON_ONE = pytest.mark.parametrize("address", ["sqlite"], indirect=True)
"""Marks a test for which it makes no difference which broker there is."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that uses a broker on both, or on those in ``ON`` of its module.

    A test with the mark `ON_ONE` is parametrized by that.
    """
    is_on_one = ON_ONE.mark in metafunc.definition.iter_markers("parametrize")
    if "address" in metafunc.fixturenames and not is_on_one:
        brokers = getattr(metafunc.module, "ON", BROKERS)
        metafunc.parametrize("address", brokers, indirect=True)


@pytest.fixture
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Yield the address of an empty broker."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/tasks.db"
        return
    server = request.getfixturevalue("redis_server")
    with audit_keys(server):
        yield server.url


@pytest.fixture
async def broker(address: str) -> AsyncIterator[Broker]:
    """Yield a broker, to prepare what is shown."""
    broker = open_broker(address)
    yield broker
    await broker.aclose()
