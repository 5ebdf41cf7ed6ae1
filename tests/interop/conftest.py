"""The Go program, built once for the tests that need it."""

import contextlib
import fcntl
import shutil
import subprocess
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.interop.gopeer import Peer, build

SOURCE = Path(__file__).parent / "peer"


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build before the first test, because a build without cache takes longer than a test may."""
    if any("go_program" in getattr(item, "fixturenames", ()) for item in session.items):
        with contextlib.suppress(OSError, subprocess.CalledProcessError):  # the fixture reports it
            built_program(session.config)


@pytest.fixture(scope="session")
def go_program(pytestconfig: pytest.Config) -> Path:
    """Return the Go program."""
    if shutil.which("go") is None:
        pytest.skip("there is no go on PATH, so no peer to speak with: install Go 1.25 or later")
    try:
        return built_program(pytestconfig)
    except subprocess.CalledProcessError as error:
        pytest.fail(f"the Go program does not build:\n{error.stderr}")


@pytest.fixture
def go_peer(go_program: Path, redis_url: str, r: Redis) -> Peer:
    """Return the Go program, bound to an empty Redis."""
    return Peer(go_program, redis_url)


def built_program(config: pytest.Config) -> Path:
    """Build the Go program if it is not up to date; parallel processes build in turn."""
    program = config.cache.mkdir("go-peer") / "peer"
    with (program.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        build(SOURCE, program)
    return program
