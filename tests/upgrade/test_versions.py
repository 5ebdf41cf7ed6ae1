"""The earlier versions are different versions, which the other tests here need."""

import subprocess
from pathlib import Path

import pytest

from tests.upgrade.sides import TODAY, VERSIONS, Side
from tools import earlier
from tools.earlier import HistoryMissingError


def test_each_side_runs_its_own_version(before: Side, after: Side, way: tuple[Path, Path]) -> None:
    today = str(Path(earlier.ROOT / earlier.SOURCE / "__init__.py"))
    assert [side.file() == today for side in (before, after)] == [path == TODAY for path in way]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_version_is_named_in_full(version: str) -> None:
    assert earlier.full_name(version) == version


def test_a_shallow_clone_says_how_to_fetch_the_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = ["git", "clone", "-q", "--depth", "1", "--no-checkout", earlier.ROOT.as_uri(), tmp_path]
    subprocess.run(clone, check=True)
    monkeypatch.setattr(earlier, "ROOT", tmp_path)
    with pytest.raises(HistoryMissingError, match="git fetch --unshallow"):
        earlier.full_name(VERSIONS[0] + "~1")


def test_a_commit_that_never_was_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HistoryMissingError, match="commit 0123abcd"):
        earlier.full_name("0123abcd" * 5)
