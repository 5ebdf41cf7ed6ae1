"""Commands that delete something ask first."""

import io

import click
import pytest

from pyasynq.cli.confirm import confirm
from pyasynq.cli.exit_codes import ExitError
from tests.cli.terminal import Terminal


def test_yes_on_the_command_line_is_enough() -> None:
    confirm("Delete", yes=True)


@pytest.mark.parametrize("answer", ["y\n", "YES\n"])
def test_yes_at_the_terminal_is_enough(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    confirm("Delete", yes=False)


@pytest.mark.parametrize("answer", ["", "\n", "n\n", "yesterday\n"])
def test_anything_else_is_no(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    with pytest.raises(ExitError, match="not confirmed") as error:
        confirm("Delete", yes=False)
    assert error.value.exit_code == 1


def test_where_nobody_can_be_asked_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(click.UsageError, match="give --yes"):
        confirm("Delete", yes=False)


def test_the_question_goes_to_stderr(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    confirm("Delete \u202eit", yes=False)
    assert capsys.readouterr() == ("", r"Delete \u202eit? [y/N] ")
