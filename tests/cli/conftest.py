"""Commands run in this process, on an empty Redis and with an empty home folder."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyasynq import SyncClient
from tests.cli.command_runner import CommandRunner


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty home folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def run_cli(
    home: Path,
    redis_url: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> CommandRunner:
    """Return a function that runs a command."""
    # An app keeps the address that an earlier command gave it.
    monkeypatch.delitem(sys.modules, "tests.cli.apps", raising=False)
    monkeypatch.setenv("PYASYNQ_URI", redis_url)
    monkeypatch.setenv("TZ", "UTC")
    return CommandRunner(capsys)


@pytest.fixture
def sync_client(redis_url: str) -> Iterator[SyncClient]:
    """Yield a client for tests that do not await."""
    with SyncClient(redis_url) as client:
        yield client
