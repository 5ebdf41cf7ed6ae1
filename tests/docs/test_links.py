"""Links between the pages lead to files and headings that exist."""

import re
from pathlib import Path
from typing import Final

import pytest

from tests.docs.cited_tests import ROOT

PAGES: Final = sorted(
    page for place in ("", "deploy/", "docs/**/") for page in ROOT.glob(f"{place}*.md")
)
LINK: Final = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")


def read_anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of *page*."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def find_broken(page: Path) -> list[str]:
    """Return the links of *page* that lead nowhere."""
    text = re.sub(r"^```.*?^```|`[^`]*`", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return [
        f"{target}#{anchor}"
        for target, anchor in LINK.findall(text)
        if not leads_somewhere(page, target, anchor)
    ]


def leads_somewhere(page: Path, target: str, anchor: str) -> bool:
    """Tell whether a link of *page* leads somewhere."""
    file = page.parent / target if target else page
    return file.exists() and (not anchor or anchor in read_anchors(file))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    assert find_broken(page) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A page, with a heading\n[a](#a-page-with-a-heading) [b](#b) [c](c.md)\n")
    assert find_broken(page) == ["#b", "c.md#"]
