"""Fixtures of the browser's tests: a dashboard at an address, and a reader that opens it."""

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeAlias

import pytest
import uvicorn
from playwright.async_api import Browser, expect
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

import pyasynq
from pyasynq.broker import Broker, open_broker
from pyasynq.dashboard import Dashboard
from tests.support.chromium import PATIENCE_MS, Visitor, chromium
from tests.support.servers import RedisServer

expect.set_options(timeout=PATIENCE_MS)

Serve: TypeAlias = Callable[[ASGIApp], Any]


@pytest.fixture(scope="session")
async def browser() -> AsyncGenerator[Browser]:
    """One browser for all tests; each test has its own context."""
    async with chromium() as launched:
        yield launched


@pytest.fixture
async def visitor(browser: Browser) -> AsyncGenerator[Visitor]:
    """A reader that opens pages; fails the test if a page did something forbidden."""
    visitor = Visitor(browser)
    yield visitor
    await visitor.leave()
    assert visitor.faults == []


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncGenerator[str]:
    """Serve *app*, and yield its address without a slash at the end."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()  # who comes before the server has started waits for it
        config = uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await running


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Return a function that serves an app until the end of the test."""
    async with AsyncExitStack() as stack:

        async def start(app: ASGIApp) -> str:
            return await stack.enter_async_context(serving(app))

        yield start


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[pyasynq.Client]:
    """A client of an empty Redis."""
    async with pyasynq.Client(redis_url) as client:
        yield client


@pytest.fixture
async def broker(redis_url: str) -> AsyncIterator[Broker]:
    """An empty Redis."""
    broker = open_broker(redis_url)
    yield broker
    await broker.aclose()


@pytest.fixture
async def inspector(redis_url: str) -> AsyncIterator[pyasynq.Inspector]:
    """An inspector of an empty Redis."""
    async with pyasynq.Inspector(redis_url) as inspector:
        yield inspector


@pytest.fixture
async def site(redis_server: RedisServer, serve: Serve) -> AsyncIterator[str]:
    """The address of a dashboard, which is mounted at a prefix."""
    async with Dashboard(redis_server.url) as dashboard:
        yield f"{await serve(Starlette(routes=[Mount('/ops/queues', dashboard)]))}/ops/queues/"
