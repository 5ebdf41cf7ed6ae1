"""The example examples/flask_shop runs as its first lines say."""

import shutil
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.support.programs import running
from tests.support.waiting import wait_until
from tests.support.web import calling

EXAMPLE = Path(__file__).parents[3] / "examples" / "flask_shop"


@pytest.fixture(scope="module")
def socket(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """Yield the socket of the shop, whose programs run."""
    folder = tmp_path_factory.mktemp("shop")
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True)
    socket = folder / "http.sock"
    gunicorn = ["gunicorn", f"--bind=unix:{socket}", "--no-control-socket", "--workers=2"]
    subprocess.run([sys.executable, "shop.py"], cwd=folder, check=True)
    with ExitStack() as stack:
        stack.enter_context(running([*gunicorn, "--preload", "shop:create_app()"], folder, {}))
        stack.enter_context(running(["pyasynq", "worker", "worker:app"], folder, {}))
        stack.enter_context(running(["pyasynq", "relay", "worker:relay"], folder, {}))
        yield socket


@pytest.fixture
async def client(socket: Path) -> AsyncGenerator[httpx.AsyncClient]:
    """Yield a client of the shop."""
    async with calling(socket) as client:
        yield client


async def test_an_order_is_shipped_after_its_commit(client: httpx.AsyncClient) -> None:
    created = await client.post("/orders/book")
    assert created.status_code == 201

    async def is_shipped() -> bool:
        order = await client.get(f"/orders/{created.json()['id']}")
        return bool(order.json() == {"item": "book", "state": "shipped"})

    await wait_until(is_shipped)


async def test_a_report_is_the_response(client: httpx.AsyncClient) -> None:
    report = {"month": "2026-05", "sold": "many books"}

    async def is_made() -> bool:
        return bool((await client.post("/reports/2026-05")).json() == report)

    await wait_until(is_made)
