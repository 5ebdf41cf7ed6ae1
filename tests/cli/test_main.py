"""Usage errors go to stderr, each with its exit code."""

import asyncio
import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

import pyasynq
from pyasynq import SyncClient, Task
from pyasynq.cli import main
from pyasynq.cli.app_loader import BrokenModuleError, load_app
from pyasynq.cli.exit_codes import ExitError
from tests.cli import apps
from tests.cli.command_runner import CommandRunner
from tests.cli.processes import command


def test_the_version_goes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--version"])
    assert (code, capsys.readouterr().out) == (0, f"pyasynq {pyasynq.__version__}\n")


@pytest.mark.parametrize(
    "args",
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
    args: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(args) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["-c", "many"], "'many' is not a valid integer"),
        (["-Q", "a:3"], "'a:3': write a=3"),
        (["--shutdown-timeout", "-5s"], "-5s is negative: write 0 or more"),
        (["--conc", "3"], "No such option '--conc'"),
        (["-p", "0"], "'-p' / '--processes' (env var: 'PYASYNQ_PROCESSES'): 0 is not in the range"),
        (["--health-addr", ":70000"], "the port must be from 1 to 65535"),
    ],
    ids=lambda it: " ".join(it) if isinstance(it, list) else "",
)
def test_a_mistake_is_told_in_one_line_below_the_usage_of_the_command(
    args: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["worker", "tests.cli.apps:app", *args])
    usage, line = capsys.readouterr().err.splitlines()
    assert (code, usage) == (2, "Usage: pyasynq worker [OPTIONS] MODULE:APP")
    assert line.startswith("pyasynq worker: ")
    assert text in line


