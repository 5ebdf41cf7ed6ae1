"""Fixtures for the tests of the test kit."""

import pytest

from pyasynq import App, TypedTask

NOWHERE = "redis://127.0.0.1:1"
"""An address at which no server is: a test that reaches it fails."""


@pytest.fixture
def pyasynq_app() -> App:
    """Return the app that `tasks` and `sync_tasks` run."""
    return App(NOWHERE, queues={"critical": 2, "default": 1})


@pytest.fixture
def greetings() -> list[str]:
    """Return what `welcome` has written."""
    return []


@pytest.fixture
def welcome(pyasynq_app: App, greetings: list[str]) -> TypedTask[..., str]:
    """Return a task that writes a greeting."""

    @pyasynq_app.task("email:welcome")
    async def welcome(name: str, locale: str = "en") -> str:
        greetings.append(f"{name} ({locale})")
        return f"welcome, {name}"

    return welcome
