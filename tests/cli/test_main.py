"""Mistakes on the command line are told on stderr, with an exit code that says which."""

import asyncio
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

import pyasynq
from pyasynq.cli import main
from pyasynq.cli.exits import ExitError
from pyasynq.cli.loading import load_app
from tests.cli import apps
from tests.cli.workers import command


def test_the_version_goes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert (end.value.code, capsys.readouterr().out) == (0, f"pyasynq {pyasynq.__version__}\n")


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["no-such-command"],
        ["worker"],
        ["worker", "m:app", "--no-such-option"],
        ["worker", "m:app", "-c", "many"],
        ["worker", "m:app", "-Q", "a=b"],
        ["worker", "m:app", "--shutdown-timeout", "soon"],
        ["worker", "m:app", "--log-format", "xml"],
        ["scheduler"],
        ["scheduler", "m:app", "--catch-up", "some"],
        ["scheduler", "m:app", "--location", "Nowhere/Land"],
        ["scheduler", "m:app", "--heartbeat-interval", "often"],
    ],
    ids=" ".join,
)
def test_a_command_line_that_cannot_be_read_is_a_usage_error(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert capsys.readouterr().out == ""


# -- the user's app --------------------------------------------------------------------------------


def test_an_app_is_found_by_module_and_name() -> None:
    assert load_app("tests.cli.apps:app") is apps.app


def test_the_name_of_an_app_is_app_when_left_out() -> None:
    assert load_app("tests.cli.apps") is apps.app


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("no_such_module:app", "there is no module 'no_such_module' here"),
        ("tests.no_such_module:app", "there is no module 'tests.no_such_module' here"),
        ("tests.cli.apps:nothing", "has no pyasynq.App called 'nothing'"),
        ("tests.cli.apps:no_app", "has no pyasynq.App called 'no_app'"),
    ],
)
def test_an_app_that_is_not_there_is_told(place: str, text: str) -> None:
    with pytest.raises(ExitError, match=text) as error:
        load_app(place)
    assert error.value.code == 3


@pytest.mark.parametrize("place", [":app", "", ".apps:app", "tests/cli/apps.py:app"])
def test_a_place_that_is_none_is_told(place: str) -> None:
    with pytest.raises(ExitError):
        load_app(place)


def test_an_app_is_found_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine_alone.py").write_text(
        "from pyasynq import App\nmine = App('redis://127.0.0.1:6379')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert load_app("mine_alone:mine")


def test_a_module_that_is_missing_inside_the_app_is_not_taken_for_the_app(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needy.py").write_text("import something_not_installed\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="something_not_installed"):
        load_app("needy:app")


# -- ends ------------------------------------------------------------------------------------------


async def test_an_interrupted_command_ends_with_130() -> None:
    connected, gone = asyncio.Event(), asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await reader.read()
        writer.close()
        gone.set()

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with command("queue", "list", "-u", f"127.0.0.1:{port}") as process:
            await asyncio.wait_for(connected.wait(), 15)
            process.send(signal.SIGINT)
            assert await process.ends() == 130
        await asyncio.wait_for(gone.wait(), 15)
    assert "Traceback" not in "\n".join(process.lines)


def test_a_reader_that_has_enough_is_no_mistake(redis_url: str) -> None:
    line = f"{sys.executable} -m pyasynq stats --json -u {redis_url} | true"
    done = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stderr == ""


@pytest.mark.parametrize("words", [["--version"], ["version"]])
def test_the_version_can_be_a_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with suppress(SystemExit):
        main(words)
    assert capsys.readouterr().out == f"pyasynq {pyasynq.__version__}\n"


def test_a_command_line_is_read_without_what_takes_long_to_load() -> None:
    program = """
import atexit, sys
from pyasynq.cli import main
late = {"redis", "rich", "yaml", "prometheus_client"}
atexit.register(lambda: print(late & {*sys.modules} or "none of them"))
main(["--help"])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stdout.splitlines()[-1] == "none of them"
