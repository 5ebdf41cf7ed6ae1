"""Commands work on a file of SQLite, and show what there is."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pyasynq import SyncClient, Task
from tests.cli.command_runner import CommandRunner


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the path of the file."""
    return tmp_path / "tasks.db"


@pytest.fixture
def client(file: Path) -> Iterator[SyncClient]:
    """Yield a client of the file, whose queue ``q`` has a task."""
    with SyncClient(f"sqlite:///{file}") as client:
        client.enqueue(Task("t", b"{}", queue="q", task_id="1"))
        yield client


@pytest.fixture
def run(
    client: SyncClient, file: Path, run_cli: CommandRunner, monkeypatch: pytest.MonkeyPatch
) -> CommandRunner:
    """Return a function that runs a command on the file."""
    assert client
    monkeypatch.setenv("PYASYNQ_URI", f"sqlite:///{file}")
    return run_cli


def test_queues_are_listed_without_nodes(run: CommandRunner) -> None:
    assert run("queue", "list").out == "q\n"


def test_the_statistics_name_the_file(run: CommandRunner, file: Path) -> None:
    result = run("stats")
    assert (result.code, "SQLite Info" in result.out) == (0, True)
    assert [sqlite3.sqlite_version, str(file)] in [line[:2] for line in result.lines]


def test_the_statistics_for_programs_have_a_member_for_sqlite(
    run: CommandRunner, file: Path
) -> None:
    document = run("stats", "--json").json
    assert document.keys() == {"aggregate", "queues", "sqlite"}
    assert document["sqlite"]["file"] == str(file)


def test_each_check_of_a_file_is_a_line(run: CommandRunner) -> None:
    result = run("doctor")
    assert [line[1] for line in result.lines if line[0] in {"ok", "warning", "problem"}] == [
        *("pyasynq", "address", "connection"),
        *("sqlite", "file", "rights", "disk", "log", "persistence"),
        *("queues", "workers"),
    ]


def test_a_file_that_is_missing_is_no_connection(run_cli: CommandRunner, file: Path) -> None:
    result = run_cli("doctor", "-u", f"sqlite:///{file}", "-o", "json")
    assert (result.code, result.json[-1]["status"]) == (4, "problem")
    assert result.json[-1]["message"].startswith("there is no file")
    assert not file.exists()


def test_a_file_that_is_no_database_is_a_problem(run_cli: CommandRunner, file: Path) -> None:
    file.write_text("this is a text, and by far too long to be the header of a database")
    result = run_cli("doctor", "-u", f"sqlite:///{file}", "-o", "json")
    assert (result.code, result.json[-1]["check"]) == (1, "connection")
    assert "file is not a database" in result.json[-1]["message"]


def test_a_file_of_a_later_version_is_refused(run: CommandRunner, file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE pyasynq_meta SET value = 1000 WHERE key = 'schema'")
    result = run("queue", "list")
    assert (result.code, "was written by a later version of pyasynq" in result.err) == (1, True)
