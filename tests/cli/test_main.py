"""Mistakes on the command line are told on stderr, with an exit code that says which."""

from pathlib import Path

import pytest

import pyasynq
from pyasynq.cli import main
from pyasynq.cli.exits import ExitError
from pyasynq.cli.loading import load_app
from tests.cli import apps


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
