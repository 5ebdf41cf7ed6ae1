"""What is printed can be read by people, and by programs."""

import io
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from pyasynq.cli import output
from pyasynq.cli.exit_codes import ExitError
from tests.cli.terminal import Terminal

NOON = datetime(2040, 1, 2, 12, tzinfo=UTC)
HOSTILE = "\x1b[2J\u202e漢\u2066\u200b\U000e0041"
"""A name that would clear the screen, turn the line around, and hide a part of itself."""

SAFE = r"\x1b[2J\u202e漢\u2066\u200b\U000e0041"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.6, "1m0s"), (61, "1m1s"), (3600, "1h0m0s"), (360_000, "100h0m0s"), (-5, "-5s")],
)
def test_a_duration_is_written_as_go_writes_it(seconds: float, text: str) -> None:
    assert output.format_span(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"text", "text"),
        ("Grüße".encode(), "Grüße"),
        (b"", "non-printable bytes"),
        (None, "non-printable bytes"),
        (b"  ", "non-printable bytes"),
        (b"a\nb", "non-printable bytes"),
        (b"\xff", "non-printable bytes"),
    ],
)
def test_a_payload_is_shown_if_it_can_be_read(content: bytes | None, text: str) -> None:
    assert output.format_payload(content) == text


def test_instants_are_told_from_now() -> None:
    assert output.format_until(NOON + timedelta(minutes=1), NOON) == "in 1m0s"
    assert output.format_until(NOON, NOON) == "right now"
    assert output.format_until(None, NOON) == "N/A"
    assert output.format_ago(NOON - timedelta(hours=1), NOON) == "1h0m0s ago"
    assert output.format_ago(None, NOON) == "N/A"


@pytest.mark.parametrize(
    ("number", "words", "text"),
    [
        (0, ("task",), "0 tasks"),
        (1, ("task",), "1 task"),
        (2, ("batch", "batches"), "2 batches"),
        (1, ("has ended", "have ended"), "1 has ended"),
    ],
)
def test_one_thing_is_not_named_as_many(number: int, words: tuple[str, ...], text: str) -> None:
    assert output.count(number, *words) == text


def test_no_run_has_no_error_rate() -> None:
    assert output.format_error_rate(0, 0) == "N/A"
    assert output.format_error_rate(3, 1) == "33.33%"


def test_json_with_control_characters_can_be_read_and_steers_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = "".join(map(chr, range(160))) + HOSTILE
    output.print_json({"name": name})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"name": name}
    assert printed.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    "show",
    [
        output.print_data,
        lambda text: output.print_table([text], [[1]]),
        lambda text: output.print_table(["ID"], [[text]]),
        lambda text: output.print_table(["ID"], [[1]], title=text),
    ],
    ids=["data", "heading", "cell", "title"],
)
def test_what_is_printed_steers_no_terminal(
    capsys: pytest.CaptureFixture[str], show: Callable[[str], None]
) -> None:
    show(HOSTILE)
    printed = capsys.readouterr().out
    assert (SAFE in printed, printed.replace("\n", "").isprintable()) == (True, True)


def test_messages_steer_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_message(HOSTILE)
    assert capsys.readouterr() == ("", f"{SAFE}\n")


def test_lines_stay_lines(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_data("Traceback:\n\tline 1\r\n")
    assert capsys.readouterr().out == "Traceback:\n\tline 1\n\n"


def test_cells_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(["ID"], [["[red]a[/red]"]])
    assert capsys.readouterr().out.split() == ["ID", "[red]a[/red]"]


def test_long_cells_are_whole_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(["ID", "Payload"], [["1", "x" * 500]])
    assert capsys.readouterr().out.splitlines()[1].split() == ["1", "x" * 500]


def test_a_title_is_one_line_however_narrow_its_table(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(["low"], [["7"]], title="Task Count by Queue")
    assert capsys.readouterr().out.splitlines()[0] == "Task Count by Queue"


def test_a_table_without_rich_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich", None)
    with pytest.raises(
        ExitError, match=r"pip install 'pyasynq\[cli\]', or .* checkout\), or ask for JSON"
    ) as error:
        output.print_table(["ID"], [])
    assert error.value.exit_code == 1


# -- tables ----------------------------------------------------------------------------------------

ID = "5cdce7f5-5221-494e-b2ea-262acf33b109"


def print_row(
    monkeypatch: pytest.MonkeyPatch, columns: int, headings: list[str], row: list[str]
) -> list[str]:
    """Return the lines of a table at a terminal with this number of columns."""
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("TERM", "dumb")  # nothing in bold
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("LINES", "25")
    output.print_table(headings, [row])
    return terminal.getvalue().splitlines()


def test_an_id_stays_whole_while_other_columns_are_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = print_row(monkeypatch, 80, ["ID", "Type", "Payload"], [ID, "email:verify", "p" * 100])
    assert lines[1].startswith(f"{ID}  email:verify  pppp")
    assert len(lines) > 3
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("heading", ["ID", "EntryID", "TaskID"])
def test_a_row_too_wide_for_a_whole_id_becomes_a_block(
    heading: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = print_row(
        monkeypatch, 40, [heading, "Type", "Payload"], [ID, "email:verify", "p" * 100]
    )
    assert lines == [f"{heading}: {ID}", "Type: email:verify", f"Payload: {'p' * 100}"]


def test_a_table_without_ids_stays_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = print_row(monkeypatch, 20, ["Queue", "Size"], ["q" * 100, "1"])
    assert lines[0].split() == ["Queue", "Size"]


def test_a_table_too_narrow_for_its_headings_becomes_a_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = print_row(monkeypatch, 20, ["aggregating", "completed"], ["1", "2"])
    assert lines == ["aggregating: 1", "completed: 2"]


def test_a_pipe_gets_a_line_for_each_row(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(["ID", "Payload"], [[ID, "p" * 500]] * 2)
    assert len(capsys.readouterr().out.splitlines()) == 3


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_json_is_json_whatever_stdout_is(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    stream = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(stream, encoding))
    output.print_json(["größe 😀"])
    sys.stdout.flush()
    assert json.loads(stream.getvalue()) == ["größe 😀"]


def test_bytes_of_a_name_that_are_no_text_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_data("a\udcff")
    output.print_json({"a\udcff": ["\udc80"]})
    assert capsys.readouterr().out == 'a\\xff\n{\n  "a\\\\xff": [\n    "\\\\x80"\n  ]\n}\n'
