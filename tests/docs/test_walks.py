"""Every test that the walks name exists."""

import pytest

from tests.docs.cited_tests import ROOT, TEST, missing

PAGE = (ROOT / "docs/internals/walks.md").read_text()
_, *SECTIONS = PAGE.split("\n## ")


def name_of(section: str) -> str:
    """Return the title of a section."""
    return section.partition("\n")[0]


@pytest.mark.parametrize("section", SECTIONS, ids=name_of)
def test_every_test_that_a_walk_names_exists(section: str) -> None:
    assert TEST.search(section)
    assert missing(section) == []


def test_a_test_that_does_not_exist_is_found() -> None:
    text = "`docs/test_walks.py::test_nothing`, `test_walks.py`, `test_nowhere.py`"
    assert missing(text) == ["docs/test_walks.py::test_nothing", "test_nowhere.py::"]
