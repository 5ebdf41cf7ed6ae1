"""Shells complete commands, options and values."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeAlias, cast

import pytest

from pyasynq import SyncClient, Task
from pyasynq.broker.redis import shared_keys
from tests.cli.command_runner import CommandRunner
from tests.cli.redis_records import (
    enqueue_one_of_each,
    put_active_task,
    put_active_worker,
    put_entry,
    put_server,
)
from tests.support.servers import RedisServer, free_port

ROOT = Path(__file__).parents[3]
PATIENT = "from pyasynq.cli import completions, main; completions.LONGEST_S = 60; main()"
"""A program that waits for Redis as long as a busy machine needs."""

STATES = ["aggregating", "archived", "completed", "pending", "retry", "scheduled"]


class Shell:
    """A bash that has read the script; what it calls is ``pyasynq`` of this source tree."""

    def __init__(self, script: str, folder: Path) -> None:
        self._script = script
        self.program = folder / "pyasynq"
        self.run(f"-c '{PATIENT}'")
        self.program.chmod(0o755)

    def run(self, arguments: str) -> None:
        """Let ``pyasynq`` be a Python with *arguments*."""
        self.be(f'exec {sys.executable} {arguments} "$@"')

    def be(self, script: str) -> None:
        """Let ``pyasynq`` be a *script* of sh."""
        self.program.write_text(f"#!/bin/sh\n{script}\n")

    def start(self, *args: str) -> subprocess.Popen[str]:
        """Let bash complete the last of *args*, and print what it offers."""
        line = " ".join(f"'{word}'" for word in ("pyasynq", *args))
        program = f"""{self._script}
COMP_WORDS=({line}); COMP_CWORD={len(args)}
_pyasynq_completion {self.program}; printf '%s\\n' "${{COMPREPLY[@]}}"
"""
        return subprocess.Popen(
            ["bash", "-c", program],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def __call__(self, *args: str) -> list[str]:
        """Return what is offered for the last of *args*, sorted."""
        return offers_of(self.start(*args))


def offers_of(shell: subprocess.Popen[str]) -> list[str]:
    """Return what *shell* prints, sorted, when it has ended well."""
    out, err = shell.communicate(timeout=60)
    assert (shell.returncode, err) == (0, "")
    return sorted(out.split())


@pytest.fixture
def bash(run_cli: CommandRunner, tmp_path: Path) -> Shell:
    """Return a bash that completes."""
    return Shell(run_cli("completion", "bash").out, tmp_path)


Complete: TypeAlias = Callable[..., list[str]]


@pytest.fixture
def complete(
    bash: Shell, run_cli: CommandRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Complete:
    """Return a function that completes as *bash* does; the command runs in this process.

    A process of its own takes fifty times as long: a few tests show that it does the same.
    """
    asked, answer = tmp_path / "asked", tmp_path / "answer"
    monkeypatch.setattr("pyasynq.cli.completions.LONGEST_S", 60)

    def complete(*args: str) -> list[str]:
        for pipe in (asked, answer):
            os.mkfifo(pipe)
        bash.be(f"env -0 >{asked}; cat {answer}")
        shell = bash.start(*args)
        told = dict(line.split("=", 1) for line in asked.read_text().split("\0") if line)
        for name in ("_PYASYNQ_COMPLETE", "COMP_WORDS", "COMP_CWORD"):
            monkeypatch.setenv(name, told[name])
        result = run_cli()
        assert result.err == ""
        answer.write_text(result.out)
        return offers_of(shell)

    return complete


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("que", ["queue"]),
        ("queue re", ["remove", "resume"]),
        ("queue u", ["unpause"]),
        ("task list --st", ["--state"]),
        ("task list -s re", ["retry"]),
        ("--tls task --cluster runa", ["runall"]),
        ("-o json task runa", ["runall"]),
        ("completion f", ["fish"]),
    ],
)
def test_bash_completes_commands_options_and_choices(
    complete: Complete, line: str, offered: list[str]
) -> None:
    assert complete(*line.split()) == offered


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_completes_as_bash_does(run_cli: CommandRunner, bash: Shell) -> None:
    script = run_cli("completion", "zsh").out
    program = f"""
