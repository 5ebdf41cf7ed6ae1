"""Shells complete commands, options and values."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pyasynq import SyncClient
from tests.cli.making import an_entry, one_of_each, running, works_on
from tests.cli.saying import Say
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
        self.program.write_text(f'#!/bin/sh\nexec {sys.executable} {arguments} "$@"\n')

    def __call__(self, *words: str) -> list[str]:
        """Return what is offered for the last of *words*, sorted."""
        line = " ".join(f"'{word}'" for word in ("pyasynq", *words))
        program = f"""{self._script}
COMP_WORDS=({line}); COMP_CWORD={len(words)}
_pyasynq_completion {self.program}; printf '%s\\n' "${{COMPREPLY[@]}}"
"""
        done = subprocess.run(
            ["bash", "-c", program],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=ROOT,
        )
        assert done.stderr == ""
        return sorted(done.stdout.split())


@pytest.fixture
def bash(say: Say, tmp_path: Path) -> Shell:
    """Return a bash that completes."""
    return Shell(say("completion", "bash").out, tmp_path)


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
    bash: Shell, line: str, offered: list[str]
) -> None:
    assert bash(*line.split()) == offered


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_completes_as_bash_does(say: Say, bash: Shell) -> None:
    script = say("completion", "zsh").out
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
def test_fish_completes_commands(say: Say, bash: Shell, line: str, offered: set[str]) -> None:
    script = bash.program.with_name("script")
    script.write_text(say("completion", "fish").out)
    answer = subprocess.run(
        ["fish", "-N", "-c", f"source {script}; complete -C 'pyasynq {line}'"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PATH": f"{bash.program.parent}:{os.environ['PATH']}"},
    )
    assert {words.split("\t")[0] for words in answer.stdout.splitlines()} == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script_wherever_it_is_printed(
    say: Say, shell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    told = say("completion", shell)
    assert (told.code, told.err, "_pyasynq_completion" in told.out) == (0, "", True)


def test_another_shell_is_a_usage_error(say: Say) -> None:
    assert say("completion", "cmd").code == 2


# -- values ----------------------------------------------------------------------------------------


@pytest.fixture
def filled(enqueuing: SyncClient, redis_server: RedisServer) -> None:
    """Fill the queue ``q``."""
    one_of_each(enqueuing, redis_server)


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
def test_values_are_offered(bash: Shell, line: str, offered: list[str]) -> None:
    assert bash(*line.split(), "") == offered


@pytest.mark.usefixtures("filled")
def test_ids_are_offered_that_begin_with_what_is_typed(bash: Shell) -> None:
    assert bash("task", "inspect", "-q", "q", "-i", "re") == ["retry"]


def test_running_tasks_are_offered_to_be_canceled(bash: Shell, redis_server: RedisServer) -> None:
    running(redis_server, "1")
    works_on(redis_server, "1")
    assert bash("task", "cancel", "") == ["1"]


def test_entries_are_offered(bash: Shell, redis_server: RedisServer) -> None:
    an_entry(redis_server)
    assert bash("cron", "history", "") == ["e"]


@pytest.mark.usefixtures("filled")
def test_redis_is_that_of_the_options_before_the_value(bash: Shell) -> None:
    assert bash("-n", "5", "queue", "inspect", "") == []


@pytest.mark.parametrize(
    "words",
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
    bash: Shell, words: tuple[str, ...]
) -> None:
    assert bash(*words) == []


def test_a_redis_that_hangs_offers_nothing(bash: Shell) -> None:
    with RedisServer(port=free_port()) as server:
        server.pause()
        bash.run("-m pyasynq")
        offered = bash("-u", server.url, "queue", "inspect", "")
        server.resume()
    assert offered == []
