"""Views enqueue, wait and write an outbox under gunicorn, whatever its workers are."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from pyasynq import Client, Inspector, QueueNotFoundError, TaskNotFoundError
from pyasynq.outbox import Relay
from tests.integrations.flask.shop_data import Base, outbox
from tests.support.fork_server import start_forked
from tests.support.programs import ENDED_BY_SIGTERM, running
from tests.support.servers import RedisServer
from tests.support.waiting import wait_until
from tests.support.web import calling

ROOT = Path(__file__).parents[3]
SHOP = "tests.integrations.flask.gunicorn_shop"

GEVENT = "--worker-class=gevent"
WORKERS = ["--workers=2", "--worker-class=gthread --threads=4", GEVENT]
PRELOADED = [f"{workers} --preload" for workers in WORKERS]
"""These load the shop before the fork, not after it in each worker."""

IMPORTS = (
    "flask",
    "gunicorn.app.wsgiapp",
    "gunicorn.workers.gthread",
    "pyasynq.app",
    "pyasynq.broker.redis",
    "pyasynq.broker.sqlite",
    "pyasynq.integrations.flask",
    "sqlalchemy.dialects.sqlite",
    "tests.integrations.flask.shop_data",
)
"""The modules that take most of the start of gunicorn and of the shop, which is not among them."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of the shop's data."""
    file = tmp_path_factory.mktemp("data") / "shop.db"
    engine = create_engine(f"sqlite:///{file}")
    Base.metadata.create_all(engine)
    engine.dispose()
    return file


def environment_with(data: Path, url: str) -> dict[str, str]:
    """Return the environment of the shop's programs."""
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    return {"SHOP_TASKS": url, "SHOP_DATA": f"sqlite:///{data}", "PYTHONPATH": path}


@pytest.fixture(scope="module")
def on_redis(data: Path) -> Generator[dict[str, str]]:
    """Yield the environment of a shop on Redis, whose tasks are run.

    Its programs use their Redis all the time; the tests' own is emptied between the tests.
    """
    with RedisServer() as server:
        environment = environment_with(data, server.url)
        with running(["pyasynq", "worker", f"{SHOP}:app"], ROOT, environment):
            yield environment


@pytest.fixture(scope="module")
def on_sqlite(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[dict[str, str]]:
    """Yield the environment of a shop on SQLite, whose tasks are run."""
    file = tmp_path_factory.mktemp("tasks") / "tasks.db"
    environment = environment_with(data, f"sqlite:///{file}")
    with running(["pyasynq", "worker", f"{SHOP}:app"], ROOT, environment):
        yield environment


@pytest.mark.parametrize("options", [*WORKERS, *PRELOADED])
async def test_views_work_side_by_side_on_redis(
    options: str, on_redis: dict[str, str], data: Path, tmp_path: Path
) -> None:
    await call_views(options, on_redis, data, tmp_path / "http.sock")


@pytest.mark.parametrize("options", PRELOADED)
async def test_views_work_side_by_side_on_sqlite_after_a_fork(
    options: str, on_sqlite: dict[str, str], data: Path, tmp_path: Path
) -> None:
    await call_views(options, on_sqlite, data, tmp_path / "http.sock")


async def call_views(options: str, environment: dict[str, str], data: Path, socket: Path) -> None:
    """Call all views of a shop under gunicorn with *options*; one start serves all checks."""
    words = ["gunicorn", f"--bind=unix:{socket}", "--no-control-socket", *options.split()]
    url = environment["SHOP_TASKS"]
    start = executed if GEVENT in options else forked
    async with start([*words, f"{SHOP}:flask"], environment), calling(socket) as client:
        await check_that_results_arrive(client)
        await check_that_a_waiting_view_lets_others_be_served(client, url)
        await check_that_a_scoped_session_writes_the_outbox(client, url, data)


@asynccontextmanager
async def executed(words: list[str], environment: dict[str, str]) -> AsyncGenerator[None]:
    """Run a program as users do: gevent changes modules that others would have imported before."""
    with running(words, ROOT, environment):
        yield


@asynccontextmanager
async def forked(words: list[str], environment: dict[str, str]) -> AsyncGenerator[None]:
    """Run a program without waiting for its imports; then SIGTERM must end it."""
    stderr = 2
    process = start_forked(
        words, imports=IMPORTS, variables=environment, folder=ROOT, output=stderr
    )
    try:
        yield
        process.send_signal(signal.SIGTERM)
        assert await process.wait() in ENDED_BY_SIGTERM
    finally:
        await process.kill_and_wait()


async def check_that_results_arrive(client: httpx.AsyncClient) -> None:
    responses = await asyncio.gather(*(client.post(f"/sums/{n}/1") for n in range(8)))
    assert [response.json() for response in responses] == [n + 1 for n in range(8)]


async def check_that_a_waiting_view_lets_others_be_served(
    client: httpx.AsyncClient, url: str
) -> None:
    async def is_there() -> bool:
        try:
            return bool(await inspector.task_info("default", "meeting"))
        except (QueueNotFoundError, TaskNotFoundError):
            return False

    async with Inspector(url) as inspector:
        waiting = asyncio.create_task(client.post("/meetings/meeting"))
        await wait_until(is_there)
        assert (await client.put("/meetings/meeting")).text == "begun"
        assert (await waiting).status_code == 200
        await inspector.delete_task("default", "meeting")


async def check_that_a_scoped_session_writes_the_outbox(
    client: httpx.AsyncClient, url: str, data: Path
) -> None:
    task_id, pid = (await client.post("/orders")).json()
    engine = create_async_engine(f"sqlite+aiosqlite:///{data}")
    async with Client(url) as broker:
        await Relay(outbox, engine, broker).step()
    await engine.dispose()
    assert (await client.get(f"/orders/{task_id}")).json() == [SHOP, pid]
