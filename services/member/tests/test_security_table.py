"""The table of security requirements is complete, and names only tests and pages that exist."""

import re
from pathlib import Path

import pytest

MEMBER = Path(__file__).parents[1]
PAGE = (MEMBER / "SECURITY.md").read_text("utf-8")

# Requirements of ASVS 5.0.0, by level, in the chapters that concern the service.
REQUIREMENTS = {
    1: """
        1.2.1-5 1.3.1-2 1.5.1 2.1.1 2.2.1-2 2.3.1 3.2.1-2 3.3.1 3.4.1-2 3.5.1-3 4.1.1 4.4.1 6.1.1
        6.2.1-8 6.3.1-2 6.4.1-2 7.2.1-4 7.4.1-2 8.1.1 8.2.1-2 8.3.1 9.1.1-3 9.2.1 11.3.1-2 11.4.1
        12.1.1 12.2.1-2 13.4.1 14.2.1 14.3.1
    """,
    2: """
        1.1.1-2 1.2.6-9 1.3.3-11 1.4.1-3 1.5.2 2.1.2-3 2.2.3 2.3.2-4 2.4.1 3.3.2-4 3.4.3-6 3.5.4-5
        3.7.1-2 4.1.2-3 4.2.1 4.3.1-2 4.4.2-4 6.1.2-3 6.2.9-12 6.3.3-4 6.4.3-4 6.5.1-5 6.6.1-3
        6.8.1-4 7.1.1-3 7.3.1-2 7.4.3-5 7.5.1-2 7.6.1-2 8.1.2 8.2.3 8.4.1 9.2.2-4 11.1.1-2 11.2.1-3
        11.3.3 11.4.2-4 11.5.1 11.6.1 12.1.2-3 12.3.1-4 13.1.1 13.2.1-5 13.3.1-2 13.4.2-5 14.1.1-2
        14.2.2-4 14.3.2-3 16.1.1 16.2.1-5 16.3.1-4 16.4.1-3 16.5.1-3
    """,
}
ROWS = re.findall(r"^\| ([\d.]+) \| (\d) \| (.+?) \| (.+?) \| (.+) \|$", PAGE, re.MULTILINE)
TESTS = {
    name
    for file in MEMBER.glob("tests/**/test_*.py")
    for name in re.findall(r"^(?:async )?def (test_\w+)\(", file.read_text("utf-8"), re.MULTILINE)
}
LINKS = sorted(set(re.findall(r"\]\(([^)]+)\)", PAGE)))


def numbers(level: int) -> list[str]:
    """Return the numbers of all requirements of a level."""
    ranges = re.findall(r"(\d+\.\d+)\.(\d+)(?:-(\d+))?", REQUIREMENTS[level])
    return [
        f"{s}.{n}" for s, first, last in ranges for n in range(int(first), int(last or first) + 1)
    ]


@pytest.mark.parametrize("level", [1, 2])
def test_every_requirement_has_one_row(level: int) -> None:
    assert sorted(row[0] for row in ROWS if row[1] == str(level)) == sorted(numbers(level))


def test_every_row_has_a_verdict() -> None:
    assert {verdict for _, _, _, verdict, _ in ROWS} == {"met", "partly", "no", "n/a"}


def test_a_requirement_that_is_met_names_a_test_or_a_page() -> None:
    met = [(number, why) for number, _, _, verdict, why in ROWS if verdict == "met"]
    assert [number for number, why in met if "`test_" not in why and "](" not in why] == []


def test_every_test_that_is_named_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 100
    assert named - TESTS == set()


@pytest.mark.parametrize("link", [link for link in LINKS if not link.startswith("https:")])
def test_every_link_leads_somewhere(link: str) -> None:
    path, _, heading = link.partition("#")
    file = (MEMBER / path).resolve() if path else MEMBER / "SECURITY.md"
    titles = re.findall(r"^#+ (.+)$", file.read_text("utf-8"), re.MULTILINE)
    slugs = [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]
    assert not heading or heading in slugs
