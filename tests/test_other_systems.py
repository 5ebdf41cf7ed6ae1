"""The library works without Unix features, or names the missing one in one sentence."""

import asyncio
import sys

import pytest

from pyasynq import Client, Task

WITHOUT = """
import asyncio.unix_events
import os, signal, socket, sys

def refuse(*_):
    raise NotImplementedError

for name in ("fork", "register_at_fork", "waitpid", "killpg", "setsid"):
    delattr(os, name)
for name in ("SIGTSTP", "SIGHUP", "SIGKILL", "SIGUSR1", "pthread_sigmask"):
    delattr(signal, name)
asyncio.SelectorEventLoop.add_signal_handler = refuse
asyncio.SelectorEventLoop.remove_signal_handler = refuse
"""

USING = """
from pyasynq import App, SyncClient

url = sys.argv[1]
app = App(url)

@app.task("add")
async def add(a: int, b: int) -> None:
    print(a + b, flush=True)

with SyncClient(url) as client:
    client.enqueue(add.task(1, 2))
asyncio.run(app.server(burst=True).run())
"""

COMMANDING = """
from pyasynq.cli import main

sys.exit(main(sys.argv[1:]))
"""


async def run(script: str, *words: str) -> tuple[int | None, str]:
    """Return exit code and output of *script* on such a system."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WITHOUT + script, *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode, said.decode()


async def test_clients_typed_apps_and_servers_need_no_unix(redis_url: str) -> None:
    assert await run(USING, redis_url) == (0, "3\n")


async def test_a_worker_needs_no_unix(redis_url: str) -> None:
    async with Client(redis_url) as client:
        info = await client.enqueue(Task("print"))
    words = ("worker", "tests.cli.apps:app", "--burst", "-u", redis_url)
    code, said = await run(COMMANDING, *words)
    assert (code, f"ran {info.id}" in said) == (0, True)


async def test_a_task_is_inspected_without_unix(redis_url: str) -> None:
    async with Client(redis_url) as client:
        await client.enqueue(Task("print"), task_id="1")
    code, said = await run(
        COMMANDING, "task", "inspect", "-q", "default", "-i", "1", "-u", redis_url
    )
    assert (code, "print" in said) == (0, True)


@pytest.mark.parametrize("option", ["-p=2", "--reload"])
async def test_a_program_that_needs_unix_says_so(option: str, redis_url: str) -> None:
    words = ("worker", "tests.cli.apps:app", option, "-u", redis_url)
    code, said = await run("del socket.AF_UNIX\n" + COMMANDING, *words)
    assert code == 2
    assert "need a Unix system: start several workers instead" in said
