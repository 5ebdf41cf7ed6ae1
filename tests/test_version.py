"""All that names a version names the same one."""

import re
import tomllib
from pathlib import Path

import pyasynq

ROOT = Path(__file__).parents[1]
NEWEST = re.compile(r"^## \[(\d\S*)\]|^To be version (\d\S*)\.$", re.MULTILINE)


def project(folder: Path) -> dict[str, object]:
    return tomllib.loads((folder / "pyproject.toml").read_text())["project"]


def test_the_changelog_begins_with_the_version() -> None:
    newest = NEWEST.search((ROOT / "CHANGELOG.md").read_text())
    assert newest
    assert pyasynq.__version__ in newest.groups()


def test_the_member_service_has_the_version_of_the_library() -> None:
    assert project(ROOT / "services" / "member")["version"] == pyasynq.__version__
