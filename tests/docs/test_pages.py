"""What the pages tell their readers to write does run."""

import builtins
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from tests.docs.pages import READERS_REDIS, run_page
from tests.support.servers import RedisServer, free_port

ROOT = Path(__file__).parents[2]
PAGES = [
    page.relative_to(ROOT).as_posix()
    for page in [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]
]

ALONE = {"docs/guides/logging.md"}
"""Pages that change their whole process, as Sentry's SDK does."""


@pytest.fixture(scope="session")
def readers_redis() -> Iterator[RedisServer]:
    with RedisServer(port=free_port()) as server:
        yield server


@pytest.fixture
def redis_address(readers_redis: RedisServer) -> str:
    with closing(readers_redis.client()) as client:
        client.flushall()
    return f"127.0.0.1:{readers_redis.port}"


@pytest.fixture
def own_logging() -> Iterator[None]:
    """Leave logging as it was, whatever a page configures."""
    handlers, level = [*logging.root.handlers], logging.root.level
    yield
    logging.root.handlers = handlers
    logging.root.setLevel(level)


@pytest.mark.usefixtures("own_logging")
@pytest.mark.parametrize("page", [page for page in PAGES if page not in ALONE])
def test_every_block_of_the_page_runs(
    page: str, redis_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run_page(ROOT / page, redis_address)


@pytest.mark.parametrize("page", ALONE)
def test_every_block_of_the_page_runs_in_a_process_of_its_own(
    page: str, redis_address: str, tmp_path: Path
) -> None:
    code = "import sys; from pathlib import Path; from tests.docs.pages import run_page\n"
    code += "run_page(Path(sys.argv[1]), sys.argv[2])"
    done = subprocess.run(
        [sys.executable, "-c", code, ROOT / page, redis_address],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return a list that blocks reach as `seen`."""
    seen: list[object] = []
    monkeypatch.setattr(builtins, "seen", seen, raising=False)
    return seen


def a_page(folder: Path, *blocks: str) -> Path:
    page = folder / "page.md"
    page.write_text("\n".join(f"# A page\n```python\n{block}\n```\n" for block in blocks))
    return page


def test_blocks_share_names_and_may_await(tmp_path: Path, seen: list[object]) -> None:
    one = "import asyncio\nevent = asyncio.Event()"
    two = "event.set()\nseen.append(await event.wait())"
    run_page(a_page(tmp_path, one, two), "")
    assert seen == [True]


def test_classes_of_a_block_know_their_module(tmp_path: Path, seen: list[object]) -> None:
    block = "import sys\nclass A: ...\nseen.append(sys.modules[A.__module__].A is A)"
    run_page(a_page(tmp_path, block), "")
    assert seen == [True]


def test_the_readers_redis_is_replaced(tmp_path: Path, seen: list[object]) -> None:
    run_page(a_page(tmp_path, "seen.append('redis://127.0.0.1:6379/1')"), "elsewhere:1")
    assert seen == ["redis://elsewhere:1/1"]


def test_only_the_block_that_is_to_be_skipped_is_skipped(
    tmp_path: Path, seen: list[object]
) -> None:
    page = a_page(tmp_path, "seen.append(1)", "seen.append(2)", "seen.append(3)")
    skip = '<!-- skip: next "runs for ever" -->'
    page.write_text(
        page.read_text().replace("```python\nseen.append(2)", f"{skip}\n```python\n1 / 0")
    )
    run_page(page, "")
    assert seen == [1, 3]


def test_a_block_that_fails_names_its_line_in_the_page(tmp_path: Path) -> None:
    page = a_page(tmp_path, "pass", "pass\n1 / 0")
    with pytest.raises(ZeroDivisionError) as failure:
        run_page(page, "")
    line = page.read_text().splitlines().index("1 / 0")
    assert (failure.traceback[-1].path, failure.traceback[-1].lineno) == (page, line)


def set_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str | None) -> None:
    """Set an environment variable, or with None remove it."""
    if value is None:
        monkeypatch.delenv(name, raising=False)
    else:
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("uri", [None, f"redis://{READERS_REDIS}"], ids=["file", "redis"])
async def test_the_ten_lines_of_the_readme_run_and_can_be_imported_by_a_worker(
    uri: str | None, redis_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_variable(monkeypatch, "PYASYNQ_URI", uri and uri.replace(READERS_REDIS, redis_address))
    (source,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "hello.py").write_text(source)
    alone = await anyio.run_process([sys.executable, "hello.py"], cwd=tmp_path)
    words = ["-m", "pyasynq", "worker", "hello:app", "--burst"]
    worker = await anyio.run_process([sys.executable, *words], cwd=tmp_path)
    assert (alone.stdout, worker.stdout) == (b"Welcome, Bob!\n", b"")
    assert (tmp_path / "tasks.db").exists() is (uri is None)