@pytest.mark.parametrize(
    ("args", "usage"),
    [
        ("queue inspect", "Usage: pyasynq queue inspect [OPTIONS] QUEUE..."),
        ("task list -q low", "Usage: pyasynq task list [OPTIONS]"),
        ("task ls", "Usage: pyasynq task ls [OPTIONS]"),
        ("no-such-command", "Usage: pyasynq [OPTIONS] COMMAND [ARGS]..."),
    ],
)
def test_a_mistake_is_told_in_two_lines_of_which_the_first_is_the_usage(
    args: str, usage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(args.split()) == 2
    first, _ = capsys.readouterr().err.splitlines()
    assert first == usage


@pytest.mark.parametrize("args", [[], ["queue"]])
def test_a_command_line_without_a_command_shows_what_there_is(
    args: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(args) == 2
    result = capsys.readouterr()
    assert (result.out, "Commands:" in result.err) == ("", True)


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["-n", "5", "worker", "m:app"], "worker takes -u URL, not -n"),
        (["--password", "x", "worker", "m:app"], "worker takes -u URL, not -p"),
        (["--tls", "scheduler", "m:app"], "scheduler takes -u URL, not --tls"),
        (["-u", "127.0.0.1", "relay", "m:relay"], "relay takes no -u"),
        (["-o", "json", "worker", "m:app"], "worker takes no -o"),
        (["worker", "m:app", "-n", "5"], "No such option '-n'."),
    ],
    ids=lambda it: " ".join(it) if isinstance(it, list) else "",
)
def test_an_option_that_a_command_would_ignore_is_refused(
    args: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(args) == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith(text)


@pytest.mark.parametrize("help", ["-h", "--help"])
def test_every_command_has_help(help: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["task", "list", help]) == 0
    assert capsys.readouterr().out.startswith("Usage: pyasynq task list")


def test_the_level_of_log_lines_may_be_in_upper_case(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["worker", "tests.cli.apps:nothing", "--log-level", "INFO"]) == 3
    assert "has no pyasynq.App called 'nothing'; there is app" in capsys.readouterr().err


def test_the_help_says_what_variables_names_and_exit_codes_mean(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["worker", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "[env var: PYASYNQ_CONCURRENCY]" in text
    assert '"module" alone means "module:app"' in text
    assert "Exit codes: 0 stopped; 1 failed" in text
    assert "``" not in text


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
    assert error.value.exit_code == 3


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (":app", "name it as module:app"),
        ("", "name it as module:app"),
        (".apps:app", "did you mean apps:app?"),
        ("t.py:app", "did you mean t:app?"),
        ("./t.py", "did you mean t:app?"),
        ("sub/t:web", "did you mean sub.t:web?"),
    ],
)
def test_a_place_that_is_none_is_told(place: str, text: str) -> None:
    with pytest.raises(click.UsageError, match=re.escape(text)):
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
    with pytest.raises(BrokenModuleError, match="No module named 'something_not_installed'"):
        load_app("needy:app")


@pytest.mark.parametrize(
    ("name", "source", "last"),
    [
        ("broken_a", "def f():\n    return 1 / 0\nf()\n", "ZeroDivisionError: division by zero"),
        ("broken_b", "import sys\nsys.exit(3)\n", "SystemExit: 3"),
        ("broken_c", "def f(:\n", "SyntaxError: invalid syntax"),
    ],
)
def test_the_error_of_a_module_is_shown_from_the_module_down(
    name: str, source: str, last: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BrokenModuleError) as error:
        load_app(f"{name}:app")
    first, *_, end = str(error.value).splitlines()
    assert (error.value.exit_code, end) == (1, last)
    assert first == f"the module '{name}' cannot be imported"
    assert "importlib" not in str(error.value)
    assert f"{name}.py" in str(error.value)


# -- ends ------------------------------------------------------------------------------------------


async def test_an_interrupted_command_ends_with_130() -> None:
    waiting, gone = asyncio.Event(), asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)  # of the first command: from now on it waits for the answer
        waiting.set()
        await reader.read()
        writer.close()
        gone.set()

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with command("queue", "list", "-u", f"redis://127.0.0.1:{port}") as process:
            await asyncio.wait_for(waiting.wait(), 20)
            process.send(signal.SIGINT)
            assert await process.wait_for_end() == 130
        await asyncio.wait_for(gone.wait(), 15)
    assert "Traceback" not in "\n".join(process.lines)


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("args", ["stats --json", "queue list -o json"])
def test_a_reader_that_has_enough_is_no_mistake(redis_url: str, args: str, unbuffered: str) -> None:
    # The shell's status says when the reader is gone: a fast writer may be done before that.
    line = f"exec 3> >(:); wait $!; {sys.executable} -m pyasynq -u {redis_url} {args} >&3 || true"
    done = subprocess.run(
        ["bash", "-c", line],
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("args", "stream", "code"),
    [
        ("version", "stdout", 0),
        ("stats", "stdout", 0),
        ("queue remove q", "stdin", 2),
    ],
)
def test_a_stream_that_is_closed_is_as_good_as_empty(
    run_cli: CommandRunner, monkeypatch: pytest.MonkeyPatch, args: str, stream: str, code: int
) -> None:
    monkeypatch.setattr(sys, stream, None)
    assert run_cli(*args.split()).code == code


def test_messages_do_not_get_into_the_data_when_stderr_is_closed(
    run_cli: CommandRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    result = run_cli("queue", "inspect", "nowhere", "-o", "json")
    assert (result.code, result.json) == (3, [])


def test_a_character_that_stdout_has_not_is_escaped(
    run_cli: CommandRunner, sync_client: SyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync_client.enqueue(Task("t", queue="größe"))
    stream = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(stream, "ascii"))
    assert (run_cli("queue", "list").code, stream.getvalue()) == (0, rb"gr\xf6\xdfe" + b"\n")


@pytest.mark.parametrize("args", [["--version"], ["version"]])
def test_the_version_can_be_a_command(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(args) == 0
    assert capsys.readouterr().out == f"pyasynq {pyasynq.__version__}\n"


def test_a_command_line_is_read_without_what_takes_long_to_load() -> None:
    program = """
import atexit, sys
from pyasynq.cli import main
late = {"redis", "rich", "yaml", "prometheus_client", "google.protobuf", "pyasynq.app"}
atexit.register(lambda: print(late & {*sys.modules} or "none of them"))
main(["--help"])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stdout.splitlines()[-1] == "none of them"