compdef() {{ }}
compadd() {{ print -l -- $completions }}
_describe() {{ print -l -- $completions_with_descriptions }}
{script}
words=(pyasynq --tls queue re); CURRENT=4; _pyasynq_completion
"""
    answer = subprocess.run(
        ["zsh", "-f", "-c", program],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PATH": f"{bash.program.parent}:{os.environ['PATH']}"},
    )
    assert "remove:" in answer.stdout
    assert "runall" not in answer.stdout


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
@pytest.mark.parametrize(
    ("line", "offered"),
    [("que", {"queue"}), ("queue re", {"remove", "resume"}), ("task runa", {"runall"})],
)
def test_fish_completes_commands(
    run_cli: CommandRunner, bash: Shell, line: str, offered: set[str]
) -> None:
    script = bash.program.with_name("script")
    script.write_text(run_cli("completion", "fish").out)
    answer = subprocess.run(
        ["fish", "-N", "-c", f"source {script}; complete -C 'pyasynq {line}'"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PATH": f"{bash.program.parent}:{os.environ['PATH']}"},
    )
    assert {line.split("\t")[0] for line in answer.stdout.splitlines()} == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script_wherever_it_is_printed(
    run_cli: CommandRunner, shell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    result = run_cli("completion", shell)
    assert (result.code, result.err, "_pyasynq_completion" in result.out) == (0, "", True)


def test_another_shell_is_a_usage_error(run_cli: CommandRunner) -> None:
    assert run_cli("completion", "cmd").code == 2


# -- values ----------------------------------------------------------------------------------------


@pytest.fixture
def filled(sync_client: SyncClient, redis_server: RedisServer) -> None:
    """Fill the queue ``q``."""
    enqueue_one_of_each(sync_client, redis_server)


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("queue inspect", ["q"]),
        ("task list -q", ["q"]),
        ("task list -q q -s aggregating -g", ["g"]),
        ("task inspect -q q -i", STATES),
        ("task archiveall -q q -s", ["aggregating", "completed", "pending", "retry", "scheduled"]),
        ("task enqueue --app tests.cli.apps:app -t", ["email:verify", "forget", "often", "print"]),
    ],
)
def test_values_are_offered(complete: Complete, line: str, offered: list[str]) -> None:
    assert complete(*line.split(), "") == offered


@pytest.mark.usefixtures("filled")
def test_ids_are_offered_that_begin_with_what_is_typed(bash: Shell) -> None:
    assert bash("task", "inspect", "-q", "q", "-i", "re") == ["retry"]


def test_running_tasks_are_offered_to_be_canceled(
    complete: Complete, redis_server: RedisServer
) -> None:
    put_active_task(redis_server, "1")
    put_active_worker(redis_server, "1")
    assert complete("task", "cancel", "") == ["1"]


def test_servers_and_their_deployments_are_offered(
    complete: Complete, redis_server: RedisServer
) -> None:
    put_server(redis_server)
    details = b'{"version":"1","deployment":"shop"}'
    with closing(redis_server.client()) as client:
        [key] = client.keys("asynq:servers:*")
        client.set(shared_keys.details_of(cast("bytes", key).decode()), details)
    assert complete("server", "quiet", "") == ["s", "shop"]


@pytest.mark.parametrize("verb", ["history", "pause", "resume", "run"])
def test_entries_are_offered(complete: Complete, redis_server: RedisServer, verb: str) -> None:
    put_entry(redis_server)
    assert complete("cron", verb, "") == ["e"]


@pytest.mark.usefixtures("filled")
def test_redis_is_that_of_the_options_before_the_value(complete: Complete) -> None:
    assert complete("-n", "5", "queue", "inspect", "") == []


@pytest.mark.parametrize(
    "args",
    [
        ("-u", "127.0.0.1:1", "queue", "inspect", ""),
        ("-u", "http://h", "queue", "inspect", ""),
        ("-n", "many", "queue", "inspect", ""),
        ("-n", "5", "worker", ""),
        ("task", "list", "-q", "nothing", "-s", "aggregating", "-g", ""),
        ("task", "inspect", "-i", ""),
        ("task", "enqueue", "--app", "no_such_module:app", "-t", ""),
        ("task", "enqueue", "-t", ""),
        ("--config", "/no/such/file", "queue", "inspect", ""),
    ],
    ids=" ".join,
)
def test_what_goes_wrong_offers_nothing_and_prints_nothing(
    complete: Complete, args: tuple[str, ...]
) -> None:
    assert complete(*args) == []


def test_a_redis_that_hangs_offers_nothing(bash: Shell) -> None:
    with RedisServer(port=free_port()) as server:
        server.pause()
        bash.run("-m pyasynq")
        offered = bash("-u", server.url, "queue", "inspect", "")
        server.resume()
    assert offered == []


def test_an_app_whose_import_hangs_offers_nothing(bash: Shell) -> None:
    bash.run(f"-c '{PATIENT.replace('60', '0.1')}'")
    assert bash("task", "enqueue", "--app", "tests.cli.hanging:app", "-t", "") == []


@pytest.mark.parametrize("name", ["$(id)", "*", "a;b", "a b", "a\nplain,b", "-y", "`id`", b"\xff"])
def test_a_name_on_which_a_shell_would_act_is_not_offered(
    complete: Complete, redis_server: RedisServer, name: str | bytes
) -> None:
    with closing(redis_server.client()) as client:
        client.sadd("asynq:queues", name, "größe:1")
    assert complete("queue", "inspect", "") == ["größe:1"]


def test_what_producers_choose_is_described_in_one_line(
    run_cli: CommandRunner, sync_client: SyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync_client.enqueue(Task("t\nplain\n$(id)\x1b[31m", task_id="1", queue="q"))
    monkeypatch.setattr("pyasynq.cli.completions.LONGEST_S", 60)
    monkeypatch.setenv("_PYASYNQ_COMPLETE", "zsh_complete")
    monkeypatch.setenv("COMP_WORDS", "pyasynq task inspect -q q -i ")
    monkeypatch.setenv("COMP_CWORD", "6")
    assert run_cli().out == "plain\n1\npending t plain $(id)\\x1b[31m\n"
