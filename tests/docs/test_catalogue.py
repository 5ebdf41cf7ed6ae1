"""The catalogues in docs/internals say what the code says."""

from pathlib import Path

import pytest

from tools import catalogue


def test_no_catalogue_is_stale() -> None:
    assert catalogue.find_stale() == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder that has all catalogues."""
    for name, write in catalogue.PAGES.items():
        (tmp_path / name).write_text(write(), "utf-8")
    return tmp_path


def test_a_catalogue_that_says_otherwise_is_stale(folder: Path) -> None:
    with (folder / "keys.md").open("a") as page:
        page.write("more\n")
    assert catalogue.find_stale(folder) == ["keys.md"]


def test_a_catalogue_that_is_missing_is_stale(folder: Path) -> None:
    (folder / "states.md").unlink()
    assert catalogue.find_stale(folder) == ["states.md"]


def test_a_form_of_key_that_no_function_spells_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("pyasynq.broker.redis.shared_keys.semaphore")
    with pytest.raises(ValueError, match=r"no function returns keys such as .*sema"):
        catalogue.describe_keys()
