"""Fixtures: apps."""

from pathlib import Path

import pytest

from pyasynq import App


@pytest.fixture
def app(tmp_path: Path) -> App:
    """Return an app whose tasks are in a file."""
    return App(f"sqlite:///{tmp_path}/tasks.db")


@pytest.fixture(params=["redis", "sqlite"])
def app_of_each(request: pytest.FixtureRequest, tmp_path: Path, redis_url: str) -> App:
    """Return an app on an empty broker of each kind."""
    return App(redis_url if request.param == "redis" else f"sqlite:///{tmp_path}/tasks.db")
