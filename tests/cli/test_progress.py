"""Actions on many tasks show a progress bar, but only at a terminal."""

import pytest

from pyasynq import SyncClient, Task
from pyasynq.cli.output import progress_bar
from tests.cli.command_runner import CommandRunner
from tests.cli.terminal import Terminal


def open_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Return the terminal that stderr is from now on."""
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    return terminal


def test_a_bar_grows_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    with progress_bar("tasks deleted", 2000) as progress:
        progress(1000)
        half = terminal.getvalue()
        progress(2000)
    assert ("50%" in half, "100%" in terminal.getvalue()) == (True, True)


def test_the_name_of_a_queue_steers_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    with progress_bar("moving \x1b[2J\u202e", 1):
        pass
    assert r"moving \x1b[2J\u202e" in terminal.getvalue()


def test_nothing_to_do_shows_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    with progress_bar("tasks deleted", 0):
        pass
    assert terminal.getvalue() == ""


def test_a_pipe_gets_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("tasks deleted", 1) as progress:
        progress(1)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "args",
    [
        ("task", "runall", "-q", "q", "-s", "archived"),
        ("task", "deleteall", "-q", "q", "-s", "archived", "-y"),
        ("queue", "remove", "q", "-f", "-y"),
    ],
    ids=lambda args: args[1],
)
def test_bulk_work_shows_a_bar_at_a_terminal(
    run_cli: CommandRunner,
    sync_client: SyncClient,
    monkeypatch: pytest.MonkeyPatch,
    args: tuple[str, ...],
) -> None:
    sync_client.enqueue(Task("t"), queue="q", task_id="1")
    run_cli("task", "archive", "-q", "q", "-i", "1")
    terminal = open_terminal(monkeypatch)
    assert run_cli(*args).code == 0
    assert "100%" in terminal.getvalue()
