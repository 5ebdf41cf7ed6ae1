"""The folders of tests are those of the library, so that tests are found beside their module."""

from collections import defaultdict
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
LIBRARY = TESTS.parent / "src/pyasynq"

TESTED_ELSEWHERE = {
    "broker/ports": "broker",
    "integrations": "integrations/django",
    "integrations/django/management": "integrations/django",
    "integrations/django/management/commands": "integrations/django",
    "integrations/django/migrations": "integrations/django",
    "proto": "interop",
}
"""Folders with tests elsewhere: ports by every broker, generated code by comparison with Go."""

PACKAGES = sorted(
    file.parent.relative_to(LIBRARY).as_posix()
    for file in LIBRARY.rglob("*/__init__.py")
    if "lua" not in file.parts  # tests of the calling module also test the script
)


def folder_of(package: str) -> str:
    """Return the folder that has the tests of *package*."""
    return TESTED_ELSEWHERE.get(package, package)


def homes() -> dict[str, set[str]]:
    """Return the folders in which a test of each module may be, by the name of the module."""
    found: dict[str, set[str]] = defaultdict(set)
    for module in LIBRARY.rglob("*.py"):
        package = module.parent.relative_to(LIBRARY).as_posix()
        found[module.stem].add(folder_of(package))
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_has_tests_in_a_folder_of_its_name(package: str) -> None:
    assert sorted((TESTS / folder_of(package)).glob("test_*.py"))


def test_a_test_with_the_name_of_a_module_is_where_the_module_is() -> None:
    by_name = homes()
    folders = {".", *map(folder_of, PACKAGES)}
    tests = [file for folder in folders for file in (TESTS / folder).glob("test_*.py")]
    misplaced = [
        file.relative_to(TESTS).as_posix()
        for file in tests
        if (name := file.stem.removeprefix("test_")) in by_name
        and file.parent.relative_to(TESTS).as_posix() not in by_name[name] | {"interop"}
    ]
    assert misplaced == []
