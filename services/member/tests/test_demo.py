"""The demo: it shows what it says, and leaves nothing behind."""

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.waiting import wait_until

PROCESS = re.compile(r"process: (\d+)")


@asynccontextmanager
async def demo(folder: Path, *arguments: str, **variables: str) -> AsyncGenerator[Process]:
    """Run the demo with *folder* for everything temporary."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "member.demo",
        *arguments,
        env={**os.environ, **variables, "TMPDIR": str(folder)},
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def output_until(process: Process, text: str) -> str:
    assert process.stdout is not None
    said = ""
    while text not in said:
        line = await process.stdout.readline()
        assert line, f"the demo ended before it said {text!r}:\n{said}"
        said += line.decode()
    return said


def commands_with(text: str) -> list[str]:
    """Return what runs with *text* in its command line or its folder."""
    folders = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    commands = [command_of(folder) for folder in folders]
    return [command for command in commands if text in command]


def left_behind(folder: Path) -> list[str]:
    """Return the files in *folder* and the commands that run there."""
    return [*map(str, folder.iterdir()), *commands_with(str(folder))]


def command_of(folder: Path) -> str:
    try:
        return (folder / "cmdline").read_text() + str((folder / "cwd").readlink())
    except OSError:  # it has ended meanwhile
        return ""


async def test_the_demo_shows_the_mail_travel_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async with demo(tmp_path, "--delay", "1") as process:
        said, complaints = await process.communicate()
    assert (process.returncode, complaints.decode()) == (0, "")
    steps = ["Member created", "Task written", "picked the task up", "Mail arrived", "verified at"]
    found = [said.decode().find(step) for step in steps]
    assert found == sorted(found)
    assert min(found) > 0
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupted_demo_leaves_nothing_behind(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with demo(tmp_path) as process:
        await output_until(process, "Waiting until the task is due")
        assert len(commands_with(str(tmp_path))) == 2
        process.send_signal(number)
        _, complaints = await process.communicate()
    assert (process.returncode, b"interrupted" in complaints) == (130, True)
    assert left_behind(tmp_path) == []


async def test_a_demo_that_fails_says_why_and_shows_the_logs(tmp_path: Path) -> None:
    async with demo(tmp_path, "--delay", "0") as process:
        _, complaints = await process.communicate()
    assert process.returncode == 1
    assert "the service ended before it said" in complaints.decode()
    assert "VERIFY_EMAIL_DELAY: must be 1s to 720h" in complaints.decode()
    assert left_behind(tmp_path) == []


async def test_a_demo_whose_service_dies_fails(tmp_path: Path) -> None:
    async with demo(tmp_path) as process:
        found = PROCESS.search(await output_until(process, "Waiting until the task is due"))
        assert found is not None
        os.kill(int(found[1]), signal.SIGKILL)
        _, complaints = await process.communicate()
    assert process.returncode == 1
    assert "the service ended before it said 'processing task'" in complaints.decode()
    await wait_until(lambda: commands_with(str(tmp_path)) == [])


async def test_without_redis_the_demo_says_what_to_install(tmp_path: Path) -> None:
    async with demo(tmp_path, PATH="/nowhere") as process:
        _, complaints = await process.communicate()
    assert process.returncode == 1
    assert "redis-server is missing: install it" in complaints.decode()
