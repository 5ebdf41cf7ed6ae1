"""Commands run in this process, on an empty Redis, away from the home folder of who runs them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pyasynq import SyncClient
from tests.cli.saying import Say


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty home folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def say(
    home: Path,
    redis_url: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Say:
    """Return what runs a command and tells how it went."""
    monkeypatch.setenv("PYASYNQ_URI", redis_url)
    monkeypatch.setenv("TZ", "UTC")
    return Say(capsys)


@pytest.fixture
def enqueuing(redis_url: str) -> Iterator[SyncClient]:
    """Yield a client for tests that do not await."""
    with SyncClient(redis_url) as client:
        yield client
