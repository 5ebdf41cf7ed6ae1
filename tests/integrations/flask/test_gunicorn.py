"""Views enqueue, wait and write an outbox under gunicorn, whatever its workers are."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from pyasynq import Client, Inspector, QueueNotFoundError, TaskNotFoundError
from pyasynq.outbox import Relay
from tests.integrations.flask.shop_data import Base, outbox
from tests.support.programs import running
from tests.support.servers import RedisServer
from tests.support.waiting import wait_until
from tests.support.web import calling

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, kw_only=True)
class Shop:
    """A shop that runs: its socket, and the address of its broker."""

    socket: Path
    broker: str


SHOP = "tests.integrations.flask.gunicorn_shop"

WORKERS = {
    "sync": ["--workers=2"],
    "gthread": ["--worker-class=gthread", "--threads=4"],
    "gevent": ["--worker-class=gevent"],
}
PRELOAD = ["--preload"]
"""Load the shop before the fork, not after it in each worker."""

CASES = [
    *[("redis", [*options]) for options in WORKERS.values()],
    *[("redis", [*options, *PRELOAD]) for options in WORKERS.values()],
    *[("sqlite", [*options, *PRELOAD]) for options in WORKERS.values()],
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of the shop's data."""
    file = tmp_path_factory.mktemp("data") / "shop.db"
    engine = create_engine(f"sqlite:///{file}")
    Base.metadata.create_all(engine)
    engine.dispose()
    return file


@pytest.fixture(scope="module")
def environments(
    data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Generator[dict[str, dict[str, str]]]:
    """Yield the environment of programs for each broker, whose tasks a worker runs.

    The programs use their brokers all the time, so the tests' own Redis, which is emptied between
    the tests, will not do.
    """
    file = tmp_path_factory.mktemp("tasks") / "tasks.db"
    shop = {
        "SHOP_DATA": f"sqlite:///{data}",
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
    }
    worker = ["pyasynq", "worker", f"{SHOP}:app"]
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer())
        urls = {"redis": redis.url, "sqlite": f"sqlite:///{file}"}
        environments = {broker: {**shop, "SHOP_TASKS": url} for broker, url in urls.items()}
        stack.enter_context(running(worker, ROOT, environments["redis"]))
        stack.enter_context(running(worker, ROOT, environments["sqlite"]))
        yield environments


@pytest.fixture(scope="module", params=CASES, ids=lambda case: " ".join([case[0], *case[1]]))
def shop(
    request: pytest.FixtureRequest,
    environments: dict[str, dict[str, str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Generator[Shop]:
    """Yield the shop under gunicorn with each kind of workers."""
    broker, options = request.param
    environment = environments[broker]
    socket = tmp_path_factory.mktemp("http") / "http.sock"
    words = ["gunicorn", f"--bind=unix:{socket}", "--no-control-socket", *options]
    with running([*words, f"{SHOP}:flask"], ROOT, environment):
        yield Shop(socket=socket, broker=environment["SHOP_TASKS"])


@pytest.fixture
async def client(shop: Shop) -> AsyncGenerator[httpx.AsyncClient]:
    """Yield a client of the shop."""
    async with calling(shop.socket) as client:
        yield client


async def test_views_wait_for_results(client: httpx.AsyncClient) -> None:
    responses = await asyncio.gather(*(client.post(f"/sums/{n}/1") for n in range(8)))
    assert [response.json() for response in responses] == [n + 1 for n in range(8)]


async def test_while_a_view_waits_others_are_served(client: httpx.AsyncClient, shop: Shop) -> None:
    async def is_there() -> bool:
        try:
            return bool(await inspector.task_info("default", "meeting"))
        except (QueueNotFoundError, TaskNotFoundError):
            return False

    async with Inspector(shop.broker) as inspector:
        waiting = asyncio.create_task(client.post("/meetings/meeting"))
        await wait_until(is_there)
        assert (await client.put("/meetings/meeting")).text == "begun"
        assert (await waiting).status_code == 200
        await inspector.delete_task("default", "meeting")


async def test_a_scoped_session_writes_the_outbox(
    client: httpx.AsyncClient, shop: Shop, data: Path
) -> None:
    task_id, pid = (await client.post("/orders")).json()
    engine = create_async_engine(f"sqlite+aiosqlite:///{data}")
    async with Client(shop.broker) as broker:
        await Relay(outbox, engine, broker).step()
    await engine.dispose()
    assert (await client.get(f"/orders/{task_id}")).json() == [SHOP, pid]
