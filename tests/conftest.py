"""Fixtures for all tests: a Redis that is empty at the start and audited at the end."""

import gc
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Final

import hypothesis
import pytest
from redis.asyncio import Redis
from redis.driver_info import DriverInfo

from pyasynq import Clock
from pyasynq.broker import Broker
from tests.support.brokers import KINDS, broker_of
from tests.support.key_audit import audit_keys
from tests.support.servers import PasswordRedis, RedisCluster, RedisSentinel, RedisServer, TlsRedis
from tests.support.waiting import Lapse

# Many tests start programs of this repository. Without cached bytecode, which some machines forbid,
# compiling takes half of their start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# The programs that tests start must get these signals. A process that ignores a signal passes that
# on to its children: nohup does so, and a shell with jobs in the background.
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

# The duration of one example depends more on the machine than on the code.
hypothesis.settings.register_profile("pyasynq", deadline=None)
hypothesis.settings.load_profile("pyasynq")

DRIVER_INFO = DriverInfo()
"""Given to clients, each of which would else read the version of the driver from its files."""


LASTING = [
    Path(__file__).parents[1] / name
    for name in (
        "services/member/tests/faults/test_kills.py",
        "services/member/tests/test_image.py",
        "services/member/tests/test_demo.py",
        "services/member/tests/test_tutorial.py",
        "services/member/tests/faults/test_database_away.py",
        "services/member/tests/faults/test_many_programs.py",
        "services/member/tests/faults/test_redis_away.py",
        "tests/e2e/test_followers_of_killed_workers.py",
        "tests/e2e/test_flows_of_killed_workers.py",
        "tests/e2e/test_batches_of_killed_workers.py",
        "tests/e2e/test_maps_of_killed_workers.py",
        "tests/e2e/test_subflows_of_killed_workers.py",
        "tests/e2e/test_workers.py",
        "tests/cli/test_shutdown.py",
        "tests/differential/test_sequences.py",
        "tests/e2e/test_memory.py",
        "tests/integrations/flask/test_gunicorn.py",
        "services/member/tests/test_unfinished_calls.py",
        "tests/broker/test_state_machine.py",
        "tests/deploy/test_image.py",
        "tests/e2e/sqlite/test_soak.py",
        "tests/e2e/sqlite/test_kills.py",
        "services/member/tests/test_openapi.py",
        "services/member/tests/test_fuzz_rpc.py",
    )
]
"""The files with tests that take longer than five seconds; like those of `UPGRADE` they last."""

UPGRADE: Final = Path(__file__).parent / "upgrade"
"""Their first test installs earlier versions, each into an environment of its own."""

assert [str(path) for path in LASTING if not path.exists()] == []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests that last, and let each worker begin with them, so that none ends with one.

    Workers get equal shares of the tests, in order.
    """
    count: int = getattr(config, "workerinput", {"workercount": 1})["workercount"]
    of_file: dict[Path, list[pytest.Item]] = {path: [] for path in LASTING}
    short: list[pytest.Item] = []
    for item in items:
        of_file.get(item.path, short).append(item)
        if item.path in of_file or UPGRADE in item.path.parents:
            item.add_marker("lasting")
    files, others = list(of_file.values()), iter(short)
    shares: list[pytest.Item] = []
    for number in range(count):
        shares += chain(*files[number::count])
        end = len(items) * (number + 1) // count
        shares += islice(others, max(end - len(shares), 0))
    items[:] = shares


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect the tests without garbage collections, and keep them out of all later ones.

    The tests stay until the end: looking for garbage among them would take a quarter of the time.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run async tests on asyncio, the only loop there is for Redis."""
    return "asyncio"


@pytest.fixture
def lapse() -> Lapse:
    """Return the time since the test began."""
    return Lapse()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """Yield this test process's own Redis."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """Return the address of an empty Redis."""
    return redis_server.url


@pytest.fixture
async def r(redis_url: str) -> AsyncIterator[Redis]:
    """Yield a client of an empty Redis."""
    async with Redis.from_url(redis_url, driver_info=DRIVER_INFO) as client:
        yield client


@pytest.fixture(params=KINDS)
async def broker(
    request: pytest.FixtureRequest, redis_server: RedisServer
) -> AsyncIterator[Broker]:
    """Yield an empty broker of each kind, for tests of the layers above."""
    async with broker_of(request.param, redis_server, Clock()) as broker:
        yield broker


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisCluster]:
    """Yield a cluster of three masters; the test leaves it as it found it."""
    with RedisCluster() as cluster:
        yield cluster


@pytest.fixture
def redis_sentinel() -> Iterator[RedisSentinel]:
    """Yield a master with replica and sentinel, which the test may break."""
    with RedisSentinel() as sentinel:
        yield sentinel


@pytest.fixture(scope="session")
def redis_with_password() -> Iterator[PasswordRedis]:
    """Yield a Redis that wants a name and a password."""
    with PasswordRedis() as server:
        yield server


@pytest.fixture(scope="session")
def redis_with_tls() -> Iterator[TlsRedis]:
    """Yield a Redis that speaks TLS and wants a certificate."""
    with TlsRedis() as server:
        yield server


@pytest.fixture(autouse=True)
def key_audit(request: pytest.FixtureRequest) -> Iterator[None]:
    """Empty Redis before a test that uses it; afterwards refuse keys that asynq does not know."""
    if "redis_server" not in request.fixturenames:
        yield
        return
    with audit_keys(request.getfixturevalue("redis_server")):
        yield
