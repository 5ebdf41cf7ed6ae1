"""The example is a shop that works as its page says."""

import shutil
import signal
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.integrations.django import manage as manage_py
from tests.support.servers import free_port
from tests.support.waiting import wait_until

SHOP = Path(__file__).parents[3] / "examples/django_shop"

ENVIRON = {"DJANGO_SETTINGS_MODULE": "shop.settings"}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Return a copy of the example."""
    folder = tmp_path / "shop"
    shutil.copytree(SHOP, folder, ignore=shutil.ignore_patterns("*.db*", "__pycache__"))
    return folder


async def manage(shop: Path, *words: str) -> str:
    """Return the output of ``manage.py`` with *words*, which succeeds."""
    code, output = await manage_py.run(shop / "manage.py", *words, cwd=shop, environ=ENVIRON)
    assert code == 0, output
    return output


@pytest.fixture
async def site(shop: Path) -> AsyncGenerator[httpx.AsyncClient]:
    """Run the shop with a worker and a relay; yield a client of its pages."""
    await manage(shop, "migrate")
    port = free_port()
    async with AsyncExitStack() as stack:
        for words in (
            ["runserver", "--noreload", str(port)],
            ["pyasynq_worker"],
            ["pyasynq_relay"],
        ):
            started = manage_py.start(shop / "manage.py", *words, cwd=shop, environ=ENVIRON)
            process = await stack.enter_async_context(started)
            stack.callback(process.send, signal.SIGTERM)
        client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30)
        yield await stack.enter_async_context(client)


async def answers(site: httpx.AsyncClient) -> bool:
    try:
        return (await site.get("/orders/1/")).status_code == 404
    except httpx.TransportError:
        return False


async def test_an_order_is_confirmed_shipped_and_invoiced(site: httpx.AsyncClient) -> None:
    await wait_until(lambda: answers(site))
    answer = await site.post("/orders/", data={"customer": "ann@example.org"})
    assert (answer.status_code, answer.json()) == (201, {"order": 1})

    async def is_done() -> bool:
        done = {"confirmed": True, "shipped": True, "invoice": "invoice-1.pdf"}
        shown: dict[str, object] = (await site.get("/orders/1/")).json()
        return shown == done

    await wait_until(is_done)


async def test_the_tests_of_the_example_pass(shop: Path) -> None:
    assert "OK" in await manage(shop, "test")
    assert "No changes detected" in await manage(shop, "makemigrations", "--check")
