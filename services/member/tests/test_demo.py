"""The demo shows its steps and leaves nothing behind."""

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from member.demo.narrator import Narrator
from services.member.tests.programs import IMPORTS, output_of
from tests.support.fork_server import ForkedProcess, run_forked
from tests.support.waiting import wait_until

PROCESS = re.compile(r"process: (\d+)")


def demo(
    folder: Path, *arguments: str, **variables: str
) -> AbstractAsyncContextManager[ForkedProcess]:
    """Run the demo with *folder* for all temporary files, without waiting for its imports."""
    command = ("services.member.tests.forked_demo", *arguments)
    changed = {**variables, "TMPDIR": str(folder)}
    return run_forked(command, imports=IMPORTS, variables=changed, folder=Path.cwd())


async def output_until(process: ForkedProcess, text: str) -> str:
    assert process.stdout is not None
    said = ""
    while text not in said:
        line = await process.stdout.readline()
        assert line, f"the demo ended before it printed {text!r}:\n{said}"
        said += line.decode()
    return said


def commands_with(text: str) -> list[str]:
    """Return the processes with *text* in their command line or their folder."""
    folders = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    commands = [command_of(folder) for folder in folders]
    return [command for command in commands if text in command]


def left_behind(folder: Path) -> list[str]:
    """Return the files in *folder* and the commands that run there."""
    return [*map(str, folder.iterdir()), *commands_with(str(folder))]


def command_of(folder: Path) -> str:
    try:
        return (folder / "cmdline").read_text() + str((folder / "cwd").readlink())
    except OSError:  # the process has ended meanwhile
        return ""


STEPS = [
    "Member created",
    "also wrote the task: a row in the outbox",
    "After the commit the relay moved it to Redis",
    "Killed the service",
    "Redis still holds the task",
    "Stopped Redis",
    "full name: 王小明",
    "Member created",
    "the task waits beside it, in the outbox",
    "Started Redis again",
    "The relay found Redis again and moved the task",
    "A worker picked the task up",
    "Subject: Verify your e-mail address",
    "Pressed Confirm: verified",
    "A worker picked the task up",
    "Subject: 請驗證您的電子郵件地址",
    "Pressed Confirm: verified",
    "mails: 1 to alice@example.com, 1 to xiaoming@example.com",
]


async def test_the_demo_shows_both_mails_travel_and_leaves_nothing_behind(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "member.demo", "--delay", "5"),
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=PIPE,
        stderr=PIPE,
    )
    said, complaints = await process.communicate()
    assert (process.returncode, complaints.decode()) == (0, "")
    assert re.search(".*".join(map(re.escape, STEPS)), said.decode(), re.DOTALL)
    assert left_behind(tmp_path) == []


async def test_the_demo_fits_on_100_columns(capsys: pytest.CaptureFixture[str]) -> None:
    Narrator().say("x" * 200, name="王小明" * 50)
    assert [len(line) for line in capsys.readouterr().out.splitlines()] == [100, 62]


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("Killed the service", signal.SIGTERM),
        ("Stopped Redis", signal.SIGHUP),
        ("Waiting until the task of alice is due", signal.SIGINT),
    ],
)
async def test_an_interrupted_demo_leaves_nothing_behind(
    tmp_path: Path, moment: str, number: signal.Signals
) -> None:
    async with demo(tmp_path) as process:
        await output_until(process, moment)
        process.send_signal(number)
        said = await output_of(process)
        assert await process.wait() == 130
    assert b"interrupted; everything that was started is stopped" in said
    assert left_behind(tmp_path) == []


async def test_a_demo_that_fails_says_why_and_shows_the_logs(tmp_path: Path) -> None:
    async with demo(tmp_path, PASSWORD_HASH_TIME="0") as process:
        said = await output_of(process)
        assert await process.wait() == 1
    assert "the service ended before it logged" in said.decode()
    assert "PASSWORD_HASH_TIME: Input should be greater" in said.decode()
    assert left_behind(tmp_path) == []


async def test_a_demo_whose_service_dies_fails(tmp_path: Path) -> None:
    async with demo(tmp_path) as process:
        *_, last = PROCESS.findall(await output_until(process, "Waiting until the task of alice"))
        os.kill(int(last), signal.SIGKILL)
        said = await output_of(process)
        assert await process.wait() == 1
    assert "the demo failed: the service ended" in said.decode()
    await wait_until(lambda: commands_with(str(tmp_path)) == [])


async def test_a_delay_too_short_for_the_story_is_refused(tmp_path: Path) -> None:
    async with demo(tmp_path, "--delay", "2") as process:
        said = await output_of(process)
        assert await process.wait() == 2
    assert b"argument --delay: must be at least 3" in said


async def test_without_redis_the_demo_says_what_to_install(tmp_path: Path) -> None:
    async with demo(tmp_path, PATH="/nowhere") as process:
        said = await output_of(process)
        assert await process.wait() == 1
    assert "redis-server is missing: install it" in said.decode()
