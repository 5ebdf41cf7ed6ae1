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
def test_zsh_reads_its_script(say: Say, tmp_path: Path) -> None:
    (tmp_path / "script").write_text(say("completion", "zsh").out)
    subprocess.run(["zsh", "-n", tmp_path / "script"], check=True, timeout=20)


def test_zsh_is_told_what_is_completed(say: Say) -> None:
    told = say("completion", "zsh").out
    assert told.startswith("#compdef pyasynq\n")
    assert "complete -o default -F _pyasynq pyasynq" in told


def test_fish_is_told_each_command(say: Say) -> None:
    told = say("completion", "fish").out
    assert "__fish_seen_subcommand_from queue" in told
    assert "unpause" in told


def test_another_shell_is_a_usage_error(say: Say) -> None:
    assert say("completion", "cmd").code == 2
