"""The plugin of pytest: its fixtures, setting and mark, in programs of users."""

from pathlib import Path

import pytest

from tests.cli.processes import forked

IMPORTS = (
    "_pytest.assertion.rewrite",
    "_pytest.python",
    "anyio._backends._asyncio",
    "pyasynq.app",
    "pyasynq.broker.redis",
    "pyasynq.broker.sqlite",
    "pyasynq.testing.kit",
    "pytest",
)
"""The modules that take most of the start of pytest and of the kit; the plugins are not among them:
pytest wants to import them itself.
"""

PLUGINS = ("-p", "pyasynq.testing.plugin", "-p", "anyio.pytest_plugin")
"""The plugin of these sources, and what runs async tests. Others that are here load slowly."""

SHOP = """
import pyasynq

app = pyasynq.App("redis://127.0.0.1:1")
done = []

@app.task("buy")
async def buy(item: str) -> None:
    done.append(item)
"""

TESTS = """
import pyasynq, pytest, unittest
from shop import app, buy, done

async def test_in_a_loop(tasks):
    await buy.enqueue("tea")
    tasks.assert_enqueued(buy, item="tea")
    assert len(await tasks.drain()) == 1

def test_without_a_loop(sync_tasks):
    with pyasynq.SyncClient("redis://127.0.0.1:1") as client:
        client.enqueue(buy.task("tea"))
    assert len(sync_tasks.drain()) == 1

@pytest.mark.pyasynq(inline=True)
class TestInline:
    async def test_in_a_loop(self, tasks):
        await buy.enqueue("coffee")
        assert done[-1] == "coffee"

    @pytest.mark.pyasynq(inline=False)
    async def test_not_inline(self, tasks):
        await buy.enqueue("water")
        tasks.assert_enqueued(buy)
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Return a folder with an app and its tests."""
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "test_shop.py").write_text(TESTS)
    configure(tmp_path)
    return tmp_path


def configure(folder: Path, setting: str = "pyasynq_app = shop:app") -> None:
    (folder / "pytest.ini").write_text(
        f"[pytest]\nanyio_mode = auto\npythonpath = .\nfilterwarnings = error\n{setting}\n"
    )
    (folder / "conftest.py").write_text(
        "import pytest\n@pytest.fixture\ndef anyio_backend(): return 'asyncio'\n"
    )


async def run_pytest(folder: Path, *words: str, imports: tuple[str, ...] = IMPORTS) -> str:
    """Return the output of pytest, whose process has imported *imports* before."""
    command = ("pytest", *PLUGINS, "-p", "no:cacheprovider", *words)
    variables = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    async with forked(*command, imports=imports, cwd=folder, environ=variables) as process:
        await process.wait_for_end()
    return "\n".join(process.lines)


async def test_the_fixtures_serve_the_app_of_the_setting(shop: Path) -> None:
    assert "4 passed" in await run_pytest(shop)


async def test_each_worker_of_xdist_has_tasks_of_its_own(shop: Path) -> None:
    assert "4 passed" in await run_pytest(shop, "-p", "xdist", "-n", "2")


async def test_a_fixture_may_take_the_place_of_the_setting(shop: Path) -> None:
    configure(shop, "")
    conftest = shop / "conftest.py"
    lines = "from shop import app\n@pytest.fixture\ndef pyasynq_app(): return app\n"
    conftest.write_text(conftest.read_text() + lines)
    assert "4 passed" in await run_pytest(shop)


async def test_without_an_app_a_drain_says_where_to_name_one(shop: Path) -> None:
    configure(shop, "")
    output = await run_pytest(shop, "-k", "test_without_a_loop")
    assert "the setting pyasynq_app = shop.tasks:app" in output


async def test_a_setting_that_names_no_app_is_refused(shop: Path) -> None:
    configure(shop, "pyasynq_app = shop:application")
    output = await run_pytest(shop, "-k", "test_without_a_loop")
    assert "the setting pyasynq_app = shop:application names no app" in output


async def test_a_clock_of_the_user_is_that_of_the_tasks(shop: Path) -> None:
    (shop / "test_shop.py").write_text(
        "import datetime, pytest\n"
        "from pyasynq.testing import TravelClock\n"
        "NOON = datetime.datetime(2026, 3, 4, 12, tzinfo=datetime.UTC)\n"
        "@pytest.fixture\n"
        "def pyasynq_clock(): return TravelClock(NOON)\n"
        "def test_now(sync_tasks): assert sync_tasks.now == NOON\n"
    )
    assert "1 passed" in await run_pytest(shop)


async def test_a_call_that_was_not_awaited_is_an_error_of_the_test(shop: Path) -> None:
    (shop / "test_shop.py").write_text(
        "from shop import buy\nasync def test_buy(tasks): buy.enqueue('tea')\n"
    )
    output = await run_pytest(shop)
    assert "enqueue() of 'buy' was never awaited at" in output
    assert "1 passed, 1 error" in output


async def test_a_run_without_the_fixtures_imports_none_of_it(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import sys\n"
        "def test_it():\n"
        "    names = {name for name in sys.modules if name.startswith('pyasynq')}\n"
        "    assert names == {'pyasynq', 'pyasynq.testing', 'pyasynq.testing.plugin'}\n"
    )
    assert "1 passed" in await run_pytest(tmp_path, imports=("pytest",))


async def test_the_fixtures_and_the_mark_are_described(shop: Path) -> None:
    assert "pyasynq(inline=False, now=None, **options)" in await run_pytest(shop, "--markers")
    output = await run_pytest(shop, "--fixtures")
    assert "tasks -- " in output
    assert "Yield the `Tasks` of this test; all tasks of the process are in them." in output
