"""The example examples/fastapi_shop runs as its first lines say."""

import shutil
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.support.programs import running
from tests.support.servers import RedisServer
from tests.support.waiting import wait_until
from tests.support.web import calling

EXAMPLE = Path(__file__).parents[3] / "examples" / "fastapi_shop" / "shop.py"


@pytest.fixture(scope="module", params=["development", "production"])
def socket(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Path]:
    """Yield the socket of the shop, which runs in one process, or in two with Redis."""
    folder = tmp_path_factory.mktemp("shop")
    shutil.copy(EXAMPLE, folder)
    socket = folder / "http.sock"
    with ExitStack() as stack:
        environment = {"SHOP_WORKER": "1"}
        if request.param == "production":
            environment = {"PYASYNQ_URI": stack.enter_context(RedisServer()).url}
            worker = running(["pyasynq", "worker", "shop:app"], folder, environment)
            stack.enter_context(worker)
        words = ["uvicorn", "shop:web", f"--uds={socket}"]
        stack.enter_context(running(words, folder, environment))
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


async def test_a_report_that_is_made_soon_is_the_response(client: httpx.AsyncClient) -> None:
    response = await client.post("/reports/2026-05?wait=60")
    assert response.json() == {"month": "2026-05", "sold": "many books"}


async def test_a_report_that_takes_longer_can_be_awaited_by_its_events(
    client: httpx.AsyncClient,
) -> None:
    response = await client.post("/reports/2026-05?seconds=4&wait=0")
    assert response.status_code == 202
    place = response.headers["location"]
    events = (await client.get(f"{place}/events")).text
    assert 'event: result\nid: end\ndata: {"month":"2026-05"' in events
    assert (await client.get(place)).status_code == 200
