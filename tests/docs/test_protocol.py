"""Every section and number of the protocol that a file cites is there, and so are its vectors."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.docs.cited_tests import ROOT
from tests.docs.protocol import NUMBERS, PROTOCOL, SECTIONS

_, _, _AND_ON = PROTOCOL.partition("### 2.7 ")
VECTORS: Final = re.findall(r"`((?:[0-9a-f]{2})+)`", _AND_ON.partition("\n## ")[0])

PLACES: Final = ("src", "tests", "services", "docs", "benchmarks", "examples", "tools")
KINDS: Final = (".py", ".lua", ".md", ".proto", ".go")

_LIST: Final = r"(\d+(?:\.\d+)?(?:(?:, | and | to )\d+(?:\.\d+)?)*)"
CITATION: Final = re.compile(
    rf"[Pp]rotocol(?: sections?)? {_LIST}|[Ss]ections? {_LIST} of the protocol"
)
NUMBER: Final = re.compile(r"\bD\d{1,2}\b")


def find_citations(line: str) -> Iterator[tuple[str, bool]]:
    """Yield each section and number that *line* cites, and whether the protocol has it."""
    for before, after in CITATION.findall(line):
        for section in re.findall(r"[\d.]+", before or after):
            yield f"section {section}", section in SECTIONS
    for number in NUMBER.findall(line):
        yield number, number in NUMBERS


def find_broken(paths: Iterable[Path]) -> list[str]:
    """Return each citation in *paths* that leads nowhere, with its file and line."""
    return [
        f"{path}:{number}: {name}"
        for path in paths
        for number, line in enumerate(path.read_text().splitlines(), 1)
        for name, exists in find_citations(line)
        if not exists
    ]


def find_files(place: str) -> list[Path]:
    """Return the files of *place* that may cite the protocol."""
    return [path for path in sorted((ROOT / place).rglob("*")) if path.suffix in KINDS]


@pytest.mark.parametrize("place", PLACES)
def test_every_section_and_number_that_is_cited_exists(place: str) -> None:
    assert find_broken(find_files(place)) == []


def test_pages_at_the_root_cite_what_exists() -> None:
    assert find_broken(ROOT.glob("*.md")) == []


def test_a_citation_that_leads_nowhere_is_named_with_file_and_line(tmp_path: Path) -> None:
    page = tmp_path / "page.py"
    nowhere = ("77.1", "77")
    page.write_text(
        f"Protocol sections 3.6 and {nowhere[0]} (D1)\n"
        f"protocol 3.3 to {nowhere[0]}\n"
        f"section {nowhere[1]} of the protocol, D{nowhere[1]}\n"
    )
    assert find_broken([page]) == [
        f"{page}:1: section 77.1",
        f"{page}:2: section 77.1",
        f"{page}:3: section 77",
        f"{page}:3: D{nowhere[1]}",
    ]


def test_every_vector_of_the_protocol_is_what_go_wrote() -> None:
    golden = (ROOT / "tests/interop/golden/messages.jsonl").read_text()
    assert VECTORS
    assert [vector for vector in VECTORS if f'"hex":"{vector}"' not in golden] == []
