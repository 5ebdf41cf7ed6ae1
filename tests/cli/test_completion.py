"""Shells complete commands and options."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.saying import Say


def completed(script: str, *words: str) -> set[str]:
    """Return what bash offers for the last of *words*."""
    line = " ".join(f"'{word}'" for word in ("pyasynq", *words))
    program = f"""{script}
COMP_WORDS=({line}); COMP_CWORD={len(words)}; _pyasynq; printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    answer = subprocess.run(
        ["bash", "-c", program], check=True, capture_output=True, text=True, timeout=20
    )
    return set(answer.stdout.split())


@pytest.fixture
def bash(say: Say) -> str:
    """Return the script for bash."""
    return say("completion", "bash").out


def test_bash_completes_nouns(bash: str) -> None:
    assert completed(bash, "que") == {"queue"}


def test_bash_completes_verbs_and_their_aliases(bash: str) -> None:
    assert completed(bash, "queue", "re") == {"remove", "resume"}
    assert completed(bash, "queue", "") >= {"list", "ls", "rm", "unpause"}


def test_bash_completes_options(bash: str) -> None:
    assert completed(bash, "task", "list", "--st") == {"--state"}


def test_bash_looks_past_options(bash: str) -> None:
    assert completed(bash, "--tls", "task", "--cluster", "runa") == {"runall"}


def test_bash_completes_the_shells(bash: str) -> None:
    assert completed(bash, "completion", "f") == {"fish"}


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_completes_as_bash_does(say: Say) -> None:
    script = say("completion", "zsh").out
    program = f"""
compdef() {{ }}
compadd() {{ print -l -- "${{@[2,-1]}}" }}
{script}
words=(pyasynq --tls queue re); CURRENT=4; _pyasynq
"""
    answer = subprocess.run(
        ["zsh", "-f", "-c", program], check=True, capture_output=True, text=True, timeout=20
    )
    assert {"remove", "resume", "unpause"} <= set(answer.stdout.split())
    assert "runall" not in answer.stdout


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
@pytest.mark.parametrize(
    ("line", "offered"),
    [("que", {"queue"}), ("queue re", {"remove", "resume"}), ("task runa", {"runall"})],
)
def test_fish_completes_commands(say: Say, tmp_path: Path, line: str, offered: set[str]) -> None:
    (tmp_path / "script").write_text(say("completion", "fish").out)
    program = f"source {tmp_path}/script; complete -C 'pyasynq {line}'"
    answer = subprocess.run(
        ["fish", "-N", "-c", program], check=True, capture_output=True, text=True, timeout=20
    )
    assert {words.split("\t")[0] for words in answer.stdout.splitlines()} == offered


def test_zsh_and_fish_are_told_each_command(say: Say) -> None:
    assert "compdef _pyasynq pyasynq" in say("completion", "zsh").out
    told = say("completion", "fish").out
    assert "__fish_seen_subcommand_from queue" in told
    assert "unpause" in told


def test_another_shell_is_a_usage_error(say: Say) -> None:
    assert say("completion", "cmd").code == 2
