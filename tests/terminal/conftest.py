"""Dashboards on Redis and on a file of SQLite, which read more often than a person needs."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from textual._compositor import Compositor
from textual._context import visible_screen_stack
from textual.screen import Screen

import pyasynq
from pyasynq.broker import Broker
from pyasynq.terminal import page
from tests.dashboard.browser.shop import Shop
from tests.support.addresses import address, broker, pytest_generate_tests
from tests.support.factories import a_pending, a_server, a_worker, an_entry, enqueue

__all__ = ["address", "broker", "pytest_generate_tests"]


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read three times a second, whatever a reading costs."""
    monkeypatch.setattr(page, "INTERVAL_S", 0.3)
    monkeypatch.setattr(page.Page, "COST", 1)
    monkeypatch.setattr(page, "TICK_S", 0.3)


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw only what a test looks at: there is no terminal that needs each change of the screen."""

    def skip(compositor: Compositor, *, screen_stack: list[Screen[Any]] | None = None) -> None:
        visible_screen_stack.set(screen_stack or [])
        compositor._dirty_regions.clear()

    monkeypatch.setattr(Compositor, "render_update", skip)


@pytest.fixture
async def inspector(broker: Broker) -> pyasynq.Inspector:
    """Return an inspector of the broker."""
    return pyasynq.Inspector(broker)


@pytest.fixture
async def client(address: str) -> AsyncIterator[pyasynq.Client]:
    """Yield a client of the broker."""
    async with pyasynq.Client(address) as client:
        yield client


@pytest.fixture
async def stage(broker: Broker) -> None:
    """Have a task, a server that runs another one, and an entry of a scheduler; none is real."""
    await enqueue(broker, a_pending("9", type="play"))
    server = a_server("s", a_worker(), host="stage", pid=7, version="0.1.0")
    await broker.registry.write_server(server, ttl_s=3600)
    await broker.schedules.write_entries("scheduler", [an_entry()], ttl_s=3600)


@pytest.fixture
async def shop(address: str, client: pyasynq.Client) -> AsyncIterator[Shop]:
    """Yield a worker with tasks in several states."""
    async with Shop(address, client).running() as shop:
        yield shop
