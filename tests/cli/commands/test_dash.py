"""``pyasynq dash`` shows the dashboard in a terminal, and says what is missing for that."""

import asyncio
import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pyasynq import Client, Task
from tests.cli.command_runner import CommandRunner
from tests.cli.terminal import Terminal
from tests.support.servers import free_port
from tests.support.waiting import wait_until

RESTORED = b"\x1b[?1049l"
"""What a program prints when it leaves the whole screen."""


class Session:
    """``pyasynq dash`` in a terminal of its own."""

    def __init__(self, *args: str) -> None:
        """Start it."""
        self.output = b""
        self._terminal, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pyasynq", "dash", *args],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            env={**os.environ, "TERM": "xterm-256color"},
            start_new_session=True,
        )
        os.close(inner)
        os.set_blocking(self._terminal, False)

    async def see(self, text: bytes) -> None:
        """Wait until *text* was printed."""
        await wait_until(lambda: text in self._read())

    def write(self, keys: bytes) -> None:
        """Type *keys*."""
        os.write(self._terminal, keys)

    async def end(self) -> int:
        """Wait for the end; return the exit code."""

        def has_ended() -> bool:
            self._read()
            return self.process.poll() is not None

        await wait_until(has_ended)
        self._read()
        return self.process.returncode

    def close(self) -> None:
        """Kill it, if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._terminal)

    def _read(self) -> bytes:
        try:
            while part := os.read(self._terminal, 65_536):
                self.output += part
        except (BlockingIOError, OSError):  # nothing more for now, or nobody writes any more
            return self.output
        return self.output


@pytest.fixture
async def file(tmp_path: Path) -> str:
    """Return the address of a file with a task."""
    url = f"sqlite:///{tmp_path}/tasks.db"
    async with Client(url) as client:
        await client.enqueue(Task("t", queue="letters"))
    return url


@pytest.fixture
async def session(file: str) -> AsyncIterator[Session]:
    """Yield a session that shows a file."""
    session = Session("-u", file, "--read-only")
    yield session
    await asyncio.to_thread(session.close)


async def test_a_terminal_shows_the_queues_until_q_is_typed(session: Session) -> None:
    await session.see(b"letters")
    await session.see(b"read-only")
    session.write(b"q")
    assert await session.end() == 0
    assert RESTORED in session.output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
async def test_a_signal_leaves_the_terminal_as_it_was(
    number: signal.Signals, session: Session
) -> None:
    await session.see(b"letters")
    session.process.send_signal(number)
    assert await session.end() == 0
    assert RESTORED in session.output


@pytest.fixture
def at_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command believe that a person is there."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("pyasynq.cli.commands.dash.check_terminal", lambda: None)


def test_without_a_terminal_it_says_what_to_do(run_cli: CommandRunner) -> None:
    result = run_cli("dash")
    assert result.code == 2
    assert "this is no terminal that can show it: run it in one (ssh -t, docker run -it)" in (
        result.err
    )


def test_a_terminal_that_cannot_place_text_is_none(
    run_cli: CommandRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys, "stdin", Terminal())
    assert run_cli("dash").code == 2


def test_without_textual_it_says_what_to_install(
    run_cli: CommandRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "textual", None)
    result = run_cli("dash")
    assert result.code == 1
    assert "the dashboard in a terminal needs textual: install the extra tui" in result.err
    assert "pip install 'pyasynq[tui]'" in result.err


@pytest.mark.usefixtures("at_terminal")
def test_a_missing_file_is_not_made(run_cli: CommandRunner, tmp_path: Path) -> None:
    result = run_cli("dash", "-u", f"sqlite:///{tmp_path}/none.db")
    assert (result.code, "there is no file" in result.err) == (4, True)


@pytest.mark.usefixtures("at_terminal")
def test_a_redis_that_is_away_is_an_error(run_cli: CommandRunner) -> None:
    result = run_cli("dash", "-u", f"127.0.0.1:{free_port()}")
    assert (result.code, "pyasynq doctor" in result.err) == (4, True)


@pytest.mark.usefixtures("at_terminal")
def test_an_app_gives_address_and_codecs(
    run_cli: CommandRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[object] = []

    async def show(self: object) -> None:
        found.append(self)

    monkeypatch.setattr("pyasynq.terminal.TerminalDashboard.show", show)
    assert run_cli("dash", "--app", "tests.cli.apps:app").code == 0
    assert len(found) == 1


def test_help_loads_no_textual() -> None:
    code = "import sys; from pyasynq.cli import main; main(['--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "dash " in done.stdout
    assert "textual" not in done.stdout.split()
