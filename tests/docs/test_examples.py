"""Each program in ``examples/`` does what its first lines say, on SQLite and on Redis."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.cli.processes import worker
from tests.support.servers import free_port
from tests.support.waiting import wait_until

EXAMPLES: Final = Path(__file__).parents[2] / "examples"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the examples, in which they may write."""
    return Path(shutil.copytree(EXAMPLES, tmp_path / "examples"))


@pytest.fixture(params=["sqlite", "redis"])
def environ(request: pytest.FixtureRequest) -> dict[str, str]:
    """Return the variables of a reader: none for SQLite, or a Redis."""
    if request.param == "sqlite":
        return {}
    return {"PYASYNQ_URI": request.getfixturevalue("redis_url")}


def run(folder: Path, name: str, environ: Mapping[str, str]) -> str:
    """Run the program *name* to its end and return what it printed."""
    program = [sys.executable, name]
    env = {**os.environ, **environ}
    return subprocess.run(
        program, cwd=folder, env=env, check=True, capture_output=True, text=True, timeout=120
    ).stdout


def test_hello(folder: Path, environ: dict[str, str]) -> None:
    lines = run(folder, "hello.py", environ).splitlines()
    assert [line.split("!")[0] for line in lines] == ["Hello, Alice", "Hello, Bob"]


async def test_newsletter(folder: Path, environ: dict[str, str]) -> None:
    said = await asyncio.to_thread(run, folder, "newsletter.py", environ)
    assert said.startswith("enqueued newsletter:send as ")
    async with worker("newsletter:app", "--burst", cwd=folder, environ=environ) as process:
        assert await process.wait_for_end() == 0
    for reader in ("ann", "ben", "cho"):
        assert process.lines.count(f"to {reader}@example.org: News (try 1)") == 1
    assert "the outbox is closed" in process.lines


def test_rolling_restart(folder: Path, environ: dict[str, str]) -> None:
    assert "-- 20 tasks done, each once: True" in run(folder, "rolling_restart.py", environ)


async def test_signup(folder: Path, environ: dict[str, str]) -> None:
    address = ("127.0.0.1", free_port())
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        *("signup_wsgi.py", str(address[1])),
        cwd=folder,
        env={**os.environ, **environ},
    )
    try:
        await wait_until(lambda: _accepts(address))
        url = f"http://{address[0]}:{address[1]}/"
        answer = await asyncio.to_thread(_post, url, b"email=ann@example.org")
    finally:
        program.terminate()
        await program.wait()
    assert answer.startswith("you will get a mail")
    async with worker("signup_wsgi:app", "--burst", cwd=folder, environ=environ) as process:
        await process.wait_for_line("welcome mail sent to ann@example.org")


def _accepts(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address).close()
    except ConnectionRefusedError:
        return False
    return True


def _post(url: str, body: bytes) -> str:
    with urllib.request.urlopen(url, data=body, timeout=60) as response:
        return response.read().decode()
