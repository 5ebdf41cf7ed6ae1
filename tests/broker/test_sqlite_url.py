"""The URL of a SQLite broker: three slashes and a path, or none for memory."""

from pathlib import Path

import pytest

from pyasynq import OptionError
from pyasynq.broker import check_address, redact_url
from pyasynq.broker.sqlite_url import SqliteAddress, parse_sqlite


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", " SQLite:// "])
def test_without_a_path_it_is_memory(url: str) -> None:
    assert parse_sqlite(url) == SqliteAddress(path=None)


def test_a_relative_path_starts_at_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_sqlite("sqlite:///data/tasks.db").path == tmp_path / "data/tasks.db"


def test_a_path_after_four_slashes_is_absolute() -> None:
    assert parse_sqlite("sqlite:////var/lib/tasks.db").path == Path("/var/lib/tasks.db")


def test_characters_of_a_path_may_be_encoded() -> None:
    assert parse_sqlite("sqlite:////a%20b%3F%23.db").path == Path("/a b?#.db")


@pytest.mark.parametrize(
    ("value", "new", "work"),
    [("accept", True, False), ("normal", False, False), ("full", True, True)],
)
def test_it_says_what_is_synced(value: str, *, new: bool, work: bool) -> None:
    address = parse_sqlite(f"sqlite:////t.db?synchronous={value}")
    assert (address.sync_new, address.sync_work) == (new, work)


@pytest.mark.parametrize(("value", "seconds"), [("5", 5), ("0.5", 0.5), (".5", 0.5), ("1.", 1)])
def test_it_says_how_long_calls_wait(value: str, seconds: float) -> None:
    assert parse_sqlite(f"sqlite:////t.db?timeout={value}").timeout_s == seconds


@pytest.mark.parametrize(("value", "allowed"), [("0", False), ("1", True)])
def test_it_allows_a_file_system_whose_locks_may_not_work(value: str, *, allowed: bool) -> None:
    url = f"sqlite:////t.db?unsafe_filesystem={value}&timeout=1"
    assert parse_sqlite(url).unsafe_filesystem is allowed


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("sqlite://tasks.db", "after three slashes"),
        ("sqlite://localhost/tasks.db", "after three slashes"),
        ("sqlite:////tmp", "names a folder"),
        ("sqlite:///:memory:", "memory is sqlite://"),
        ("sqlite:////t.db#1", "write # as %23"),
        ("sqlite:////t%00.db", "has no NUL"),
        ("sqlite:////t.db?timeout=0", "timeout is a number"),
        ("sqlite:////t.db?timeout=-1", "timeout is a number"),
        ("sqlite:////t.db?timeout=inf", "timeout is a number"),
        ("sqlite:////t.db?timeout=", "timeout is a number"),
        ("sqlite:////t.db?synchronous=off", "synchronous is accept or normal or full"),
        ("sqlite:////t.db?unsafe_filesystem=yes", "unsafe_filesystem is 0 or 1"),
        ("sqlite:////t.db?mode=ro", "the settings are synchronous, timeout and"),
        ("sqlite:////t.db?timeout=1&timeout=2", "timeout is given twice"),
    ],
)
def test_a_malformed_url_is_refused_with_the_reason(url: str, why: str) -> None:
    with pytest.raises(OptionError, match=why) as caught:
        check_address(url)
    assert (caught.value.option, caught.value.value) == ("broker", url)


def test_another_scheme_is_refused() -> None:
    with pytest.raises(OptionError, match="sqlite:///relative/file"):
        parse_sqlite("redis://localhost")


def test_people_see_it_without_settings() -> None:
    assert redact_url("sqlite:////t.db?timeout=1") == "sqlite:////t.db"
