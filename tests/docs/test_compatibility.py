"""Every row of the compatibility page is shown by a test that exists."""

import re
from collections.abc import Iterable

import pytest

from tests.docs.cited_tests import ROOT, TEST, missing
from tests.docs.protocol import NUMBERS

PAGE = (ROOT / "docs/guides/compatibility.md").read_text()

DELIMITER = re.compile(r"\|(?:-+\|)+")


def row_of(line: str) -> list[str]:
    """Return the cells of a line of a table."""
    return [cell.strip() for cell in line.strip("|").split("|")]


def tables() -> Iterable[list[list[str]]]:
    """Return the rows of each table, without its head."""
    for block in PAGE.split("\n\n"):
        _, *rest = block.splitlines()
        if rest and DELIMITER.fullmatch(rest[0]):
            yield [row_of(line) for line in rest[1:]]


TABLES = [[row for row in table if not row[0].startswith("**")] for table in tables()]
"""All rows but those that head a part of a table."""

FEATURES, *NUMBERED = TABLES
ROWS = [row for table in TABLES for row in table]


def test_every_number_of_the_protocol_has_a_row_and_every_row_its_number() -> None:
    rows = [row[0] for table in NUMBERED for row in table]
    assert {cell for cell in rows if re.fullmatch(r"D\d+", cell)} == NUMBERS


@pytest.mark.parametrize("row", FEATURES, ids=lambda row: row[0])
def test_every_feature_is_the_same_or_better_or_different(row: list[str]) -> None:
    assert row[1].startswith(("same", "better", "different"))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_row_names_a_test(row: list[str]) -> None:
    assert TEST.search(row[-1])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_test_that_a_row_names_exists(row: list[str]) -> None:
    assert missing(row[-1]) == []
